"""Other logins within one session, judged like the first."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import trustme

from gateway import revocation
from gateway.bolt.again import MOST_REFUSED
from gateway.bolt.watching import MOST_LOGINS
from gateway.failures import BURST
from gateway.proof import TokenProof
from gateway.wire import bolt
from gateway.wire.bolt import (
    FAILURE,
    HELLO,
    IGNORED,
    LOGOFF,
    LOGON,
    RESET,
    RUN,
    SUCCESS,
    Message,
    Proposal,
    message,
)
from gateway.wire.packstream import Structure, Value, encode
from router.access import AccessLevel
from router.database import Database
from router.routedocument import parse_network
from tests.gateway.bolt.graphs import GRANTS, HOST, LOGINS, OF_BOB, TOKEN, client_of, closed
from tests.gateway.bolt.scripted import PULL, Client, Graph, basic
from tests.gateway.postgres.scripted import token
from tests.gateway.running import Running
from tests.gateway.wire.test_boltstream import chunked
from tests.upstreams import Upstream

ALICE, BOB, CAROL = basic("alice", TOKEN), basic("bob", OF_BOB), basic("carol", "pgt_of-carol")


@pytest.fixture
def client(gateway: Running, ca: trustme.CA, server: Upstream) -> Client:
    """Alice, who may write."""
    closed(gateway, server)
    client = client_of(gateway, ca)
    client.greet(Proposal(5, 4, 0))
    assert client.log_in((5, 4), ALICE).tag == SUCCESS
    client.query("RETURN 1")  # it is in the relay then
    return client


def again(client: Client, shown: Mapping[str, Value]) -> Message:
    assert client.ask(LOGOFF).tag == SUCCESS
    return client.ask(LOGON, dict(shown))


def test_another_users_level_picks_another_login(client: Client) -> None:
    for shown, user in ((BOB, "reader"), ({"scheme": "bearer", "credentials": TOKEN}, "writer"), (BOB, "reader")):
        assert again(client, shown).tag == SUCCESS
        assert client.query("RETURN 1").fields == (["RETURN 1", user],)
    client.peer.close()


def test_all_at_once_as_drivers_do(client: Client) -> None:
    query = message(0x10, "RETURN 1", {}, {}) + message(PULL, {"n": -1})
    client.send(
        message(LOGOFF) + message(LOGON, dict(BOB)) + query + message(LOGOFF) + message(LOGON, dict(ALICE)) + query
    )
    answers = [client.answer() for _ in range(10)]
    assert [answers[at].fields for at in (3, 8)] == [(["RETURN 1", "reader"],), (["RETURN 1", "writer"],)]
    client.peer.close()


@pytest.mark.parametrize(
    "shown",
    [CAROL, basic("bob", TOKEN), basic("owner", "o" * 9), basic("reader", "r" * 9), {"scheme": "none"}, {}],
    ids=["no level", "another's token", "the database's own", "its reader", "none", "nothing"],
)
def test_who_may_not_gets_the_databases_own_refusal(client: Client, graph: Graph, shown: dict[str, Value]) -> None:
    known = [each["principal"] for each in graph.asked(LOGON)]
    failure = again(client, shown)
    assert failure.tag == FAILURE
    assert failure.fields[0] == {"code": "Neo.ClientError.Security.Unauthorized", "message": "the database says no"}
    asked = graph.asked(LOGON)[len(known) :]
    assert [str(each["principal"])[:8] for each in asked] == ["refused-"]
    assert client.ask(0x10, "RETURN 1", {}, {}).tag == 0x7E
    client.peer.close()


@pytest.mark.parametrize("sizes", [(1,), (1, 1), (2, 1), (5, 5, 5)])
def test_no_way_of_cutting_it_brings_a_login_to_the_database(
    client: Client, graph: Graph, sizes: tuple[int, ...]
) -> None:
    client.send(message(LOGOFF) + chunked(encode(Structure(LOGON, (basic("owner", "o" * 9),))), *sizes))
    assert [client.answer().tag, client.answer().tag] == [SUCCESS, FAILURE]
    assert "owner" not in [each["principal"] for each in graph.asked(LOGON)]
    client.peer.close()


def test_a_second_hello_ends_the_session(client: Client, graph: Graph) -> None:
    before = len(graph.asked(HELLO))
    client.send(message(HELLO, {"user_agent": "x", **basic("owner", "o" * 9)}))
    assert client.peer.receive_to_end()[0] == b""
    assert len(graph.asked(HELLO)) == before
    client.peer.close()


def test_guessing_within_a_session_ends_it(gateway: Running, ca: trustme.CA, client: Client) -> None:
    client.ask(LOGOFF)
    tags = [client.ask(LOGON, basic("bob", "pgt_wrong")).tag for _ in range(BURST)]
    assert tags == [FAILURE] + [IGNORED] * (BURST - 1)
    client.send(message(LOGON, basic("bob", "pgt_wrong")))
    assert client.peer.receive_to_end()[0] == b""
    client.peer.close()
    other = client_of(gateway, ca)
    other.greet(Proposal(5, 4, 0))
    assert other.log_in((5, 4), ALICE).tag == SUCCESS  # a right token is never held up
    other.peer.close()


def test_a_session_ends_with_what_its_last_user_is_taken(gateway: Running, server: Upstream, client: Client) -> None:
    assert again(client, BOB).tag == SUCCESS
    closed(gateway, server, grants={"user:alice": AccessLevel.OWNER})
    assert client.peer.receive_to_end()[0] == b""
    client.peer.close()


def test_an_earlier_user_does_not_matter_any_more_after_one_of_that_level(
    gateway: Running, server: Upstream, client: Client
) -> None:
    for shown in (BOB, ALICE, basic("dora", "pgt_of-dora")):
        closed(gateway, server, grants={**GRANTS, "user:dora": AccessLevel.MANAGE})
        assert again(client, shown).tag == SUCCESS
    closed(gateway, server, grants={"user:dora": AccessLevel.WRITE})
    assert client.peer.receive_to_end()[0] == b""  # of an owner's login there may be something left
    client.peer.close()


def test_a_login_of_the_same_level_takes_the_place_of_the_one_before(
    gateway: Running, server: Upstream, client: Client
) -> None:
    """As drivers do whose tokens are about to end."""
    gateway.know(token("pgt_the-next", id_="t9"))
    assert again(client, basic("alice", "pgt_the-next")).tag == SUCCESS
    link = gateway.in_loop(lambda: next(iter(gateway.services.relay.links)))
    assert (link.proof, link.earlier) == (TokenProof("t9"), ())
    client.peer.close()


def test_a_login_that_a_failed_database_ignores_does_not_hide_who_is_there(
    gateway: Running, server: Upstream, client: Client, graph: Graph
) -> None:
    """The writer, who is about to lose that, shows who may read: the database does not listen, and goes on."""
    graph.fails_at = "NONSENSE"
    assert client.ask(RUN, "NONSENSE", {}, {}).tag == FAILURE
    assert [client.ask(LOGOFF).tag, client.ask(LOGON, dict(BOB)).tag] == [IGNORED, IGNORED]
    assert client.ask(RESET).tag == SUCCESS
    assert client.query("RETURN 1").fields == (["RETURN 1", "writer"],)
    closed(gateway, server, grants={**GRANTS, "user:alice": AccessLevel.READ})
    assert client.peer.receive_to_end()[0] == b""
    client.peer.close()


@pytest.mark.parametrize(("first", "then"), [(ALICE, BOB), (BOB, ALICE)])
@pytest.mark.parametrize("gone", ["alice", "bob"])
def test_another_login_sent_ahead_is_judged_like_any(
    gateway: Running, ca: trustme.CA, server: Upstream, first: Mapping[str, Value], then: Mapping[str, Value], gone: str
) -> None:
    closed(gateway, server)
    client = client_of(gateway, ca)
    logins = message(HELLO, {}) + message(LOGON, dict(first)) + message(LOGOFF) + message(LOGON, dict(then))
    client.send(bolt.propose(Proposal(5, 4, 0)) + logins)
    assert client.receive(4) == b"\0\0\4\5"
    assert [client.answer().tag for _ in range(4)] == [SUCCESS] * 4
    if gone == "bob" and then is ALICE:  # hers is the higher level
        link = gateway.in_loop(lambda: next(iter(gateway.services.relay.links)))
        assert (link.proof, link.least, link.earlier) == (TokenProof("t1"), AccessLevel.WRITE, ())
    else:
        closed(gateway, server, grants={user: level for user, level in GRANTS.items() if user != f"user:{gone}"})
        assert client.peer.receive_to_end()[0] == b""
    client.peer.close()


@pytest.mark.parametrize("what", ["pod", "address", "protocol"])
def test_passwords_of_another_database_are_not_told_to_this_one(
    gateway: Running, server: Upstream, client: Client, graph: Graph, what: str
) -> None:
    """The pod is gone, and another one has its name."""
    others = {level: (replace(logins[0], password="of another"),) for level, logins in LOGINS.items()}
    more: dict[str, Any] = {"grants": GRANTS, "database": Database("graph", others), "access": AccessLevel.READ}
    if what == "pod":
        gateway.route(HOST, "bolt", server.address, pod="u/other", **more)
    elif what == "address":
        gateway.route(HOST, "bolt", "127.0.0.1:9", **more)
    else:
        gateway.route(HOST, "postgres", server.address, **more)
    assert again(client, ALICE).tag == FAILURE
    assert "of another" not in repr(graph.seen)
    client.peer.close()


def test_logins_are_not_refused_without_end(client: Client, graph: Graph) -> None:
    assert client.ask(LOGOFF).tag == SUCCESS
    tags = [client.ask(LOGON, {"scheme": "none"}).tag for _ in range(MOST_REFUSED)]
    assert tags == [FAILURE] + [IGNORED] * (MOST_REFUSED - 1)
    client.send(message(LOGON, {"scheme": "none"}) + message(RUN, "x", {}, {}))
    assert client.peer.receive_to_end()[0] == b""
    assert "x" not in [each.fields[0] for _, each in graph.seen if each.tag == RUN]
    client.peer.close()


@pytest.mark.parametrize("is_ahead", [True, False])
def test_so_many_logins_at_once_that_others_had_to_wait_end_the_session(
    gateway: Running, ca: trustme.CA, server: Upstream, graph: Graph, *, is_ahead: bool
) -> None:
    closed(gateway, server)
    client = client_of(gateway, ca)
    client.greet(Proposal(5, 4, 0))
    flood = message(LOGON, dict(BOB)) * (MOST_LOGINS + 1)
    client.send(message(HELLO, {}) + message(LOGON, dict(ALICE)) + (flood if is_ahead else b""))
    assert [client.answer().tag, client.answer().tag] == [SUCCESS, SUCCESS]
    if not is_ahead:
        client.query("RETURN 1")
        client.send(flood)
        assert client.peer.receive_to_end()[0] == b""
    else:
        assert "logins at once" in str(client.answer().fields)
    assert len(graph.asked(LOGON)) == 1
    client.peer.close()


def test_who_is_counted_cannot_become_another(gateway: Running, server: Upstream, client: Client) -> None:
    closed(gateway, server, database=Database("graph", LOGINS, most_links_of_user=5))
    assert again(client, ALICE).tag == SUCCESS
    assert again(client, BOB).tag == FAILURE
    client.peer.close()


def test_a_level_below_that_of_the_endpoint_is_not_enough(gateway: Running, server: Upstream, client: Client) -> None:
    closed(gateway, server, AccessLevel.WRITE)
    assert again(client, ALICE).tag == SUCCESS
    assert again(client, BOB).tag == FAILURE
    client.peer.close()


def test_a_network_that_is_not_allowed_any_more_is_not_let_in_again(
    gateway: Running, server: Upstream, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocation, "PAUSE", 60.0)  # which would end the session before it can be asked
    closed(gateway, server, ip_allow=(parse_network("192.0.2.0/24"),))
    assert again(client, ALICE).tag == FAILURE
    client.peer.close()
