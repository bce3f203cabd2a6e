"""A run of the paper's experiment as small as can be: real clients, a real PostgreSQL, a real gateway."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.load import openssl
from bench.load.postgres_server import programs
from bench.missing import Missing
from bench.paper import kept
from bench.paper.plan import CLIENTS, ROWS
from bench.paper.questions import INCLUDED, OPEN, question

SMALL = ["--only", "rows", "--runs", "2", "--sizes", "10,200", "--peers", "podgate"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it in a process of its own: it moves itself to one core."""
    command = [sys.executable, "-m", "bench", "paper", *SMALL, *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
def test_rows_are_asked_for_through_the_gateway_and_straight(tmp_path: Path) -> None:
    try:
        programs()
    except Missing as missing:
        pytest.skip(str(missing))
    done = run("--out", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    found = kept.load(tmp_path)
    assert found.to_document() == json.loads(done.stdout)
    assert (found.left(), found.record.notes) == (0, [])
    assert found.record.machine[kept.TLS] == openssl.AGREED
    for client in CLIENTS[ROWS]:
        for size in (10, 200):
            alone, whole = (question(ROWS, client, how, size) for how in (OPEN, INCLUDED))
            for name in ("direct", "podgate"):
                pairs = zip(found.record.values(alone, name), found.record.values(whole, name), strict=True)
                assert [0 < part < all_of_it for part, all_of_it in pairs] == [True, True]
    assert "### psycopg, open connection" in (tmp_path / "README.md").read_text()

    again = run("--out", str(tmp_path))
    assert (again.returncode, again.stdout) == (1, "")
    assert "is finished; name another place: --out DIR" in again.stderr
