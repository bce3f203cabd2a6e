"""A database as far as cancelling goes: it lets everybody in, with keys, and keeps the cancels it is sent."""

import contextlib
import queue
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import trustme

from gateway.cancelling import Owner, owner_of
from gateway.wire.pgmessage import Auth, CancelKey, authentication, backend_key, cancel_request, message, parse_key
from gateway.wire.postgres import startup_message
from tests.peers import DEADLINE, SSL_REQUEST, TlsPeer, plain_to, read_exactly, read_to_end, tls_to, trusting
from tests.upstreams import upstream

READY = message(b"Z", b"I")


@dataclass
class Database:
    """What it has seen. Its keys are `pid` and as many bytes of secret."""

    secret: bytes = b"real"
    address: str = ""
    sessions: int = 0
    cancels: queue.Queue[bytes] = field(default_factory=queue.Queue)
    release: threading.Event = field(default_factory=threading.Event)  # cancels are held until it is set

    def key(self, number: int) -> CancelKey:
        return CancelKey(1000 + number, self.secret)

    def cancelled(self) -> bytes:
        """Wait for a cancel and give its packet."""
        return self.cancels.get(timeout=DEADLINE)

    def serve(self, connection: socket.socket) -> None:
        size = int.from_bytes(read_exactly(connection, 4), "big")
        body = read_exactly(connection, size - 4)
        if body[:4] == cancel_request(self.key(0))[4:8]:
            self.cancels.put(size.to_bytes(4, "big") + body)
            self.release.wait(DEADLINE)
            return
        self.sessions += 1
        connection.sendall(authentication(Auth.OK) + backend_key(self.key(self.sessions)) + READY)
        read_to_end(connection)


@contextlib.contextmanager
def database(secret: bytes = b"real", *, is_slow: bool = False) -> Iterator[Database]:
    """Run one; a slow one takes no cancel until it is released."""
    served = Database(secret)
    if not is_slow:
        served.release.set()
    with upstream(served.serve) as server:
        served.address = server.address
        yield served
        served.release.set()


@dataclass
class Session:
    """A client in a database, and its key."""

    client: TlsPeer
    key: CancelKey

    @property
    def owner(self) -> Owner:
        owner = owner_of(self.key)
        assert owner is not None
        return owner


def log_in(port: int, ca: trustme.CA, host: str, version: tuple[int, int] = (3, 0)) -> Session:
    """Connect as a Postgres client does. Raises EOFError with what was said instead."""
    client = tls_to(port, trusting(ca), host, before=(SSL_REQUEST,))
    client.send(startup_message(version, {"user": "alice", "database": "alice"}))
    key = CancelKey(0, b"")
    while True:
        kind = client.receive(1)
        body = client.receive(int.from_bytes(client.receive(4), "big") - 4)
        if kind == b"K":
            key = parse_key(body)
        elif kind == b"Z":
            return Session(client, key)
        elif kind == b"E":
            client.close()
            raise EOFError(body.decode())


def cancel(port: int, key: CancelKey) -> None:
    """Send a CancelRequest as psql does, and wait for its end."""
    with plain_to(port) as connection:
        connection.sendall(cancel_request(key))
        read_to_end(connection)
