"""A home with a small controller behind its socket, and the command line to run against it."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from podgate.cli import main
from tests.podgate.cli.controller import TOKEN, Controller
from tests.podgate.cli.outcome import Outcome
from tests.podgate.cli.real import Real, running_controller

Run = Callable[..., Outcome]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which nothing runs yet; the environment of whoever runs the tests does not reach in."""
    for name in ("PODGATE_URL", "PODGATE_TOKEN", "PODGATE_CA", "NEO4J_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PODGATE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "run").mkdir()
    (tmp_path / "admin.token").write_text(f"{TOKEN}\n")
    return tmp_path


@pytest.fixture
def controller(home: Path) -> Iterator[Controller]:
    with Controller(home / "run" / "api.sock") as running:
        yield running


@pytest.fixture
def real(home: Path) -> Iterator[Real]:
    """A real controller, which the command line calls as its administrator."""
    with running_controller(home) as running:
        yield running


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process."""

    def run_here(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["podgate", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        out, err = capfd.readouterr()
        return Outcome(code if isinstance(code, int) else 0, out, err)

    return run_here
