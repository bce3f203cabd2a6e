"""When a client vanishes or loses its access, the database does not go on working for it."""

import queue
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import trustme

from certs.leaf import Leaf
from gateway.options import Options
from gateway.wire.pgmessage import Auth, authentication, cancel_request, message, password_message
from gateway.wire.postgres import Startup, startup_message
from router.access import AccessLevel
from router.credentials import User
from router.database import Database, Login
from tests.gateway.postgres.scripted import KEY, OK, READY, TOKEN, WELCOME, database, read_message, seen_out, token
from tests.gateway.running import Running, running
from tests.peers import DEADLINE, SSL_REQUEST, TlsPeer, read_exactly, tls_to, trusting
from tests.upstreams import Upstream, upstream

HOST = "db.pods.test"
CLEARTEXT = authentication(Auth.CLEARTEXT)
LOGINS = {level: (Login(f"{level}r", "secret"),) for level in (AccessLevel.READ, AccessLevel.OWNER)}


class Busy:
    """A database with a session that ends when `heeds` tells it to: by EOF, by a cancel, or by its owner's word."""

    def __init__(self, heeds: str) -> None:
        self._heeds = heeds
        self._end = threading.Event()
        self.told: queue.Queue[str] = queue.Queue()
        self.terminated_by: list[str] = []

    def serve(self, connection: socket.socket) -> None:
        size = read_exactly(connection, 4)
        packet = size + read_exactly(connection, int.from_bytes(size, "big") - 4)
        if packet == cancel_request(KEY):
            return self._hear("cancel")
        connection.sendall(OK + WELCOME)
        if b"user\0owner" in packet:
            self.terminated_by.append(packet[packet.index(b"owner") :].split(b"\0", 1)[0].decode())
            kind, query = read_message(connection)
            assert kind == b"Q"
            assert b"pg_terminate_backend(pid)" in query
            assert b"pid = 4711 AND usename = 'readr'" in query
            self._hear("terminate")
            return connection.sendall(READY)
        while connection.recv(100):
            pass
        self._hear("end")
        self._end.wait(DEADLINE)
        return None

    def _hear(self, what: str) -> None:
        self.told.put(what)
        if what == self._heeds:
            self._end.set()


@pytest.fixture
def gateway(leaf: Leaf) -> Iterator[Running]:
    with running([leaf], Options(public_port=8443, drain=0)) as gateway:
        gateway.know(User("alice"), token())
        yield gateway


def reader(gateway: Running, ca: trustme.CA, server: Upstream) -> TlsPeer:
    """Log in as somebody who may read."""
    gateway.route(
        HOST, "postgres", server.address, access=AccessLevel.READ, grants={"user:alice": AccessLevel.READ},
        database=Database("mydb", LOGINS),
    )  # fmt: skip
    client = tls_to(gateway.port, trusting(ca), HOST, before=(SSL_REQUEST,))
    client.send(startup_message((3, 0), {"user": "alice+password"}))
    assert client.receive(len(CLEARTEXT)) == CLEARTEXT
    client.send(password_message(TOKEN))
    client.receive(len(OK + WELCOME))
    last = time.monotonic() + DEADLINE
    while not gateway.services.relay.count():  # it is told that it is in a moment before it is
        assert time.monotonic() < last
    return client


EXPECTED = {"end": ["end"], "cancel": ["end", "cancel"], "terminate": ["end", "cancel", "terminate"]}


@pytest.mark.parametrize("heeds", EXPECTED)
@pytest.mark.parametrize("how", ["vanished", "revoked"])
def test_a_session_is_seen_out(gateway: Running, ca: trustme.CA, heeds: str, how: str) -> None:
    busy = Busy(heeds)
    with upstream(busy.serve) as server:
        client = reader(gateway, ca, server)
        if how == "revoked":
            gateway.know(forget=["token:t1"])
        else:
            client.reset()
        told = [busy.told.get(timeout=DEADLINE) for _ in EXPECTED[heeds]]
        client.close()
        server.wait_until_idle()
        seen_out(gateway)
    assert told == EXPECTED[heeds]
    assert busy.told.empty()


def test_it_is_ended_by_the_login_of_now_where_it_began(gateway: Running, ca: trustme.CA) -> None:
    """The logins may have rotated since, and the pod may have moved."""
    busy, elsewhere = Busy("terminate"), Busy("terminate")
    with upstream(busy.serve) as server, upstream(elsewhere.serve) as other:
        client = reader(gateway, ca, server)
        gateway.route(
            HOST, "postgres", other.address, access=AccessLevel.READ, grants={"user:alice": AccessLevel.READ},
            database=Database("mydb", LOGINS | {AccessLevel.OWNER: (Login("owner2", "new"),)}),
        )  # fmt: skip
        gateway.know(forget=["token:t1"])
        assert [busy.told.get(timeout=DEADLINE) for _ in range(3)] == EXPECTED["terminate"]
        client.close()
        server.wait_until_idle()
        seen_out(gateway)
    assert busy.terminated_by == ["owner2"]
    assert other.accepted == 0


def test_a_session_that_ends_by_itself_is_left_alone(gateway: Running, ca: trustme.CA) -> None:
    cancels = []

    def steps(connection: socket.socket, _startup: Startup) -> None:
        connection.sendall(OK + WELCOME)
        assert read_message(connection) == (b"X", b"")
        connection.shutdown(socket.SHUT_RDWR)

    def serve(connection: socket.socket) -> None:
        cancels.append(connection)
        database(steps)(connection)

    with upstream(serve) as server:
        client = reader(gateway, ca, server)
        client.send(message(b"X"))
        client.end()
        client.receive_to_end()
        client.close()
        server.wait_until_idle()
        seen_out(gateway)
        assert server.accepted == len(cancels) == 1


def test_its_place_is_free_when_it_has_ended(gateway: Running, ca: trustme.CA) -> None:
    busy = Busy("cancel")
    with upstream(busy.serve) as server:
        client = reader(gateway, ca, server)
        (link,) = gateway.in_loop(lambda: list(gateway.services.relay.links))
        client.reset()
        assert [busy.told.get(timeout=DEADLINE), busy.told.get(timeout=DEADLINE)] == ["end", "cancel"]
        server.wait_until_idle()
        seen_out(gateway)
        client.close()
    assert link.closed
