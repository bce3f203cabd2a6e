"""A client that only counts the bytes of a Bolt answer: what is left of a query's time when nothing is decoded.

It asks, says goodbye at once, and reads until the server, which answers in order, ends the connection: so it need not
know where the answer ends. Source: Neo4j, "Bolt Protocol", version 4.4.
"""

import socket
import ssl

from gateway.wire import packstream
from gateway.wire.packstream import Structure, Value

HELLO, GOODBYE, RUN, PULL, SUCCESS = 0x01, 0x02, 0x10, 0x3F, 0x70
VERSION = b"\x00\x00\x04\x04"  # 4.4, where HELLO has the credentials too
HANDSHAKE = b"\x60\x60\xb0\x17" + VERSION + bytes(12)
ROOM = 1 << 20  # bytes read at once, if there are so many
PATIENCE = 120.0  # seconds of silence


class Refused(OSError):
    """The server did not let us in."""


def open_connection(
    address: tuple[str, int], name: str, context: ssl.SSLContext | None, auth: tuple[str, str]
) -> socket.socket:
    """Connect, shake hands and log in. Raises OSError."""
    connection = socket.create_connection(address, timeout=PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context is not None:
        connection = context.wrap_socket(connection, server_hostname=name)
    user, password = auth
    login: Value = {"user_agent": "podgate-bench/1", "scheme": "basic", "principal": user, "credentials": password}
    connection.sendall(HANDSHAKE + message(HELLO, login))
    with_version = _exactly(connection, len(VERSION))
    if with_version != VERSION:
        raise Refused(f"the server does not speak Bolt 4.4: {with_version.hex()}")
    answer = packstream.decode(_message(connection))
    if not isinstance(answer, Structure) or answer.tag != SUCCESS:
        raise Refused("the server did not accept the login")
    return connection


def ask(connection: socket.socket, query: str, database: str) -> int:
    """Ask on a connection that is used for nothing more; give how many bytes came until its end."""
    told: Value = {"db": database} if database else {}
    connection.sendall(message(RUN, query, {}, told) + message(PULL, {"n": -1}) + message(GOODBYE))
    return drain(connection)


def drain(connection: socket.socket) -> int:
    """Read to the end and count."""
    room, count = bytearray(ROOM), 0
    while got := connection.recv_into(room):
        count += got
    return count


def message(tag: int, *fields: Value) -> bytes:
    """Write one message, in one chunk."""
    body = packstream.encode(Structure(tag, fields))
    return len(body).to_bytes(2, "big") + body + b"\x00\x00"


def _message(connection: socket.socket) -> bytes:
    body = b""
    while size := int.from_bytes(_exactly(connection, 2), "big"):
        body += _exactly(connection, size)
    return body


def _exactly(connection: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise Refused(f"the server ended the connection after {len(parts)} of {size} bytes")
        parts += part
    return parts
