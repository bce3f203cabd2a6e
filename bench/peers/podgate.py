"""Podgate itself: a gateway fed by a routes file, one worker unless told otherwise. Its supervisor counts too."""

import sys
from collections.abc import Mapping
from dataclasses import replace

from bench.peers.peer import HOST, Job, Mode, Peer
from podgate import __version__


def files(job: Job) -> Mapping[str, str]:
    """Give the routes file."""
    route = (
        f'[[route]]\nhost = "{HOST}"\nprotocol = "{job.mode}"\n'
        f'upstreams = ["127.0.0.1:{job.upstream}"]\naccess = "public"\n'
    )
    return {"routes.toml": route}


def arguments(job: Job) -> list[str]:
    """Give the command line after the interpreter."""
    return [
        "-P", "-m", "podgate", "gateway", "--listen", f"127.0.0.1:{job.port}",
        "--workers", str(job.workers), "--drain", "0",
        "--routes", str(job.directory / "routes.toml"), "--home", str(job.directory / "home"),
        "--certificate", str(job.certificate), "--key", str(job.key),
    ]  # fmt: skip


PODGATE = Peer(
    name="podgate",
    label="Podgate",
    program=sys.executable,
    advice="it is what runs this",
    modes=frozenset(Mode),
    files=files,
    arguments=arguments,
    version=lambda _program: __version__,
)

PODGATE_2 = replace(
    PODGATE,
    name="podgate-2",
    label="Podgate, 2 workers",
    arguments=lambda job: arguments(replace(job, workers=2)),
    version=lambda _program: "",  # the same as above
)
