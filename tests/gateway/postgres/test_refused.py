"""Clients that do not get into a database that is not public, and what they are told."""

import select
from pathlib import Path

import pytest
import trustme

from gateway import failures
from gateway.failures import BURST, Failures
from gateway.wire.pgmessage import Auth, message, password_message
from gateway.wire.postgres import LARGEST_STARTUP, startup_message
from router.access import AccessLevel
from tests.gateway.postgres.clients import (
    BUDGET,
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
from tests.gateway.postgres.scripted import TOKEN, token
from tests.gateway.running import Running, Unforgetting
from tests.gateway.talks import error_fields
from tests.peers import TlsPeer
from tests.upstreams import Upstream


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


def test_a_client_that_leaves_no_room_for_its_name_beside_the_applications_is_told(
    gateway: Running, server: Upstream, ca: trustme.CA
) -> None:
    closed(gateway, server)
    room = LARGEST_STARTUP - len(startup_message((3, 0), {"user": "alice+password", "application_name": ""}))
    client = client_of(gateway, ca)
    start(client, user="alice+password", application_name="x" * room)
    assert kind_asked(client) == Auth.CLEARTEXT
    client.send(password_message(TOKEN))
    fields = error_fields(client.receive_to_end()[0])
    client.close()
    assert (fields["C"], "your client cannot be understood" in fields["M"]) == ("08P01", True)
    assert server.accepted == 0


def test_an_address_that_shows_too_many_wrong_tokens_waits_for_each_answer_and_right_ones_do_not(
    gateway: Running, server: Upstream, ca: trustme.CA, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "PENALTY", BUDGET / 2)
    closed(gateway, server)
    gateway.services.failures = Unforgetting()

    def show_a_wrong_one() -> TlsPeer:
        client = client_of(gateway, ca)
        start(client, user="alice+password")
        assert kind_asked(client) == Auth.CLEARTEXT
        client.send(password_message("wrong"))
        return client

    def is_told(client: TlsPeer) -> None:
        assert error_fields(client.receive_to_end()[0])["C"] == "28P01"
        client.close()

    for _ in range(BURST):
        is_told(show_a_wrong_one())
    waiting = show_a_wrong_one()
    connect(gateway, ca_file).close()
    assert select.select((waiting.socket,), (), (), 0)[0] == [], "told before its time"
    gateway.hurry(BUDGET / 2)
    is_told(waiting)


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
    gateway: Running, server: Upstream, seen: Seen, ca: trustme.CA, name: str
) -> None:
    gateway.route(HOST, "postgres", server.address)
    client = client_of(gateway, ca)
    start(client, **{name: "x\n2026-11-21 LOG: forged"})
    assert error_fields(client.receive_to_end()[0])["C"] == "08P01"
    client.close()
    server.wait_until_idle()
    assert not seen


def test_a_right_token_does_not_count_as_a_wrong_one(gateway: Running, server: Upstream, ca_file: Path) -> None:
    closed(gateway, server)
    for _ in range(BURST + 1):
        connect(gateway, ca_file, user="alice+password").close()
