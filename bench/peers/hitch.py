"""hitch, one worker, TLS to TCP and nothing else. Its tickets cannot be switched off."""

import os
from collections.abc import Mapping

from bench.peers.peer import Job, Mode, Peer
from bench.peers.versions import version_of


def files(job: Job) -> Mapping[str, str]:
    """Give hitch.conf. It refuses to work as root."""
    user = 'user = "nobody"\n' if os.geteuid() == 0 else ""
    return {
        "hitch.conf": f"""\
frontend = "[127.0.0.1]:{job.port}"
backend = "[127.0.0.1]:{job.upstream}"
pem-file = "{job.both}"
tls-protos = TLSv1.3
workers = 1
backlog = 4096
daemon = off
log-level = 1
{user}"""
    }


HITCH = Peer(
    name="hitch",
    label="hitch",
    program="hitch",
    advice="apt-get install hitch",
    modes=frozenset({Mode.TCP}),
    files=files,
    arguments=lambda job: ["--config", str(job.directory / "hitch.conf")],
    version=lambda program: version_of(program, "--version"),
)
