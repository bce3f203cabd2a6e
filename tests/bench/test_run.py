"""Where results go, and what is said when nothing can be measured or kept."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.record import NAME
from bench.run import make_directory
from podgate.cli.failure import Failure


def test_the_directory_is_named_after_day_and_commit_and_never_used_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = make_directory(None, NAME)
    assert make_directory(None, NAME) == first  # nothing was kept there
    (first / NAME).write_text("{}")
    second = make_directory(None, NAME)
    assert second.name == f"{first.name}-2"
    (second / NAME).write_text("{}")
    assert make_directory(None, NAME).name == f"{first.name}-3"


@pytest.mark.parametrize(
    ("place", "complaint"),
    [("a file", "File exists"), ("a file/below", "Not a directory"), ("used", "results of another run")],
)
@pytest.mark.parametrize("command", [["run", "routes"], ["soak", "--connections", "10", "--minutes", "0"]])
def test_a_place_that_cannot_be_used_is_told_before_anything_is_measured(
    tmp_path: Path, command: list[str], place: str, complaint: str
) -> None:
    (tmp_path / "a file").touch()
    (tmp_path / "used").mkdir()
    for name in (NAME, "soak.json"):
        (tmp_path / "used" / name).touch()
    result = CliRunner().invoke(app, [*command, "--out", str(tmp_path / place)])
    assert isinstance(result.exception, Failure)
    assert complaint in str(result.exception)
    assert "--out DIR" in str(result.exception)


@pytest.mark.parametrize("experiment", ["relay", "routes"])
def test_where_nobody_can_be_asked_it_says_so_and_fails(tmp_path: Path, experiment: str) -> None:
    result = CliRunner().invoke(app, ["run", experiment, "--peers", "pgbouncer", "--out", str(tmp_path)])
    assert isinstance(result.exception, Failure)
    assert f"nothing was measured: {experiment} was left out. It asks podgate" in str(result.exception)
