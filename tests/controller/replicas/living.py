"""A replica of the controller as a process, over a real PostgreSQL, with real processes as pods."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

import httpx
from sqlalchemy import URL

from tests.controller.called import Called

ROOT = Path(__file__).parents[3]
PATIENCE = 60.0  # seconds until a test gives up
_Answer = TypeVar("_Answer")


class Replica(Called):
    """A replica's process, and a way to call it."""

    def __init__(self, home: Path, url: URL, name: str) -> None:
        self.process = started(home, url, "--replica", name)
        self.log = ""
        self.until("serving")
        super().__init__(home, f"api-{name}.sock", PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.log += self.process.communicate(timeout=PATIENCE)[1]

    def until(self, text: str) -> None:
        """Read the log until it has a text again."""
        assert self.process.stderr
        for line in self.process.stderr:
            self.log += line
            if text in line:
                return
        raise AssertionError(self.log)

    def leads(self) -> None:
        self.until("this replica leads")

    def create(self, name: str, mark: str) -> httpx.Response:
        serve = f"exec /usr/bin/env python3 -X {mark}-{name} -m http.server --bind 127.0.0.1 $PORT"
        return self.make(name, serve)


def until(look: Callable[[], _Answer]) -> _Answer:
    """Look until there is something to be seen, and give it."""
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < deadline
    return found


def started(home: Path, url: URL, *options: str) -> subprocess.Popen[str]:
    """Start a controller over the database."""
    command = [sys.executable, "-m", "controller", "--home", str(home), *options]
    environment = {**os.environ, "PODGATE_DATABASE_URL": url.render_as_string(hide_password=False)}
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=environment)


def ended(home: Path, url: URL, *options: str) -> tuple[int, str]:
    """Start one that is to end by itself; give its status and its log."""
    with started(home, url, *options) as process:
        _, log = process.communicate(timeout=PATIENCE)
    return process.returncode, log
