"""Controllers and gateways of a scenario, alone or as replicas of each other, and what balances them."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
from sqlalchemy import URL

from controller.store.postgres import ADDRESS
from tests.gateway.process import GatewayProcess
from tests.ports import free_port
from tests.running import PATIENCE, Podgate

LONGEST = 60.0  # seconds until what has to come about has come about, on a busy machine
LOOK = 0.02  # seconds between two looks at what tells nobody that it changed
_Found = TypeVar("_Found")


@contextmanager
def balancer(ports: tuple[int, int]) -> Iterator[int]:
    """Run one that gives connections to the two in turn; give its port."""
    command = [sys.executable, str(Path(__file__).with_name("balancer.py")), *map(str, ports)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        yield int(running.stdout.readline())


@contextmanager
def controller(port: int) -> Iterator[Podgate]:
    """Run one alone, in a home of its own, for gateways that are reached at `port`."""
    podgate = Podgate(Path(tempfile.mkdtemp(prefix="pg-")))
    podgate.port = port
    podgate.serve = _started(podgate)
    try:
        yield podgate
    finally:
        podgate.serve.terminate()
        podgate.serve.wait(PATIENCE)
        shutil.rmtree(podgate.home)


class Balanced:
    """Gateways of one home behind HAProxy, which asks whether they are ready and says who the client is."""

    CHECK = "option httpchk GET /ready"

    def __init__(self, count: int, notice: float) -> None:
        self.ports, self.health, self._peers = ([free_port() for _ in range(count)] for _ in range(3))
        self._notice = notice

    def servers(self) -> list[str]:
        """Give them as HAProxy is told of them: it looks ten times a second, and believes the second no."""
        return [
            f"127.0.0.1:{port} send-proxy-v2 check port {asked} inter 100ms fall 2 rise 1"
            for port, asked in zip(self.ports, self.health, strict=True)
        ]

    def start(self, podgate: Podgate, number: int) -> GatewayProcess:
        """Start one of them; it is called gw- and its number."""
        own = self._peers[number]
        others = [word for other in self._peers if other != own for word in ("--peer", f"127.0.0.1:{other}")]
        return GatewayProcess(
            podgate.home, "--listen", f"127.0.0.1:{self.ports[number]}", "--public-port", str(podgate.port),
            "--workers", "1", "--name", f"gw-{number}", "--replica", str(number),
            "--peer-listen", f"127.0.0.1:{own}", *others, "--health", f"127.0.0.1:{self.health[number]}",
            "--drain-notice", str(self._notice), "--drain", "60", "--proxy-from", "127.0.0.1",
        )  # fmt: skip


def known(podgate: Podgate) -> dict[str, dict[str, Any]]:
    """What the controller knows of each gateway, by its name: what `podgate gateways` shows, asked for faster."""
    return {each["replica"]: each for each in podgate.call("GET", "gateways")["gateways"]}


def shown(podgate: Podgate) -> dict[str, dict[str, Any]]:
    """What `podgate gateways` tells of each, by its name."""
    return {gateway["replica"]: gateway for gateway in json.loads(podgate.run("gateways", "--json"))["gateways"]}


class Controllers:
    """Controllers that are replicas of each other, over one database and with one home; each is known by its name."""

    def __init__(self, podgate: Podgate, database: URL) -> None:
        self._podgate = podgate
        self._environment = {**os.environ, ADDRESS: database.render_as_string(hide_password=False)}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start one, and wait until it answers."""
        process = self._processes[name] = _started(self._podgate, "--replica", name, environment=self._environment)

        def answers() -> bool:
            assert process.poll() is None, self._podgate.log
            return self._status(self.socket(name)).get("replica") == name

        eventually(answers)

    def socket(self, name: str) -> str:
        """Where it answers, below the home's `run`."""
        return f"api-{name}.sock"

    def leads(self, name: str) -> bool:
        """Tell whether it leads, and is the one that commands and gateways find."""
        status = self._status("api.sock")
        return status.get("replica") == status.get("leader") == name

    def leader(self) -> str:
        """Wait until one of them leads, and is found; give its name."""
        return eventually(lambda: next((name for name in self._processes if self.leads(name)), ""))

    def other(self, than: str) -> str:
        """The name of another one."""
        return next(name for name in self._processes if name != than)

    def kill(self, name: str) -> None:
        """End one in the middle of whatever it does."""
        self._processes[name].kill()
        self._processes[name].wait(PATIENCE)

    def stop(self, name: str) -> None:
        """End one as its administrator does."""
        self._processes[name].terminate()
        self._processes[name].wait(PATIENCE)

    def restore(self) -> None:
        """Start those again that have ended."""
        for name, process in list(self._processes.items()):
            if process.poll() is not None:
                self.start(name)

    def stop_all(self) -> None:
        """End those that run."""
        for name in self._processes:
            self.stop(name)

    def _status(self, place: str) -> dict[str, object]:
        """Tell what one of them knows, if anybody is there."""
        with socket.socket(socket.AF_UNIX) as knocking:  # httpx would leave a socket open where nobody is
            if knocking.connect_ex(str(self._podgate.home / "run" / place)) != 0:
                return {}
        try:
            answer = self._podgate.ask("GET", "status", {}, at=place)
        except httpx.TransportError:  # it has just ended
            return {}
        assert answer.is_success, answer.text
        return dict(answer.json())


def eventually(look: Callable[[], _Found]) -> _Found:
    """Look until there is something to be seen, and give it."""
    deadline = time.monotonic() + LONGEST
    while not (found := look()):
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(LOOK)
    return found


def _started(podgate: Podgate, *more: str, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "podgate", "controller", "--home", str(podgate.home)]
    command += ["--listen", f"127.0.0.1:{podgate.port}", *more]
    with (podgate.home / "serve.log").open("ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
