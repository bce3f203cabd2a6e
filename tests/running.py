"""A whole Podgate of the test's own: `podgate serve` in a throw-away home, driven by the `podgate` command."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.ports import free_port
from tests.unixhttp import to_socket


def _resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return False
    return True


needs_resolver = pytest.mark.skipif(
    not _resolves("podgate.localhost"), reason="names below .localhost do not resolve here: install libnss-myhostname"
)
PATIENCE = 120  # seconds for anything a test waits for
Pod = dict[str, Any]


def descriptors(pid: int) -> int:
    """How many descriptors a process and its children hold open."""
    family = [pid, *children_of(pid)]
    return sum(len(list(Path(f"/proc/{member}/fd").iterdir())) for member in family)


def children_of(pid: int) -> list[int]:
    """The processes that any thread of a process started."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            found += map(int, (thread / "children").read_text().split())
    return found


class Podgate:
    """A running `podgate serve`; its home is short, since unix socket paths may be 107 bytes."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home = home
        self.port = free_port()
        self.options = options
        self.serve: subprocess.Popen[bytes]

    @property
    def ca(self) -> Path:
        return self.home / "authority" / "ca.pem"

    @property
    def log(self) -> str:
        return (self.home / "serve.log").read_text()

    def start(self) -> None:
        command = [sys.executable, "-m", "podgate", "serve", "--home", str(self.home)]
        command += ["--listen", f"127.0.0.1:{self.port}", *self.options]
        with (self.home / "serve.log").open("ab") as log:
            self.serve = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.run("status", "--wait", "60")

    def run(self, *arguments: str) -> str:
        """What a `podgate` command prints; it must succeed."""
        done = self.try_to_run(*arguments)
        assert done.returncode == 0, f"podgate {' '.join(arguments)}: {done.stderr}\n{self.log[-3000:]}"
        return done.stdout

    def try_to_run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PODGATE_HOME": str(self.home)}
        command = [sys.executable, "-m", "podgate", *arguments]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def call(self, method: str, path: str, **body: object) -> Any:
        """Call the API as the administrator; give what is answered."""
        answer = self.ask(method, path, body)
        assert answer.is_success, f"{method} {path}: {answer.text}\n{self.log[-3000:]}"
        return answer.json() if answer.content else None

    def ask(self, method: str, path: str, body: Mapping[str, object], at: str = "api.sock") -> httpx.Response:
        """The same, whatever comes of it; `at` is a socket of the home."""
        transport = to_socket(self.home / "run" / at)
        token = (self.home / "admin.token").read_text().strip()
        with httpx.Client(transport=transport, base_url="http://podgate/v1/", timeout=PATIENCE) as client:
            return client.request(method, path, json=body or None, headers={"Authorization": f"Bearer {token}"})

    def create(self, name: str, template: str, *options: str) -> Pod:
        if not {"--access"} & set(options):
            options = ("--access", "public", *options)
        pod: Pod = json.loads(self.run("pod", "create", name, "--template", template, *options, "--json"))
        return pod

    def show(self, name: str) -> Pod:
        pod: Pod = json.loads(self.run("pod", "show", name, "--json"))
        return pod

    def children(self, module: str) -> list[int]:
        """Process ids of what `podgate serve` started as `python -m <module>`."""
        found = []
        for pid in children_of(self.serve.pid):
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                if module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                    found.append(pid)
        return found

    def delete_pods(self) -> None:
        """Remove the pods, all at once; they would outlive it."""
        names = [pod["name"] for pod in self.call("GET", "pods")["pods"]]
        for name in names:
            self.call("DELETE", f"pods/{name}")
        for name in names:
            self.call("GET", f"pods/{name}/wait?until=gone&timeout={PATIENCE}")

    def stop(self) -> None:
        """Remove the pods and end it."""
        self.delete_pods()
        self.serve.send_signal(signal.SIGTERM)
        self.serve.wait(PATIENCE)


@contextmanager
def running_podgate(*options: str) -> Iterator[Podgate]:
    """Run one until the block ends; afterwards nothing is left of it."""
    podgate = Podgate(Path(tempfile.mkdtemp(prefix="pg-")), *options)
    podgate.start()
    try:
        yield podgate
    finally:
        if podgate.serve.poll() is not None:
            podgate.start()  # a test ended it: the pods it left have to go all the same
        podgate.stop()
        shutil.rmtree(podgate.home)
