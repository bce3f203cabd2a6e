"""Clients and databases that do not play by the rules: each is told so or cut, and nothing of it is a fault of ours."""

import logging
import select
import socket
from collections.abc import Callable, Iterator

import pytest
import trustme

from gateway.wire import bolt
from gateway.wire.bolt import FAILURE, HELLO, LOGON, RECORD, SUCCESS, Proposal, message
from gateway.wire.packstream import Value
from router.access import AccessLevel
from tests.gateway.bolt.graphs import BUDGET, LOGINS, OF_BOB, TOKEN, client_of, closed
from tests.gateway.bolt.scripted import Client, basic
from tests.gateway.bolt.test_opening import refused, said
from tests.gateway.running import Running
from tests.gateway.wire.prefixes import recorded
from tests.peers import Ending, read_exactly, tls_to, trusting
from tests.upstreams import Upstream, upstream

SECRETS = [TOKEN, OF_BOB, *(login.password for logins in LOGINS.values() for login in logins)]
BOTH = pytest.mark.parametrize("access", [AccessLevel.PUBLIC, AccessLevel.READ])


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """See to it that no fault of ours and no secret gets into the log."""
    caplog.set_level(logging.DEBUG)
    yield caplog
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert [secret for secret in SECRETS if secret in caplog.text] == []


# ---- databases


Unruly = Callable[[socket.socket, Running], None]


def after(handshake: bytes, *answers: bytes) -> Unruly:
    """Make a database that answers the handshake by something, and then each bit of what comes by the next thing."""

    def serve(connection: socket.socket, gateway: Running) -> None:
        read_exactly(connection, bolt.HANDSHAKE_SIZE)
        connection.sendall(handshake)
        for answer in answers:
            hear(connection, gateway)
            connection.sendall(answer)
        while hear(connection, gateway):
            pass

    return serve


def hear(connection: socket.socket, gateway: Running) -> bytes:
    """Take what the gateway says next; as long as each waits for the other, time passes quickly for it."""
    while not select.select((connection,), (), (), 0.05)[0]:
        gateway.hurry(BUDGET / 5)
    return connection.recv(1 << 16)


