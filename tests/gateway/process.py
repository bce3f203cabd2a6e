"""A gateway as a process of its own, as people run it: `podgate gateway`."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import trustme

from certs.leaf import Leaf
from tests.peers import DEADLINE, TlsPeer, tls_to, trusting, write_leaf


class GatewayProcess:
    """A running `podgate gateway`, its log, and its workers."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.lines: list[str] = []
        self._more = threading.Condition()
        command = [sys.executable, "-m", "podgate", "gateway", "--home", str(home), *arguments]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait_for(self, pattern: str, since: int = 0) -> re.Match[str]:
        """Wait for a line of the log that matches, from line `since` on."""
        with self._more:
            assert self._more.wait_for(lambda: self._find(pattern, since) or self.process.poll() is not None, DEADLINE)
            found = self._find(pattern, since)
            assert found, "\n".join(self.lines)
            return found

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")  # children are listed by thread
        return sorted(int(child) for children in tasks for child in children.read_text().split())

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        return self.process.wait(DEADLINE)

    def close(self) -> None:
        """End it the hard way, with its workers."""
        for pid in [self.process.pid, *(self.workers if self.process.poll() is None else [])]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(DEADLINE)
        assert self.process.stderr
        self.process.stderr.close()

    def _find(self, pattern: str, since: int) -> re.Match[str] | None:
        return next((found for line in self.lines[since:] if (found := re.search(pattern, line))), None)

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            with self._more:
                self.lines.append(line.rstrip())
                self._more.notify_all()
        with self._more:
            self._more.notify_all()


class Site:
    """What a gateway process needs: a home, a routes file, and a certificate in two files."""

    def __init__(self, directory: Path, ca: trustme.CA, leaf: Leaf) -> None:
        self.ca, self.home, self.routes = ca, directory / "home", directory / "routes.toml"
        self.routes.touch()
        self.certificate, self.key = write_leaf(leaf, directory)
        self.gateway: GatewayProcess | None = None
        self.port = 0

    def write(self, routes: dict[str, str], more: str = "") -> None:
        """Put public raw routes, host to upstream, into the file, all at once."""
        tables = [
            f'[[route]]\nhost = "{host}"\nprotocol = "tcp"\nupstreams = ["{address}"]\naccess = "public"\n'
            for host, address in routes.items()
        ]
        new = self.routes.with_suffix(".new")
        new.write_text("".join(tables) + more)
        new.replace(self.routes)

    def start(self, *arguments: str, port: int = 0) -> GatewayProcess:
        return GatewayProcess(
            self.home, "--listen", f"127.0.0.1:{port}", "--routes", str(self.routes),
            "--certificate", str(self.certificate), "--key", str(self.key), *arguments,
        )  # fmt: skip

    @contextlib.contextmanager
    def running(self, *arguments: str, workers: int = 1, port: int = 0) -> Iterator[GatewayProcess]:
        """Run a gateway and wait until it is up."""
        gateway = self.start("--workers", str(workers), *arguments, port=port)
        try:
            self.port = int(gateway.wait_for(r"gateway is up on [^ ]*:(\d+)")[1])
            yield gateway
        finally:
            gateway.close()

    def connect(self, host: str) -> TlsPeer:
        return tls_to(self.port, trusting(self.ca), host)

    def echoes(self, host: str, text: bytes = b"hello") -> None:
        """Go to an echoing host and back."""
        client = self.connect(host)
        try:
            echo_once(client, text)
        finally:
            client.close()


def echo_once(client: TlsPeer, text: bytes = b"hello") -> None:
    client.send(text)
    assert client.receive(len(text)) == text


def until(works: Callable[[], None]) -> None:
    """Try until it works; each try is a whole connection, and the test's deadline is the caller's clock."""
    while True:
        try:
            return works()
        except (OSError, EOFError):
            continue
