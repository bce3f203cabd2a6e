"""How long from a pod's readiness, and from a change of its route, to the first answer that shows it?

A web pod is stopped and started again and again in a Podgate of our own, while a client asks through the gateway
without pause, over a new TLS connection each time; so each sample includes one handshake and request (2 to 4 ms), and
is by up to one such round too long. Readiness is the controller's own time stamp, of milliseconds.
"""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

import httpx

from bench.experiment import OwnExperiment
from bench.record import Metric, Question, Record

PATIENCE = 60.0  # seconds
REPEATS = 4  # samples a run
HOST = "bench.pods.localhost"


READY = Question("ready", "pod ready → first answer through the gateway", Metric("time", "ms"))
GONE = Question("ready", "pod told to stop (API call included) → the gateway says so", Metric("time", "ms"))


def measure(runs: int, record: Record) -> None:
    """Restart a web pod again and again and watch from outside."""
    with _podgate() as (home, port):
        _command(home, "pod", "create", "bench", "--template", "web", "--access", "public")
        context = ssl.create_default_context(cafile=str(home / "authority" / "ca.pem"))
        for _ in range(runs * REPEATS):
            began = time.time()
            _post(home, "stop")
            record.add(GONE, "podgate", (_first(context, port, b" 503 ") - began) * 1e3)
            _command(home, "pod", "stop", "bench", "--wait")
            _post(home, "start")
            answered = _first(context, port, b" 200 ")
            record.add(READY, "podgate", (answered - _since(home)) * 1e3)


def _post(home: Path, what: str) -> None:
    """Tell the controller over its own socket, without the start of a command in between."""
    token = (home / "admin.token").read_text().strip()
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(home / "run" / "api.sock"))) as client:
        headers = {"Authorization": f"Bearer {token}"}
        client.post(f"http://controller/v1/pods/bench/{what}", headers=headers).raise_for_status()


def _first(context: ssl.SSLContext, port: int, status: bytes) -> float:
    """Ask until the answer has `status`; give the time it came."""
    deadline = time.time() + PATIENCE
    while time.time() < deadline:
        if status in _ask(context, port).split(b"\r\n", 1)[0]:
            return time.time()
    raise TimeoutError(f"no answer with {status.decode().strip()} within {PATIENCE:g} s")


def _ask(context: ssl.SSLContext, port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(plain, server_hostname=HOST) as tls:
            tls.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
            try:
                return tls.recv(4096)
            except ssl.SSLError:
                return b""  # its pod went away in the middle of the answer


def _since(home: Path) -> float:
    pod = json.loads(_command(home, "pod", "show", "bench", "--json"))
    assert pod["phase"] == "available"
    return datetime.fromisoformat(pod["since"]).timestamp()


def _command(home: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "podgate", *arguments]
    environment = {**os.environ, "PODGATE_HOME": str(home)}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


@contextmanager
def _podgate() -> Iterator[tuple[Path, int]]:
    """Run a whole Podgate in a throw-away home."""
    home = Path(tempfile.mkdtemp(prefix="podgate-bench-"))
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "podgate", "serve", "--home", str(home), "--listen", f"127.0.0.1:{port}"]
    with (home / "serve.log").open("wb") as log:
        serve = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        _command(home, "status", "--wait", "60")
        yield home, port
    finally:
        for pod in json.loads(_command(home, "pod", "list", "--json"))["pods"]:
            _command(home, "pod", "delete", pod["name"], "--yes", "--wait")
        serve.send_signal(signal.SIGTERM)
        serve.wait(PATIENCE)
        shutil.rmtree(home)


READY_EXPERIMENT = OwnExperiment(
    name="ready",
    asks="How long from a pod's readiness, and from a change of its route, to the first answer that shows it?",
    limits="The client's own loop: a new TLS connection each time, 2 to 4 ms.",
    measure=measure,
)