SPEAKS = b"\0\0\4\5"
UNRULY: dict[str, Unruly] = {
    "ends at once": lambda connection, _gateway: connection.close(),
    "speaks another protocol": after(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "speaks nothing": after(bytes(4)),
    "a version nobody asked for": after(b"\0\0\x63\x63", message(FAILURE, {})),
    "a manifest without end": after(b"\0\0\1\xff" + b"\xff" * 20),
    "a manifest of a million": after(b"\0\0\1\xff\xc0\x84\x3d" + b"\0\0\4\5" * 100),
    "no message": after(SPEAKS, b"\0\1\x90\0\0"),
    "messages without a beginning": after(SPEAKS, b"\0\0" * 4096),
    "a message too large": after(SPEAKS, message(SUCCESS, {"server": "x" * bolt.LARGEST_MESSAGE})),
    "a record first": after(SPEAKS, message(RECORD, [1]) + message(SUCCESS, {})),
    "a question": after(SPEAKS, message(SUCCESS, {}) + message(LOGON, {})),
    "nonsense in a success": after(SPEAKS, message(SUCCESS, 1, 2, 3) * 2 + b"\xff"),
    "a failure without anything": after(SPEAKS, message(FAILURE)),
    "a failure of strange things": after(SPEAKS, message(FAILURE, {"code": 5, "message": [b"x"]})),
    "a failure for the log": after(SPEAKS, message(FAILURE, {"code": "Neo.ClientError.Security.\n2026 ERROR x"})),
}


@BOTH
@pytest.mark.parametrize("serve", UNRULY.values(), ids=UNRULY)
def test_an_unruly_database_ends_the_opening(
    gateway: Running, ca: trustme.CA, access: AccessLevel, serve: Unruly
) -> None:
    with upstream(lambda connection: serve(connection, gateway)) as server:
        closed(gateway, server, access)
        for _ in range(2):  # the second time it is known
            client = client_of(gateway, ca)
            client.send(bolt.propose(Proposal(255, 1, 0), Proposal(5, 4, 4)))
            shown = basic("alice", TOKEN) if access is AccessLevel.READ else basic("reader", "wrong")
            client.send(message(HELLO, {"user_agent": "x"}) + message(LOGON, shown))
            client.peer.end()
            client.peer.receive_to_end()
            client.peer.close()
        server.wait_until_idle()


# ---- clients


@BOTH
@pytest.mark.parametrize("name", ["neo4j_bolt44", "neo4j_bolt54"])
def test_a_client_may_leave_anywhere(
    gateway: Running, ca: trustme.CA, server: Upstream, access: AccessLevel, name: str
) -> None:
    closed(gateway, server, access)
    data = recorded(name)
    for size in range(0, len(data), 11):
        peer = tls_to(gateway.port, trusting(ca), "graph.pods.test")
        peer.send(data[:size])
        if size % 2:
            peer.end()
            peer.receive_to_end()
        peer.close()
    server.wait_until_idle()


@pytest.mark.parametrize("scheme", ["basic", "bearer", "none", 5, None, ["basic"], {"scheme": "basic"}])
@pytest.mark.parametrize("secret", ["", "pgt_x\n2026 ERROR y", "a.b.c", "\0", 5, None, [TOKEN], b"pgt_x"])
def test_strange_credentials_are_refused(
    gateway: Running, ca: trustme.CA, server: Upstream, scheme: Value, secret: Value
) -> None:
    closed(gateway, server)
    code, text = refused(gateway, ca, {"scheme": scheme, "principal": "al\nice", "credentials": secret})
    assert code == "Neo.ClientError.Security.Unauthorized"
    assert text.isprintable()
    assert server.accepted == 0


@pytest.mark.parametrize(
    ("access", "first"),
    [
        (AccessLevel.PUBLIC, b""),
        (AccessLevel.PUBLIC, message(HELLO, {"user_agent": "x"})),
        (AccessLevel.READ, message(HELLO, {"user_agent": "x"})),
        (AccessLevel.READ, message(HELLO, {"user_agent": "x"}) + message(LOGON, basic("alice", TOKEN))[:-1]),
    ],
)
def test_who_takes_too_long_is_told_so(
    gateway: Running, ca: trustme.CA, server: Upstream, access: AccessLevel, first: bytes
) -> None:
    closed(gateway, server, access)
    client = client_of(gateway, ca)
    client.greet(Proposal(5, 4, 0))
    client.send(first)
    if first:
        assert client.answer().tag == SUCCESS
    gateway.hurry(BUDGET)
    code, text = said(client.answer())
    assert (code, "was not open within" in text) == ("Neo.TransientError.General.DatabaseUnavailable", True)
    assert client.peer.receive_to_end() == (b"", Ending.GOODBYE)
    client.peer.close()
    server.wait_until_idle()


def drip(client: Client, data: bytes) -> None:
    for byte in data:
        client.send(bytes([byte]))


@BOTH
def test_byte_by_byte_is_the_same(gateway: Running, ca: trustme.CA, server: Upstream, access: AccessLevel) -> None:
    closed(gateway, server, access)
    client = client_of(gateway, ca)
    shown = basic("alice", TOKEN) if access is AccessLevel.READ else basic("writer", "w" * 9)
    drip(client, bolt.propose(Proposal(5, 4, 4)) + b"\0\0" + message(HELLO, {}) + b"\0\0" * 3 + message(LOGON, shown))
    assert client.receive(4) == SPEAKS
    assert [client.answer().tag, client.answer().tag] == [SUCCESS, SUCCESS]
    drip(client, message(bolt.RUN, "RETURN 1", {}, {}) + message(0x3F, {"n": -1}))
    assert [client.answer().tag, client.answer().fields] == [SUCCESS, (["RETURN 1", "writer"],)]
    client.peer.close()
