"""Databases that do as a test tells them, and what is needed to log in through a gateway."""

import base64
import hashlib
import socket
import time
from collections.abc import Callable
from typing import Any

from gateway.postgres.scram import Denied, ScramServer
from gateway.wire.pgmessage import (
    Auth,
    CancelKey,
    authentication,
    backend_key,
    message,
    offer,
    parse_message,
    parse_sasl_initial,
)
from gateway.wire.postgres import Startup, error_response, parse_startup
from gateway.wire.verdict import More
from router.access import AccessLevel
from router.credentials import Token
from tests.gateway.postgres.logins import ITERATIONS, SALT, verifier
from tests.gateway.running import Running
from tests.peers import DEADLINE, read_exactly, read_to_end
from tests.upstreams import Serve

READY = message(b"Z", b"I")
OK = authentication(Auth.OK)
KEY = CancelKey(4711, b"real")
WELCOME = message(b"S", b"server_version\x0018.0\0") + backend_key(KEY) + READY
PASSWORD = "the password of a role"
TOKEN = "pgt_of-alice"
Steps = Callable[[socket.socket, Startup], None]


def token(text: str = TOKEN, user: str = "alice", id_: str = "t1", **more: Any) -> Token:
    """Make the record of a token."""
    made = verifier(text)
    kept = ":".join(base64.b64encode(part).decode() for part in (SALT, made.stored, made.server))
    hashed = hashlib.sha256(text.encode()).hexdigest()
    return Token(id_, hashed, user, verifier=f"{ITERATIONS}:{kept}", **{"most": AccessLevel.OWNER, **more})


def read_message(connection: socket.socket) -> tuple[bytes, bytes]:
    """Read one message: its kind and its body."""
    header = read_exactly(connection, 5)
    return header[:1], read_exactly(connection, int.from_bytes(header[1:], "big") - 4)


def database(steps: Steps, seen: list[Startup] | None = None) -> Serve:
    """Make a server that reads a startup message and then does `steps`, unless whoever has dialled leaves again."""

    def serve(connection: socket.socket) -> None:
        first = connection.recv(1)
        if not first:
            return
        size = first + read_exactly(connection, 3)
        startup = parse_startup(size + read_exactly(connection, int.from_bytes(size, "big") - 4))
        assert isinstance(startup, Startup)
        if seen is not None:
            seen.append(startup)
        steps(connection, startup)
        read_to_end(connection)

    return serve


def say(*parts: bytes) -> Steps:
    """Say something, whatever is asked."""
    return lambda connection, _startup: connection.sendall(b"".join(parts))


def by_scram(password: str = PASSWORD, then: bytes = WELCOME, before: bytes = b"") -> Steps:
    """Let in who knows a password."""

    def steps(connection: socket.socket, _startup: Startup) -> None:
        server = ScramServer([("", verifier(password))], SALT, ITERATIONS)
        connection.sendall(before + offer(server.mechanisms))
        initial = parse_sasl_initial(read_message(connection)[1])
        connection.sendall(authentication(Auth.SASL_CONTINUE, server.first(initial.mechanism, initial.data)))
        try:
            _, last = server.final(read_message(connection)[1])
        except Denied:
            return connection.sendall(error_response("28P01", "password authentication failed"))
        return connection.sendall(authentication(Auth.SASL_FINAL, last) + OK + then)

    return steps


def messages(data: bytes) -> list[tuple[bytes, bytes]]:
    """Part bytes into messages: the kind and body of each."""
    found = []
    while data:
        one = parse_message(data, 1 << 20)
        assert not isinstance(one, More)
        found.append((one.kind, one.body))
        data = data[one.size :]
    return found


def seen_out(gateway: Running) -> None:
    """Wait until nothing is left of any session."""
    last = time.monotonic() + DEADLINE
    while gateway.in_loop(lambda: len(gateway.services.sessions) + len(gateway.services.leaving)):
        assert time.monotonic() < last
