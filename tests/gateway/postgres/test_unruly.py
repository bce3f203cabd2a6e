"""Databases and clients that do not keep to the protocol of a login: told apart, bounded, and gone for good."""

import socket
import threading
from collections.abc import Iterator

import pytest
import trustme

from certs.leaf import Leaf
from gateway import connection as module
from gateway.options import Options
from gateway.postgres.database import LARGEST_MESSAGE, MOST_MESSAGES
from gateway.postgres.identifying import LARGEST_ANSWER
from gateway.wire.pgmessage import Auth, authentication, message, offer, password_message
from gateway.wire.postgres import Startup, error_response, startup_message
from router.access import AccessLevel
from router.credentials import User
from router.database import Database, Login
from tests.gateway.postgres.clients import BUDGET, HOST, client_of
from tests.gateway.postgres.scripted import (
    OK,
    PASSWORD,
    READY,
    TOKEN,
    WELCOME,
    Steps,
    by_scram,
    database,
    messages,
    read_message,
    say,
    token,
)
from tests.gateway.running import Running, running
from tests.gateway.talks import error_fields
from tests.peers import TlsPeer
from tests.upstreams import upstream

CLEARTEXT = authentication(Auth.CLEARTEXT)


@pytest.fixture
def gateway(leaf: Leaf) -> Iterator[Running]:
    with running([leaf], Options(public_port=8443, drain=0, opening_budget=BUDGET)) as gateway:
        gateway.know(User("alice"), token())
        yield gateway


def route(gateway: Running, address: str, *passwords: str) -> None:
    """Route to a database that the gateway logs in to by the first of these passwords that is taken."""
    logins = {AccessLevel.READ: tuple(Login("reader", password) for password in passwords or (PASSWORD,))}
    gateway.route(
        HOST, "postgres", address, access=AccessLevel.READ, grants={"user:alice": AccessLevel.READ},
        database=Database("mydb", logins),
    )  # fmt: skip


def log_in(gateway: Running, ca: trustme.CA) -> bytes:
    """Log in by a right token and give all that is said then, until the end or the welcome."""
    client = client_of(gateway, ca)
    client.send(startup_message((3, 0), {"user": "alice+password"}))
    assert client.receive(len(CLEARTEXT)) == CLEARTEXT
    client.send(password_message(TOKEN))
    said = b""
    while not said or messages(said)[-1][0] not in b"ZE":
        header = client.receive(5)
        said += header + client.receive(int.from_bytes(header[1:], "big") - 4)
    client.close()
    return said


# ---- databases


def forged(connection: socket.socket, _startup: Startup) -> None:
    """Ask for a proof, and let in without giving one."""
    connection.sendall(offer(["SCRAM-SHA-256"]))
    read_message(connection)
    connection.sendall(OK + WELCOME)


UNRULY: dict[str, tuple[Steps, str]] = {
    "gone": (lambda connection, _startup: connection.shutdown(socket.SHUT_RDWR), "08006"),
    "too large": (say(b"R" + (LARGEST_MESSAGE + 5).to_bytes(4, "big")), "08006"),
    "too short": (say(b"R" + bytes(4)), "08006"),
    "too much": (say(message(b"N", b"\0") * (MOST_MESSAGES + 1)), "08006"),
    "too many bytes": (say(message(b"N", bytes(60_000)) * 5), "08006"),
    "a question after the login": (by_scram(then=CLEARTEXT + WELCOME), "08006"),
    "a late question": (by_scram(then=WELCOME[:-6] + CLEARTEXT + READY), "08006"),
    "no kind": (say(message(b"R", b"\0")), "08006"),
    "a bad key": (say(OK, message(b"K", bytes(6))), "08006"),
    "cleartext": (say(CLEARTEXT), "08004"),
    "md5": (say(authentication(Auth.MD5, b"salt")), "08004"),
    "another mechanism": (say(offer(["OAUTHBEARER"])), "08004"),
    "a bad offer": (say(authentication(Auth.SASL, b"no end")), "08006"),
    "out of turn": (say(authentication(Auth.SASL_CONTINUE, b"r=a,s=b,i=1")), "08004"),
    "unproven": (forged, "08004"),
    "another password": (by_scram("another"), "08004"),
}


