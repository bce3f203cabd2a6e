"""An ArcadeDB of the benchmark's own: what the `graph` template runs, in a throw-away directory on loopback."""

import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import controller.templates
from bench.missing import Missing
from bench.process import running
from bench.rounds import free_port
from controller.runtimes import RuntimeFailure, software

USER, PASSWORD, DATABASE = "root", "a-benchmarks-password", "bench"  # of a server that lives as long as the benchmark
MEMORY = "2g"  # of its heap
STARTING = 90.0  # seconds
TEMPLATE = Path(controller.templates.__file__).parent
PREPARE, START = "graph-prepare.sh", "graph-start.sh"


@contextmanager
def arcadedb(directory: Path, memory: str = MEMORY) -> Iterator[int]:
    """Run the server while the block runs; give its Bolt port. Raises Missing."""
    try:
        found = software.find("arcadedb")
    except RuntimeFailure as failure:
        raise Missing("ArcadeDB", str(failure)) from None
    bolt = free_port()
    http = free_port(after=bolt)
    run, data = directory / "run", directory / "data"
    for folder in (run, data):
        folder.mkdir()
    environment = {
        **{name: str(found.base / place) for name, place in found.variables.items()},
        "POD_RUN": str(run), "POD_DATA": str(data), "POD_TEMPLATE": str(TEMPLATE), "POD_DATABASE": DATABASE,
        "PARAM_MEMORY": memory, "HTTP_PORT": str(http), "BOLT_PORT": str(bolt),
        **{f"SECRET_{level}": PASSWORD for level in ("OWNER", "WRITE", "READ")},
    }  # fmt: skip
    for name in (PREPARE, START, "graph-logging.conf"):
        if not (TEMPLATE / name).is_file():
            raise Missing("the graph template", f"there is no {TEMPLATE / name}")
    subprocess.run(["sh", str(TEMPLATE / PREPARE)], env={**os.environ, **environment}, check=True)
    with running(["sh", str(TEMPLATE / START)], directory / "arcadedb.log", environment) as program:
        if not program.comes_to(lambda: _is_ready(http), STARTING):
            raise TimeoutError(f"ArcadeDB is not ready after {STARTING:g} s")
        yield bolt


def _is_ready(port: int) -> bool:
    """Ask the server; Bolt answers before the database is there."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/ready", timeout=2.0):
            return True
    except OSError:  # URLError is one
        return False
