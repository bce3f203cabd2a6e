"""One endpoint as a client sees it: how to connect to it and ask it something small, by protocol.

A `Talk` is an open connection that can be asked again and again. Through the gateway there is TLS; straight at the
upstream there is none, so the difference between the two is all that the gateway does.
"""

import http.client
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from router.model import Address, TcpAddress

PATIENCE = 10.0  # seconds for anything a single connection does


@dataclass(frozen=True, slots=True)
class Talk:
    """An open connection: `ask` sends something small and waits for the whole answer."""

    ask: Callable[[], None]
    close: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Door:
    """The gateway's side of an endpoint."""

    host: str
    address: str  # where the name leads
    port: int
    context: ssl.SSLContext


def connect(door: Door) -> socket.socket:
    """Open a TCP connection to the gateway."""
    plain = socket.create_connection((door.address, door.port), timeout=PATIENCE)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return plain


def handshake(door: Door) -> tuple[float, float]:
    """Connect and shake hands; give how long each took."""
    began = time.perf_counter()
    with connect(door) as plain:
        connected = time.perf_counter()
        with door.context.wrap_socket(plain, server_hostname=door.host):
            return connected - began, time.perf_counter() - connected


def http_through(door: Door) -> Talk:
    """Ask for / over and over on one connection."""
    tls = door.context.wrap_socket(connect(door), server_hostname=door.host)
    return _http(door.host, door.port, tls)


def http_straight(door: Door, upstream: Address) -> Talk:
    """Ask the upstream itself, as the gateway does."""
    return _http(door.host, door.port, _dial(upstream))


def postgres_through(door: Door, uri: str, password: str, ca: Path) -> Talk:
    """Connect by StartTLS, log in, and ask SELECT 1."""
    options = f"sslmode=verify-full sslrootcert='{ca}' hostaddr={door.address}"
    return _postgres(uri, password, f"host={door.host} port={door.port} {options}")


def postgres_straight(uri: str, password: str, upstream: Address) -> Talk:
    """Log in at the upstream itself."""
    if isinstance(upstream, TcpAddress):
        return _postgres(uri, password, f"host={upstream.host} port={upstream.port} sslmode=disable")
    folder, _, port = upstream.path.rpartition("/.s.PGSQL.")
    return _postgres(uri, password, f"host='{folder}' port={port}")


def _dial(upstream: Address) -> socket.socket:
    if isinstance(upstream, TcpAddress):
        return socket.create_connection((upstream.host, upstream.port), timeout=PATIENCE)
    plain = socket.socket(socket.AF_UNIX)
    plain.settimeout(PATIENCE)
    plain.connect(upstream.path)
    return plain


def _http(host: str, port: int, connected: socket.socket) -> Talk:
    connection = http.client.HTTPConnection(host, port)
    connection.sock = connected

    def ask() -> None:
        if connection.sock is None:
            raise OSError("the server closes its connection after each answer, so a round trip cannot be measured")
        connection.request("GET", "/", headers={"Accept": "*/*"})
        answer = connection.getresponse()
        answer.read()
        if answer.status >= 400:
            raise OSError(f"the answer was {answer.status} {answer.reason}")

    return Talk(ask, connection.close)


def _postgres(uri: str, password: str, where: str) -> Talk:
    from psycopg import pq

    parts = urlsplit(uri)
    login = f"user={parts.username} dbname={unquote(parts.path.lstrip('/'))} gssencmode=disable connect_timeout=10"
    quoted = password.replace("\\", "\\\\").replace("'", "\\'")
    connection = pq.PGconn.connect(f"{where} {login} password='{quoted}'".encode())
    if connection.status != pq.ConnStatus.OK:
        raise OSError(connection.get_error_message().strip())

    def ask() -> None:
        result = connection.exec_(b"SELECT 1")
        if result.status != pq.ExecStatus.TUPLES_OK:
            raise OSError(result.get_error_message().strip())

    return Talk(ask, connection.finish)