@pytest.mark.parametrize("name", UNRULY)
def test_a_database_that_cannot_be_logged_in_to_is_told_as_that(gateway: Running, ca: trustme.CA, name: str) -> None:
    steps, code = UNRULY[name]
    with upstream(database(steps)) as server:
        route(gateway, server.address)
        fields = error_fields(log_in(gateway, ca))
        server.wait_until_idle()
    assert fields["C"] == code
    assert PASSWORD not in str(fields)
    assert gateway.in_loop(lambda: len(gateway.services.sessions)) == 0


def test_a_database_that_says_nothing_is_told_as_that(gateway: Running, ca: trustme.CA) -> None:
    def steps(connection: socket.socket, _startup: Startup) -> None:
        gateway.hurry(BUDGET)
        assert connection.recv(1) == b""

    with upstream(database(steps)) as server:
        route(gateway, server.address)
        assert error_fields(log_in(gateway, ca))["C"] == "08006"
        server.wait_until_idle()
    assert gateway.in_loop(lambda: len(gateway.services.sessions)) == 0


def test_a_password_is_never_sent_in_clear_text(gateway: Running, ca: trustme.CA) -> None:
    sent: list[bytes] = []

    def steps(connection: socket.socket, _startup: Startup) -> None:
        connection.sendall(CLEARTEXT)
        sent.append(connection.recv(100))

    with upstream(database(steps)) as server:
        route(gateway, server.address)
        log_in(gateway, ca)
        server.wait_until_idle()
    assert sent == [b""]


def test_the_next_login_is_tried_while_passwords_rotate(gateway: Running, ca: trustme.CA) -> None:
    with upstream(database(by_scram("the new one"))) as server:
        route(gateway, server.address, "the old one", "the new one")
        assert [kind for kind, _ in messages(log_in(gateway, ca))] == [b"R", b"S", b"K", b"Z"]
        assert server.accepted == 2


@pytest.mark.parametrize("when", ["at once", "after the login"])
def test_a_database_that_has_no_room_says_so_itself(gateway: Running, ca: trustme.CA, when: str) -> None:
    words = error_response("53300", "sorry, too many clients already")
    with upstream(database(say(words) if when == "at once" else by_scram(then=words))) as server:
        route(gateway, server.address)
        assert log_in(gateway, ca).endswith(words)
        server.wait_until_idle()


def test_a_database_without_keys_for_cancelling_will_do(gateway: Running, ca: trustme.CA) -> None:
    with upstream(database(by_scram(then=READY))) as server:
        route(gateway, server.address)
        assert [kind for kind, _ in messages(log_in(gateway, ca))] == [b"R", b"Z"]


def test_a_database_that_asks_for_nothing_will_do(gateway: Running, ca: trustme.CA) -> None:
    with upstream(database(say(OK, WELCOME))) as server:
        route(gateway, server.address)
        assert messages(log_in(gateway, ca))[-1][0] == b"Z"


# ---- databases that clients log in to themselves


def public(gateway: Running, ca: trustme.CA, address: str) -> TlsPeer:
    gateway.route(HOST, "postgres", address)
    client = client_of(gateway, ca)
    client.send(startup_message((3, 0), {"user": "alice"}))
    return client


def test_any_way_of_asking_for_a_password_is_passed_on(gateway: Running, ca: trustme.CA) -> None:
    asked = [authentication(kind, b"data") for kind in (Auth.CLEARTEXT, Auth.MD5, Auth.SASL, Auth.SASL_CONTINUE)]

    def steps(connection: socket.socket, _startup: Startup) -> None:
        for number, question in enumerate(asked):
            connection.sendall(question)
            assert read_message(connection) == (b"p", b"%d" % number)
        connection.sendall(authentication(Auth.SASL_FINAL, b"last") + OK + WELCOME)

    with upstream(database(steps)) as server:
        client = public(gateway, ca, server.address)
        for number, question in enumerate(asked):
            assert client.receive(len(question)) == question
            client.send(message(b"p", b"%d" % number))
        last = authentication(Auth.SASL_FINAL, b"last") + OK
        assert client.receive(len(last)) == last
        client.close()


