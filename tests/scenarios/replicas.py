"""What several gateways of a scenario stand between: a controller without a gateway of its own, and a balancer."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.running import PATIENCE, Podgate


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
    command = [sys.executable, "-m", "podgate", "controller", "--home", str(podgate.home)]
    with (podgate.home / "serve.log").open("ab") as log:
        podgate.serve = subprocess.Popen(
            [*command, "--listen", f"127.0.0.1:{podgate.port}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        yield podgate
    finally:
        podgate.serve.terminate()
        podgate.serve.wait(PATIENCE)
        shutil.rmtree(podgate.home)
