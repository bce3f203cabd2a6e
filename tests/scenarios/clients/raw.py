"""The protocol by hand, for what no client lets itself be talked into."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from scramp import ScramClient  # type: ignore[import-untyped]

from tests.running import PATIENCE
from tests.scenarios.databases import Way

SSL_REQUEST = bytes.fromhex("0000000804d2162f")
GSS_REQUEST = bytes.fromhex("0000000804d21630")
CANCEL = bytes.fromhex("0000001004d2162e")
VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


@contextmanager
def connected(way: Way) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", way.port), PATIENCE) as raw:
        yield raw


@contextmanager
def inside_tls(way: Way, *requests: tuple[bytes, bytes], version: str = "TLSv1.3") -> Iterator[ssl.SSLSocket]:
    """Get into TLS by way of requests, each with the answer it is to have."""
    context = ssl.create_default_context(cafile=str(way.ca))
    context.minimum_version = context.maximum_version = VERSIONS[version]
    with connected(way) as raw:
        for request, answer in requests:
            raw.sendall(request)
            assert raw.recv(1) == answer
        with context.wrap_socket(raw, server_hostname=way.host) as tls:
            yield tls


def startup(way: Way, minor: int = 0, **more: str) -> bytes:
    """Make a startup message of protocol 3."""
    facts = {"user": way.user, "database": way.database, **more}
    body = b"".join(name.encode() + b"\0" + value.encode() + b"\0" for name, value in facts.items()) + b"\0"
    return (8 + len(body)).to_bytes(4, "big") + (0x30000 + minor).to_bytes(4, "big") + body


def log_in(tls: ssl.SSLSocket, way: Way) -> dict[bytes, bytes]:
    """Log in by SCRAM after a startup message; give what the server said until it was ready, by kind."""
    scram = ScramClient(["SCRAM-SHA-256"], way.user, way.password)
    seen: dict[bytes, bytes] = {}
    with tls.makefile("rb") as told:
        while b"Z" not in seen:
            kind, size = told.read(1), int.from_bytes(told.read(4), "big")
            body = seen[kind] = told.read(size - 4)
            assert kind != b"E", body
            if kind == b"R":
                _answer(tls, scram, int.from_bytes(body[:4], "big"), body[4:])
    return seen


def _answer(tls: ssl.SSLSocket, scram: ScramClient, asked: int, data: bytes) -> None:
    """Answer an authentication request: SASL, its continuation and its end are 10, 11 and 12."""
    answer = b""
    if asked == 10:
        first = scram.get_client_first().encode()
        answer = b"SCRAM-SHA-256\0" + len(first).to_bytes(4, "big") + first
    elif asked == 11:
        scram.set_server_first(data.decode())
        answer = scram.get_client_final().encode()
    elif asked == 12:
        scram.set_server_final(data.decode())
    if answer:
        tls.sendall(b"p" + (4 + len(answer)).to_bytes(4, "big") + answer)