def test_a_token_is_not_passed_on_to_a_database_that_asks_for_it(gateway: Running, ca: trustme.CA) -> None:
    heard: list[bytes] = []

    def steps(connection: socket.socket, _startup: Startup) -> None:
        connection.sendall(CLEARTEXT)
        heard.append(connection.recv(100))

    with upstream(database(steps)) as server:
        client = public(gateway, ca, server.address)
        assert client.receive(len(CLEARTEXT)) == CLEARTEXT
        client.send(password_message(TOKEN))
        fields = error_fields(client.receive_to_end()[0])
        client.close()
        server.wait_until_idle()
    assert fields["C"] == "28P01"
    assert heard == [b""]


def test_where_nobody_can_tell_whose_turn_it_is_the_login_is_relayed(gateway: Running, ca: trustme.CA) -> None:
    gss = message(b"R", (7).to_bytes(4, "big"))

    def steps(connection: socket.socket, _startup: Startup) -> None:
        connection.sendall(gss)
        assert read_message(connection) == (b"p", b"ticket")
        connection.sendall(WELCOME)

    with upstream(database(steps)) as server:
        client = public(gateway, ca, server.address)
        assert client.receive(len(gss)) == gss
        client.send(message(b"p", b"ticket"))
        assert client.receive(len(WELCOME)) == WELCOME
        client.close()


def test_a_refusal_of_the_database_is_passed_on_as_it_is(gateway: Running, ca: trustme.CA) -> None:
    words = error_response("28P01", 'password authentication failed for user "alice"', "detail of its own")
    with upstream(database(say(words))) as server:
        client = public(gateway, ca, server.address)
        assert client.receive_to_end()[0] == words
        client.close()


def test_a_client_that_leaves_during_its_login_leaves_nothing(gateway: Running, ca: trustme.CA) -> None:
    asked = threading.Event()

    def steps(connection: socket.socket, _startup: Startup) -> None:
        connection.sendall(authentication(Auth.MD5, b"salt"))
        asked.set()

    with upstream(database(steps)) as server:
        client = public(gateway, ca, server.address)
        assert client.receive(1) == b"R"
        client.close()
        server.wait_until_idle()
    assert gateway.services.relay.count() == 0


# ---- clients


def asked(gateway: Running, ca: trustme.CA) -> TlsPeer:
    """Give a client that was asked to prove who it is."""
    route(gateway, "127.0.0.1:1")
    client = client_of(gateway, ca)
    client.send(startup_message((3, 0), {"user": "alice"}))
    header = client.receive(5)
    client.receive(int.from_bytes(header[1:], "big") - 4)
    return client


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"Q" + (5).to_bytes(4, "big") + b"\0", "08P01"),  # a query is no answer
        (b"p" + (LARGEST_ANSWER + 1).to_bytes(4, "big"), "08P01"),
        (b"p" + (3).to_bytes(4, "big"), "08P01"),
        (message(b"p", b"SCRAM-SHA-1\0" + bytes(4)), "28P01"),  # was not offered
        (message(b"p", b"no zero"), "08P01"),
        (message(b"p", b"SCRAM-SHA-256\0" + (9).to_bytes(4, "big") + b"not scram"), "28P01"),
    ],
)
def test_a_client_that_does_not_answer_as_asked_is_told(
    gateway: Running, ca: trustme.CA, answer: bytes, code: str
) -> None:
    client = asked(gateway, ca)
    client.send(answer)
    assert error_fields(client.receive_to_end()[0])["C"] == code
    client.close()


@pytest.mark.parametrize("said", [b"", b"\0\0"])
def test_a_client_that_does_not_say_who_it_is_is_cut_in_time(
    gateway: Running, ca: trustme.CA, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(module, "REPLY_BUDGET", 0.5)
    route(gateway, "127.0.0.1:1")
    client = client_of(gateway, ca)
    client.send(said)
    gateway.hurry(BUDGET)
    client.receive_to_end()
    client.close()


def test_a_client_that_does_not_answer_is_told_in_time(gateway: Running, ca: trustme.CA) -> None:
    client = asked(gateway, ca)
    gateway.hurry(BUDGET)
    assert error_fields(client.receive_to_end()[0])["C"] == "08006"
    client.close()
