"""A replica of the controller as a process, over a real PostgreSQL, with real processes as pods."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
from sqlalchemy import URL

from tests.unixhttp import to_socket

ROOT = Path(__file__).parents[3]
PATIENCE = 30.0  # seconds until a test gives up
_Answer = TypeVar("_Answer")


class Replica:
    """A replica's process, and a way to call it."""

    def __init__(self, home: Path, url: URL, name: str) -> None:
        self.process = started(home, url, "--replica", name)
        self.log = ""
        self.until("serving")
        token = (home / "admin.token").read_text().strip()
        self.http = httpx.Client(
            transport=to_socket(home / "run" / f"api-{name}.sock"),
            base_url="http://podgate",
            headers={"authorization": f"Bearer {token}"},
            timeout=PATIENCE,
        )

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

    def get(self, path: str) -> Any:
        answer = self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def create(self, name: str, mark: str) -> httpx.Response:
        serve = f"exec /usr/bin/env python3 -X {mark}-{name} -m http.server --bind 127.0.0.1 $PORT"
        return self.http.post("/v1/pods", json={"name": name, "template": "web", "parameters": {"command": serve}})

    def available(self, name: str) -> Any:
        """Wait by following the routes until the pod is available."""
        deadline = time.monotonic() + PATIENCE
        with self.http.stream("GET", "/v1/routes/stream?replica=test") as stream:
            for _ in stream.iter_lines():
                pod = self.get(f"/v1/pods/{name}")
                if pod["phase"] == "available":
                    return pod
                assert time.monotonic() < deadline, (pod, self.log)
        raise AssertionError("the stream of routes ended")

    def end_all(self) -> None:
        names = [pod["name"] for pod in self.get("/v1/pods")["pods"]]
        for name in names:
            self.http.delete(f"/v1/pods/{name}")
        for name in names:
            self.http.get(f"/v1/pods/{name}/wait?until=gone&timeout={PATIENCE}")


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
