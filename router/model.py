"""Route: what a gateway knows about one host name; `router.routedocument` reads one."""

import ipaddress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from router.access import AccessLevel, Grants
from router.database import NO_DATABASE, Database


class Protocol(StrEnum):
    """What an endpoint speaks inside TLS."""

    HTTP = "http"
    POSTGRES = "postgres"
    BOLT = "bolt"
    TCP = "tcp"


class RouteState(StrEnum):
    """Whether the pod behind a route can take a connection now, and if not, why."""

    AVAILABLE = "available"
    STARTING = "starting"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """An upstream reached by TCP; `host` is an IP address or a name that the gateway's resolver knows."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """An upstream that listens on a unix socket on the gateway's own machine."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address = TcpAddress | UnixAddress
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class WebRules:
    """What an `http` endpoint may ask of its clients beside a level; 0 or None: nothing."""

    cors: tuple[str, ...] = ()  # origins whose scripts may call it with a bearer token, or `*`; answered by the gateway
    largest_body: int | None = None  # bytes of a request's body
    rate: float = 0.0  # requests a second of one caller, or address where nobody is identified
    burst: int = 0  # how many may come at once on top
    idle_timeout: float = 0.0  # seconds of silence while a request is under way; 0: the gateway's own limit

    def to_document(self) -> dict[str, Any]:
        """Give the JSON form that `routedocument.parse_web_rules` reads back to equal rules."""
        return {
            "cors": list(self.cors),
            "largest_body": self.largest_body,
            "rate": self.rate,
            "burst": self.burst,
            "idle_timeout": self.idle_timeout,
        }


_NO_RULES = WebRules()


@dataclass(frozen=True, slots=True)
class Route:
    """One host name (or `*.suffix`), what it speaks, who may use it and where it leads."""

    host: str
    protocol: Protocol
    upstreams: tuple[Address, ...]
    access: AccessLevel = AccessLevel.OWNER
    state: RouteState = RouteState.AVAILABLE
    message: str = ""  # what to do about the state, for people who connect
    pod: str = ""  # the key of the pod it belongs to
    grants: Grants = field(default_factory=dict, hash=False)
    ip_allow: tuple[Network, ...] = ()  # the only networks clients may come from; empty: any
    certificates: bool = False  # clients are asked for one
    web: WebRules = _NO_RULES
    own: bool = False  # of Podgate itself, not of a pod: what clients show of themselves goes through to it
    database: Database = NO_DATABASE  # of `postgres` and `bolt` alone
    http: tuple[Address, ...] = ()  # of `bolt` alone: where the same server speaks HTTP

    def web_side(self) -> "Route | None":
        """Give the route of requests to this host: itself, or the HTTP side of its server, if it has one; while nothing
        is there that could have one, the state can be told.
        """
        if self.protocol is Protocol.HTTP:
            return self
        is_there = self.state is RouteState.AVAILABLE
        if self.protocol is not Protocol.BOLT or (is_there and not self.http):
            return None
        return replace(self, protocol=Protocol.HTTP, upstreams=self.http)

    def to_document(self) -> dict[str, object]:
        """Give the JSON form that `routedocument.parse_route` reads back to an equal route, without what few have."""
        rare: dict[str, object] = {
            "pod": self.pod,
            "grants": {grantee: str(level) for grantee, level in self.grants.items()},
            "ip_allow": [str(network) for network in self.ip_allow],
            "certificates": self.certificates,
            "web": self.web.to_document() if self.web != _NO_RULES else None,
            "own": self.own,
            "database": self.database.to_document() if self.database != NO_DATABASE else None,
            "http": [str(address) for address in self.http],
        }
        return {
            "host": self.host,
            "protocol": str(self.protocol),
            "upstreams": [str(address) for address in self.upstreams],
            "access": str(self.access),
            "state": str(self.state),
            "message": self.message,
        } | {name: value for name, value in rare.items() if value}
