"""What the commands that run Podgate itself say of options that cannot be."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from podgate.cli import app
from tests.peers import DEADLINE
from tests.ports import free_port


@pytest.mark.parametrize("name", ["a b", "A", "-a", "a" * 64, "a\n"])
def test_a_replicas_name_that_cannot_be_is_told_by_the_command_itself(name: str) -> None:
    result = CliRunner().invoke(app, ["controller", "--replica", name], env={"COLUMNS": "300", "TERM": "dumb"})
    assert result.exit_code == 2
    assert "podgate controller" in result.output
    assert "Invalid value for '--replica': expected a name of at most 63 lower-case letters, digits" in result.output


def test_serve_ends_where_its_controller_cannot_be_as_it_is_told_to_be(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text("no: kubeconfig\n")
    command = [sys.executable, "-m", "podgate", "serve", "--home", str(tmp_path / "home"), "--workers", "1"]
    command += ["--listen", f"127.0.0.1:{free_port()}", "--runtime", "kubernetes", "--kubeconfig", str(kubeconfig)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 1, done.stderr
    assert "the controller cannot begin; mend what it says above, and start again" in done.stderr.splitlines()[-1]
    assert "started again" not in done.stderr
    assert str(kubeconfig) in done.stderr
