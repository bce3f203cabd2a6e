"""Clients that log in with the gateway, and get a session of the database behind it: by real libpq and by hand."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trustme

from certs.leaf import Leaf
from gateway.failures import BURST, PENALTY, Failures
from gateway.options import Options
from gateway.wire.pgmessage import Auth, message, parse_authentication, password_message
from gateway.wire.postgres import Startup, startup_message
from router.access import AccessLevel
from router.credentials import User
from router.database import Database, Login
from tests.gateway.postgres.scripted import (
    KEY,
    OK,
    PASSWORD,
    TOKEN,
    WELCOME,
    by_scram,
    database,
    messages,
    read_message,
    seen_out,
    token,
)
from tests.gateway.running import Running, running
from tests.gateway.talks import error_fields
from tests.peers import DEADLINE, SSL_REQUEST, Serve, TlsPeer, Upstream, tls_to, trusting, upstream

HOST = "db.pods.test"
LOGINS = {
    level: (Login(name, PASSWORD),)
    for level, name in ((AccessLevel.READ, "reader"), (AccessLevel.WRITE, "writer"), (AccessLevel.OWNER, "owner"))
}
GRANTS = {"user:alice": AccessLevel.WRITE}


@pytest.fixture
def gateway(leaf: Leaf) -> Iterator[Running]:
    options = Options(public_port=8443, drain=0, domain="pods.test", connect_timeout=0.5, opening_budget=5.0)
    with running([leaf], options) as gateway:
        gateway.know(User("alice"), User("bob"), token(), token("pgt_of-bob", "bob", "t2"))
        yield gateway


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> Path:
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


class Seen(list[Startup]):
    """The startup messages that a database got."""


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def server(seen: Seen) -> Iterator[Upstream]:
    with upstream(database(by_scram(), seen)) as server:
        yield server


def closed(gateway: Running, server: Upstream, access: AccessLevel = AccessLevel.READ, **more: Any) -> None:
    """Route to a database that is not public."""
    given = {"grants": GRANTS, "database": Database("mydb", LOGINS), **more}
    gateway.route(HOST, "postgres", server.address, access=access, **given)


def connect(gateway: Running, ca_file: Path, **more: str) -> psycopg.Connection:
    given = {
        "host": HOST, "hostaddr": "127.0.0.1", "port": str(gateway.port), "user": "alice", "password": TOKEN,
        "sslmode": "verify-full", "sslrootcert": str(ca_file), "connect_timeout": "10", **more,
    }  # fmt: skip
    return psycopg.connect(**given)  # type: ignore[arg-type]


def refusal(gateway: Running, ca_file: Path, **more: str) -> str:
    with pytest.raises(psycopg.OperationalError) as refused:
        connect(gateway, ca_file, **more)
    return str(refused.value)


def client_of(gateway: Running, ca: trustme.CA, host: str | None = HOST) -> TlsPeer:
    context = trusting(ca) if host else trusting(ca, check=False)
    return tls_to(gateway.port, context, host, before=(SSL_REQUEST,))


def start(peer: TlsPeer, **parameters: str) -> None:
    peer.send(startup_message((3, 0), {"user": "alice", **parameters}))


def receive_message(peer: TlsPeer) -> tuple[bytes, bytes]:
    header = peer.receive(5)
    return header[:1], peer.receive(int.from_bytes(header[1:], "big") - 4)


def kind_asked(peer: TlsPeer) -> int:
    kind, body = receive_message(peer)
    assert kind == b"R"
    return parse_authentication(body)[0]


# ---- the way in


@pytest.mark.parametrize(("level", "role"), [("read", "reader"), ("write", "writer"), ("manage", "owner")])
def test_the_level_picks_the_login(
    gateway: Running, server: Upstream, seen: Seen, ca_file: Path, level: str, role: str
) -> None:
    closed(gateway, server, grants={"user:alice": AccessLevel.parse(level)})
    with connect(gateway, ca_file, application_name="shell") as connection:
        assert connection.info.parameter_status("server_version") == "18.0"
    (startup,) = seen
    assert startup.parameters["user"] == role
    assert startup.parameters["database"] == "mydb"
    assert startup.parameters["application_name"] == "alice/shell"


@pytest.mark.parametrize(
    "asked", [{"channel_binding": "require"}, {"require_auth": "scram-sha-256"}, {"channel_binding": "disable"}]
)
def test_what_clients_may_insist_on_is_there(
    gateway: Running, server: Upstream, ca_file: Path, asked: dict[str, str]
) -> None:
    closed(gateway, server)
    connect(gateway, ca_file, **asked).close()


def test_any_token_of_the_user_will_do(gateway: Running, server: Upstream, ca_file: Path) -> None:
    closed(gateway, server)
    gateway.know(token("pgt_the-second", id_="t3"), token("pgt_the-third", id_="t4"))
    for text in (TOKEN, "pgt_the-second", "pgt_the-third"):
        connect(gateway, ca_file, password=text).close()
    assert "of user" not in refusal(gateway, ca_file, password="pgt_of-bob")


def test_the_password_is_sent_in_clear_text_where_the_name_asks_for_it(
    gateway: Running, server: Upstream, seen: Seen, ca_file: Path
) -> None:
    closed(gateway, server)
    connect(gateway, ca_file, user="alice+password", require_auth="password").close()
    assert seen[0].parameters["database"] == "mydb"
    assert "no valid API token" in refusal(gateway, ca_file, user="alice+password", password="pgt_of-bob")


def test_the_key_for_cancelling_is_ours_and_forgotten_at_the_end(
    gateway: Running, server: Upstream, ca_file: Path
) -> None:
    closed(gateway, server)
    sessions = gateway.services.sessions
    with connect(gateway, ca_file) as connection:
        assert connection.info.backend_pid not in (0, KEY.process_id)
        assert gateway.in_loop(lambda: len(sessions)) == 1
    seen_out(gateway)


def test_what_a_client_sends_ahead_of_its_welcome_is_not_lost(gateway: Running, ca: trustme.CA) -> None:
    def serve(connection: socket.socket, _startup: Startup) -> None:
        connection.sendall(OK + WELCOME)
        assert read_message(connection) == (b"Q", b"SELECT 1\0")
        connection.sendall(b"answer")

    with upstream(database(serve)) as server:
        gateway.route(HOST, "postgres", server.address)
        client = client_of(gateway, ca)
        client.send(startup_message((3, 0), {"user": "alice"}) + message(b"Q", b"SELECT 1\0"))
        welcome = client.receive(len(OK + WELCOME))
        assert [kind for kind, _ in messages(welcome)] == [b"R", b"S", b"K", b"Z"]
        assert client.receive(6) == b"answer"
        client.close()


def test_a_lower_version_of_the_protocol_is_told_before_the_welcome(gateway: Running, ca: trustme.CA) -> None:
    lower = message(b"v", (3 << 16).to_bytes(4, "big") + bytes(4))
    with upstream(database(by_scram(before=lower))) as server:
        closed(gateway, server)
        client = client_of(gateway, ca)
        client.send(startup_message((3, 2), {"user": "alice+password"}))
        assert kind_asked(client) == Auth.CLEARTEXT
        client.send(password_message(TOKEN))
        kinds = [receive_message(client) for _ in range(5)]
        assert [kind for kind, _ in kinds] == [b"v", b"R", b"S", b"K", b"Z"]
        assert len(kinds[3][1]) == 8  # bytes: 3.0 has no longer keys
        client.close()


# ---- a pod that TLS does not name


@pytest.mark.parametrize(
    "parameters",
    [
        {"user": "alice+password@db"},
        {"user": "alice+password@db.pods.test", "database": "alice+password@db.pods.test"},
        {"user": "alice+password", "options": "-c podgate.pod=db"},
        {"user": "alice+password", "options": "endpoint=db"},
    ],
)
def test_a_client_without_a_server_name_may_name_its_pod(
    gateway: Running, server: Upstream, seen: Seen, ca: trustme.CA, parameters: dict[str, str]
) -> None:
    closed(gateway, server)
    client = client_of(gateway, ca, None)
    start(client, **parameters)
    assert kind_asked(client) == Auth.CLEARTEXT
    client.send(password_message(TOKEN))
    assert kind_asked(client) == Auth.OK
    client.close()
    assert seen[0].parameters == {"user": "writer", "database": "mydb", "application_name": "alice"}


@pytest.mark.parametrize(
    ("parameters", "code", "said"),
    [
        ({}, "08004", "did not say which pod"),
        ({"user": "alice@nobody"}, "3D000", "there is no pod behind nobody.pods.test"),
        ({"user": "alice@web"}, "08P01", "speaks http"),
        ({"user": "alice@not a name"}, "08004", "cannot be the name"),
        ({"user": "alice@db", "options": "-c podgate.pod=db"}, "08P01", "names the pod 2 times"),
    ],
)
def test_a_client_that_does_not_name_one_is_told_what_to_do(
    gateway: Running, server: Upstream, ca: trustme.CA, parameters: dict[str, str], code: str, said: str
) -> None:
    closed(gateway, server)
    gateway.route("web", "http", server.address)
    client = client_of(gateway, ca, None)
    start(client, **parameters)
    fields = error_fields(client.receive_to_end()[0])
    assert fields["C"] == code
    assert said in fields["M"]
    assert server.accepted == 0
    client.close()


# ---- refusals


@pytest.mark.parametrize(("user", "password"), [("alice", "wrong"), ("nobody", TOKEN), ("bob", TOKEN), ("", "x")])
def test_a_wrong_token_is_told_like_any_other(
    gateway: Running, server: Upstream, ca_file: Path, user: str, password: str
) -> None:
    closed(gateway, server)
    said = refusal(gateway, ca_file, user=user or "+password", password=password)
    assert f"the password is no valid API token of a user {user!a}" in said
    assert "podgate token create" in said
    assert server.accepted == 0


def test_a_name_is_quoted(gateway: Running, server: Upstream, ca: trustme.CA) -> None:
    closed(gateway, server)
    client = client_of(gateway, ca)
    start(client, user="\x9b2J\u2028\u202ea line of a log\udcff" + 1000 * "a" + "+password")
    assert kind_asked(client) == Auth.CLEARTEXT
    client.send(password_message("wrong"))
    said = error_fields(client.receive_to_end()[0])["M"]
    client.close()
    assert said.isprintable()
    assert len(said) < 200


def test_whether_somebody_has_a_token_is_not_to_be_learned(gateway: Running, server: Upstream, ca: trustme.CA) -> None:
    """The salt of a name is the same each time, there or not, and as long."""
    closed(gateway, server)
    firsts: dict[str, list[bytes]] = {}
    for user in ("alice", "nobody", "nobody", "somebody"):
        client = client_of(gateway, ca)
        start(client, user=user)
        assert kind_asked(client) == Auth.SASL
        client.send(message(b"p", b"SCRAM-SHA-256\0" + (12).to_bytes(4, "big") + b"n,,n=,r=abcd"))
        kind, body = receive_message(client)
        assert kind == b"R"
        firsts.setdefault(user, []).append(body.partition(b",s=")[2])
        client.close()
    assert firsts["nobody"][0] == firsts["nobody"][1] != firsts["somebody"][0]
    assert len({len(first[0]) for first in firsts.values()}) == 1


@pytest.mark.parametrize("gone", ["expired", "revoked", "disabled"])
def test_a_token_that_holds_no_more_is_a_wrong_one(
    gateway: Running, server: Upstream, ca_file: Path, gone: str
) -> None:
    closed(gateway, server)
    if gone == "expired":
        gateway.know(token(expires=1.0))
    else:
        gateway.know(forget=["token:t1" if gone == "revoked" else "user:alice"])
    assert "no valid API token" in refusal(gateway, ca_file)


def test_who_holds_too_little_is_told_what_is_needed(gateway: Running, server: Upstream, ca_file: Path) -> None:
    closed(gateway, server, AccessLevel.OWNER)
    assert f"{HOST} asks for access level owner, and alice holds write" in refusal(gateway, ca_file)
    assert f"{HOST} asks for access level owner, and bob holds none" in refusal(
        gateway, ca_file, user="bob", password="pgt_of-bob"
    )
    assert server.accepted == 0


def test_replication_is_for_owners(gateway: Running, server: Upstream, seen: Seen, ca_file: Path) -> None:
    closed(gateway, server, grants={"user:alice": AccessLevel.MANAGE, "user:bob": AccessLevel.OWNER})
    assert "asks for access level owner, and alice holds manage" in refusal(gateway, ca_file, replication="database")
    connect(gateway, ca_file, user="bob", password="pgt_of-bob", replication="database").close()
    assert seen[0].parameters["replication"] == "database"


def test_an_address_that_shows_too_many_wrong_tokens_waits_for_each_answer_and_right_ones_do_not(
    gateway: Running, server: Upstream, ca: trustme.CA, ca_file: Path
) -> None:
    closed(gateway, server)

    def wrong() -> float:
        client = client_of(gateway, ca)
        began = time.monotonic()
        start(client, user="alice+password")
        assert kind_asked(client) == Auth.CLEARTEXT
        client.send(password_message("wrong"))
        assert error_fields(client.receive_to_end()[0])["C"] == "28P01"
        client.close()
        return time.monotonic() - began

    for _ in range(BURST):
        wrong()
    assert wrong() >= PENALTY
    began = time.monotonic()
    connect(gateway, ca_file).close()
    assert time.monotonic() - began < PENALTY


def test_what_cannot_be_read_counts_as_wrong(gateway: Running, server: Upstream, ca: trustme.CA) -> None:
    closed(gateway, server)
    counted = []

    class Counting(Failures):
        def count(self, address: str, now: float) -> float:
            counted.append(address)
            return super().count(address, now)

    gateway.services.failures = Counting()
    for answer in (message(b"p", b"no zero"), message(b"p", b"\xff\0"), message(b"p", b"\xed\xa0\x80\0")):
        client = client_of(gateway, ca)
        start(client, user="alice+password")
        assert kind_asked(client) == Auth.CLEARTEXT
        client.send(answer)
        assert error_fields(client.receive_to_end()[0])["C"] in ("28P01", "08P01")
        client.close()
    assert len(counted) == 3


@pytest.mark.parametrize("name", ["user", "database"])
def test_a_name_that_would_break_a_line_of_a_log_is_refused(
    gateway: Running, server: Upstream, ca: trustme.CA, name: str
) -> None:
    gateway.route(HOST, "postgres", server.address)
    client = client_of(gateway, ca)
    start(client, **{name: "x\n2026-11-21 LOG: forged"})
    assert error_fields(client.receive_to_end()[0])["C"] == "08P01"
    client.close()
    assert server.accepted == 0


def test_a_right_token_does_not_count_as_a_wrong_one(gateway: Running, server: Upstream, ca_file: Path) -> None:
    closed(gateway, server)
    for _ in range(BURST + 1):
        connect(gateway, ca_file, user="alice+password").close()


# ---- access that is taken back


@pytest.fixture
def held_up() -> Iterator[tuple[threading.Event, threading.Event, Serve]]:
    """Give a database that tells when it was asked, and answers when it is told to."""
    asked, go_on = threading.Event(), threading.Event()

    def steps(connection: socket.socket, startup: Startup) -> None:
        asked.set()
        go_on.wait(DEADLINE)
        by_scram()(connection, startup)

    yield asked, go_on, database(steps)
    go_on.set()


def test_a_session_whose_token_is_revoked_while_it_is_opened_does_not_begin(
    gateway: Running, ca_file: Path, held_up: tuple[threading.Event, threading.Event, Serve]
) -> None:
    asked, go_on, serve = held_up
    said: list[str] = []
    with upstream(serve) as server:
        closed(gateway, server)
        client = threading.Thread(target=lambda: said.append(refusal_of_query(gateway, ca_file)))
        client.start()
        assert asked.wait(DEADLINE)
        gateway.know(forget=["token:t1"])
        go_on.set()
        client.join(DEADLINE)
    assert "was taken back" in said[0]


def refusal_of_query(gateway: Running, ca_file: Path) -> str:
    try:
        with connect(gateway, ca_file) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError as error:
        return str(error)
    return "nothing"


@pytest.mark.parametrize("now", ["read", "none"])
def test_an_open_session_ends_with_the_level_it_was_opened_by(
    gateway: Running, server: Upstream, ca_file: Path, now: str
) -> None:
    closed(gateway, server)
    connection = connect(gateway, ca_file)
    closed(gateway, server, grants={"user:alice": AccessLevel.READ} if now == "read" else {})
    server.wait_until_idle()
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")


def test_an_open_session_goes_on_when_its_user_holds_more(gateway: Running, server: Upstream, ca_file: Path) -> None:
    closed(gateway, server)
    with connect(gateway, ca_file):
        closed(gateway, server, grants={"user:alice": AccessLevel.OWNER})
        (link,) = gateway.in_loop(lambda: list(gateway.services.relay.links))
        gateway.in_loop(gateway.revocation._begin)
        assert not link.closed
