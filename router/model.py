"""Route: what a gateway knows about one host name, and its form as a document.

A document with a key this version does not know is refused, not read halfway: the key might be a restriction.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from router.access import AccessLevel
from router.hostname import InvalidName, check_pattern, normalise

LONGEST_SOCKET_PATH = 107  # bytes (unix(7): sun_path is 108 with its final NUL)
LONGEST_MESSAGE = 500  # characters: shown to people and inside protocol errors
MOST_UPSTREAMS = 64  # of one route


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


class InvalidRoute(ValueError):
    """A route document that cannot be used; the text names the field, what was expected and what was found."""


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


@dataclass(frozen=True, slots=True)
class Route:
    """One host name (or `*.suffix`), what it speaks, who may use it and where it leads."""

    host: str
    protocol: Protocol
    upstreams: tuple[Address, ...]
    access: AccessLevel = AccessLevel.OWNER
    state: RouteState = RouteState.AVAILABLE
    message: str = ""  # what to do about the state, for people who connect

    def to_document(self) -> dict[str, object]:
        """Give the JSON form that `parse_route` reads back to an equal route."""
        return {
            "host": self.host,
            "protocol": str(self.protocol),
            "upstreams": [str(address) for address in self.upstreams],
            "access": str(self.access),
            "state": str(self.state),
            "message": self.message,
        }


_KEYS = frozenset(Route.__slots__)
_Choice = TypeVar("_Choice", bound=StrEnum)


def parse_address(text: object) -> Address:
    """Read `host:port`, `[v6]:port` or `unix:/path`. Raises ValueError."""
    if not isinstance(text, str):
        raise ValueError(f"upstreams: expected 'host:port' or 'unix:/path', got {text!r}")
    if text.startswith("unix:"):
        path = text[5:]
        if not path.startswith("/") or "\0" in path or not 0 < _size(path) <= LONGEST_SOCKET_PATH:
            raise ValueError(f"upstreams: {text!r}: expected an absolute path of at most {LONGEST_SOCKET_PATH} bytes")
        return UnixAddress(path)
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or len(port) > 5 or not 0 < int(port) < 65536:
        raise ValueError(f"upstreams: {text!r}: expected 'host:port' with a port from 1 to 65535, or 'unix:/path'")
    try:
        return TcpAddress(_check_upstream_host(host), int(port))
    except ValueError:
        raise ValueError(f"upstreams: {text!r}: expected an IP address, IPv6 in brackets, or a host name") from None


def parse_route(document: object) -> Route:
    """Read one route document; `access` left out means `owner`, the most closed. Raises InvalidRoute."""
    if not isinstance(document, Mapping):
        raise InvalidRoute(f"expected a table of fields, got {type(document).__name__}")
    unknown = [str(key) for key in document if key not in _KEYS]
    if unknown:
        raise InvalidRoute(f"{', '.join(sorted(unknown))}: no such field; there are {', '.join(sorted(_KEYS))}")
    try:
        return Route(
            host=check_pattern(_text(document, "host")),
            protocol=_choice(Protocol, document, "protocol", None),
            upstreams=_addresses(document.get("upstreams", [])),
            access=AccessLevel.parse(document.get("access", "owner")),
            state=_choice(RouteState, document, "state", RouteState.AVAILABLE),
            message=_message(document),
        )
    except InvalidRoute:
        raise
    except ValueError as error:
        raise InvalidRoute(str(error)) from error


def host_of_document(document: object) -> str | None:
    """Give the host a route document is about if that much can be read: even a bad route names what it is about."""
    if not isinstance(document, Mapping) or not isinstance(document.get("host"), str):
        return None
    try:
        return check_pattern(document["host"])
    except InvalidName:
        return None


def _text(document: Mapping[str, object], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not value:
        raise InvalidRoute(f"{key}: expected a text, got {'nothing' if value is None else repr(value)}")
    return value


def _choice(kind: type[_Choice], document: Mapping[str, object], key: str, default: _Choice | None) -> _Choice:
    value = document.get(key, default)
    try:
        return kind(value)  # type: ignore[arg-type]
    except ValueError:
        raise InvalidRoute(f"{key}: expected one of {', '.join(kind)}, got {value!r}") from None


def _message(document: Mapping[str, object]) -> str:
    message = document.get("message", "")
    if not isinstance(message, str) or len(message) > LONGEST_MESSAGE:
        raise InvalidRoute(f"message: expected a text of at most {LONGEST_MESSAGE} characters")
    return message


def _addresses(value: object) -> tuple[Address, ...]:
    if not isinstance(value, list | tuple) or len(value) > MOST_UPSTREAMS:
        raise InvalidRoute(f"upstreams: expected a list of at most {MOST_UPSTREAMS} addresses")
    return tuple(parse_address(item) for item in value)


def _size(path: str) -> int:
    """Give the bytes of a path, 0 if no file system could hold it (JSON can carry half of a surrogate pair)."""
    try:
        return len(path.encode())
    except UnicodeEncodeError:
        return 0


def _check_upstream_host(host: str) -> str:
    if host.startswith("[") and host.endswith("]"):
        return str(ipaddress.IPv6Address(host[1:-1]))
    try:
        return str(ipaddress.IPv4Address(host))
    except ValueError:
        return normalise(host)
