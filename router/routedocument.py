"""Reading a route from its document.

A document with a key this version does not know is refused, not read halfway: the key might be a restriction.
"""

import ipaddress
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from router.access import AccessLevel
from router.database import NO_DATABASE, Database, parse_database
from router.hostname import InvalidName, check_pattern, normalise
from router.model import Address, Network, Protocol, Route, RouteState, TcpAddress, UnixAddress, WebRules

LONGEST_SOCKET_PATH = 107  # bytes (unix(7): sun_path is 108 with its final NUL)
LONGEST_MESSAGE = 500  # characters: shown to people and inside protocol errors
MOST_UPSTREAMS = 64  # of one route
MOST_NETWORKS = 256  # of one route
LEAST_RATE = 0.001  # requests a second
LONGEST_POD_KEY = 64  # characters

_KEYS = frozenset(Route.__slots__)
_Choice = TypeVar("_Choice", bound=StrEnum)


class InvalidRoute(ValueError):
    """A route document that cannot be used; the text names the field, what was expected and what was found."""


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
        host, protocol = check_pattern(_text(document, "host")), _choice(Protocol, document, "protocol", None)
        return Route(
            host=host,
            protocol=protocol,
            upstreams=_addresses(document.get("upstreams", [])),
            access=AccessLevel.parse(document.get("access", "owner")),
            state=_choice(RouteState, document, "state", RouteState.AVAILABLE),
            message=_message(document),
            pod=_pod(document),
            grants=_grants(document.get("grants", {})),
            ip_allow=_networks(document.get("ip_allow", [])),
            certificates=_flag(document, "certificates"),
            web=parse_web_rules(document.get("web", {})),
            own=_flag(document, "own"),
            database=_database(document, protocol),
            http=_http(document, protocol),
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


_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_GRANTEE = re.compile(r"(?:user|group):[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?|link:[A-Za-z0-9_-]{1,64}|everyone")


def parse_web_rules(document: object) -> WebRules:
    """Read the rules of an `http` endpoint. Raises InvalidRoute."""
    if not isinstance(document, Mapping):
        raise InvalidRoute(f"web: expected a table of fields, got {type(document).__name__}")
    unknown = sorted(str(key) for key in set(document) - set(WebRules.__slots__))
    if unknown:
        raise InvalidRoute(f"web: {', '.join(unknown)}: no such field; there are {', '.join(WebRules.__slots__)}")
    cors = document.get("cors", [])
    if not isinstance(cors, list | tuple) or not all(
        isinstance(origin, str) and (origin == "*" or _ORIGIN.fullmatch(origin)) for origin in cors
    ):
        raise InvalidRoute("web: cors: expected origins such as 'https://app.example.org', or '*'")
    largest = document.get("largest_body")
    rate = _number("rate", document.get("rate", 0.0))
    if 0 < rate < LEAST_RATE:
        raise InvalidRoute(f"web: rate: expected 0, for none, or at least {LEAST_RATE:g} requests a second")
    return WebRules(
        tuple(cors),
        None if largest is None else int(_number("largest_body", largest, whole=True)),
        rate,
        int(_number("burst", document.get("burst", 0), whole=True)),
        _number("idle_timeout", document.get("idle_timeout", 0.0)),
    )


def _number(name: str, value: object, *, whole: bool = False) -> float:
    kind = int if whole else int | float
    if isinstance(value, bool) or not isinstance(value, kind) or not 0 <= value < 2**53:
        raise InvalidRoute(f"web: {name}: expected a {'whole ' if whole else ''}number from 0 on, got {value!r}")
    return value


def _pod(document: Mapping[str, object]) -> str:
    pod = document.get("pod", "")
    if not isinstance(pod, str) or len(pod) > LONGEST_POD_KEY:
        raise InvalidRoute(f"pod: expected the key of a pod, of at most {LONGEST_POD_KEY} characters")
    return pod


def _grants(value: object) -> dict[str, AccessLevel]:
    """Read who holds which level; a grantee or a level that cannot be read might be meant to hold less, so neither is
    left out: the route is refused.
    """
    if not isinstance(value, Mapping):
        raise InvalidRoute(f"grants: expected levels by grantee, got {type(value).__name__}")
    for grantee in value:
        if not isinstance(grantee, str) or not _GRANTEE.fullmatch(grantee):
            raise InvalidRoute("grants: expected 'user:NAME', 'group:NAME', 'link:ID' or 'everyone'")
    try:
        return {grantee: AccessLevel.parse(level) for grantee, level in value.items()}
    except ValueError as error:
        raise InvalidRoute(f"grants: {error}") from None


def parse_network(text: object) -> Network:
    """Read an IPv4 or IPv6 network, or one address. Raises ValueError."""
    if not isinstance(text, str):
        raise ValueError(f"ip_allow: expected a network such as '192.0.2.0/24' or '2001:db8::/32', got {text!r}")
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"ip_allow: {error}") from None


def _networks(value: object) -> tuple[Network, ...]:
    if not isinstance(value, list | tuple) or len(value) > MOST_NETWORKS:
        raise InvalidRoute(f"ip_allow: expected a list of at most {MOST_NETWORKS} networks")
    return tuple(parse_network(item) for item in value)


def _flag(document: Mapping[str, object], name: str) -> bool:
    value = document.get(name, False)
    if not isinstance(value, bool):
        raise InvalidRoute(f"{name}: expected true or false, got {value!r}")
    return value


def _database(document: Mapping[str, object], protocol: Protocol) -> Database:
    if "database" not in document:
        return NO_DATABASE
    if protocol not in (Protocol.POSTGRES, Protocol.BOLT):
        raise InvalidRoute(f"database: a {protocol} endpoint has none")
    return parse_database(document["database"])


def _http(document: Mapping[str, object], protocol: Protocol) -> tuple[Address, ...]:
    if "http" in document and protocol is not Protocol.BOLT:
        raise InvalidRoute(f"http: a {protocol} endpoint has no HTTP side")
    try:
        return _addresses(document.get("http", []))
    except ValueError as error:
        raise InvalidRoute(str(error).replace("upstreams", "http", 1)) from None


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
