"""Clients that log in with the gateway, and get a session of the database behind it: by real libpq and by hand."""

import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from gateway.wire.pgmessage import Auth, message, password_message
from gateway.wire.postgres import Startup, startup_message
from router.access import AccessLevel
from tests.gateway.postgres.clients import (
    HOST,
    Seen,
    client_of,
    closed,
    connect,
    kind_asked,
    receive_message,
    refusal,
    start,
)
from tests.gateway.postgres.scripted import (
    KEY,
    OK,
    TOKEN,
    WELCOME,
    by_scram,
    database,
    messages,
    read_message,
    seen_out,
    token,
)
from tests.gateway.running import Running
from tests.gateway.talks import error_fields
from tests.gateway.webtokens import ISSUER, P384, RSA, jwk, signed
from tests.upstreams import Upstream, upstream


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


def test_a_web_token_of_an_issuer_of_ours_will_do_there(
    gateway: Running, server: Upstream, seen: Seen, ca_file: Path
) -> None:
    closed(gateway, server)
    issuer = replace(ISSUER, keys=(jwk(RSA, "r"),))
    gateway.know(issuer)
    now = time.time()
    fresh = signed(iat=now, exp=now + 100)
    connect(gateway, ca_file, user="alice+password", password=fresh).close()
    assert [startup.parameters["user"] for startup in seen] == ["writer"]
    for user, password in (
        ("bob+password", fresh),
        ("alice", fresh),
        ("alice+password", signed(iat=now - 100, exp=now - 1)),
        ("alice+password", signed(P384, "ES384", iat=now, exp=now + 100)),
        ("alice+password", signed(aud="others", iat=now, exp=now + 100)),
    ):
        assert "no valid API token" in refusal(gateway, ca_file, user=user, password=password)
    gateway.know(forget=[issuer.key])
    assert "no valid API token" in refusal(gateway, ca_file, user="alice+password", password=fresh)


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
