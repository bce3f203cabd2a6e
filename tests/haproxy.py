"""A real HAProxy in front of gateways, in tcp mode: it passes TLS on as it is, and may say whose connection it is."""

import csv
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.peers import DEADLINE
from tests.ports import free_port

PROGRAM = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
needs_haproxy = pytest.mark.skipif(PROGRAM is None, reason="apt-get install haproxy")


@contextmanager
def haproxy(
    directory: Path, servers: Sequence[str], check: str = "", port: int = 0, alone: Sequence[int] = (),
    balance: str = "roundrobin",
) -> Iterator[int]:  # fmt: skip
    """Run one that gives connections to the gateways, in turn by default; give its own port.

    `servers` are the gateways as HAProxy is told of them: HOST:PORT, and words such as send-proxy. `check` is the
    option that says how they are asked for their health. `alone`: ports of which each leads to one of them.
    """
    assert PROGRAM is not None
    port = port or free_port()
    lines = "\n".join(f"    server gateway{number} {each}" for number, each in enumerate(servers, 1))
    ways = "".join(_way(own, each) for own, each in zip(alone, servers, strict=False))
    config = directory / "haproxy.cfg"
    config.write_text(f"""\
global
    nbthread 1
    maxconn 1000
    stats socket {directory}/stats mode 600
defaults
    mode tcp
    timeout connect 5s
    timeout check 30s
    timeout client 1h
    timeout server 1h
frontend clients
    bind 127.0.0.1:{port}
    default_backend gateways
backend gateways
    balance {balance}
    {check}
{lines}
{ways}""")
    running = subprocess.Popen([PROGRAM, "-db", "-f", str(config)], stderr=subprocess.DEVNULL)
    try:
        _await(port, running)
        yield port
    finally:
        running.send_signal(signal.SIGTERM)  # at once: it does not wait for its connections
        running.wait(DEADLINE)


def up(directory: Path) -> list[bool]:
    """Tell which of the gateways HAProxy gives connections to: its own word, by what it heard of their health."""
    with socket.socket(socket.AF_UNIX) as asking, asking.makefile() as answer:
        asking.settimeout(DEADLINE)
        asking.connect(str(directory / "stats"))
        asking.sendall(b"show stat\n")
        told = list(csv.DictReader(answer))
    servers = [line for line in told if line["# pxname"] == "gateways" and line["svname"].startswith("gateway")]
    return [line["status"].startswith("UP") for line in servers]


def _way(port: int, server: str) -> str:
    where, _, _ = server.partition(" check")
    return f"listen to{port}\n    bind 127.0.0.1:{port}\n    server gateway {where}\n"


def _await(port: int, running: subprocess.Popen[bytes]) -> None:
    """Wait until it listens; each try is a whole connection."""
    while True:
        assert running.poll() is None, "haproxy did not start"
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), DEADLINE):
            return
