"""Clients that log in with the gateway, and get a session of the database behind it."""

import time
from collections.abc import Mapping
from contextlib import closing

import pytest
import trustme

from gateway import failures
from gateway.bolt.versions import LARGEST_ABOUT
from gateway.failures import BURST
from gateway.wire import bolt
from gateway.wire.bolt import FAILURE, GOODBYE, HELLO, LOGON, SUCCESS, Proposal, message
from gateway.wire.packstream import Value
from router.access import AccessLevel
from router.database import Database, Login
from router.model import RouteState
from router.routedocument import parse_network
from tests.gateway.bolt.graphs import HOST, LOGINS, OF_BOB, TOKEN, client_of, closed
from tests.gateway.bolt.scripted import OFFER, Client, Graph, basic
from tests.gateway.postgres.scripted import token
from tests.gateway.running import Running, Unforgetting
from tests.peers import Ending
from tests.upstreams import Upstream, upstream

ALICE = basic("alice", TOKEN)
OLD, NEW = Proposal(4, 4, 0), Proposal(5, 4, 4)


def said(failure: bolt.Message) -> tuple[str, str]:
    """Give code and text of a FAILURE."""
    assert failure.tag == FAILURE
    told = failure.fields[0]
    assert isinstance(told, dict)
    return str(told.get("neo4j_code") or told["code"]), str(told["message"])


def refused(gateway: Running, ca: trustme.CA, shown: Mapping[str, Value], *proposals: Proposal) -> tuple[str, str]:
    """Log in, and give what is said instead."""
    client = client_of(gateway, ca)
    version = client.greet(*proposals)
    assert version is not None
    found = said(client.log_in(version, shown))
    assert client.peer.receive_to_end() == (b"", Ending.GOODBYE)
    client.peer.close()
    return found


# ---- the way in


@pytest.mark.parametrize("proposals", [(OLD,), (NEW,), OFFER])
@pytest.mark.parametrize(("level", "user"), [("read", "reader"), ("write", "writer"), ("manage", "owner")])
def test_the_level_picks_the_login(
    gateway: Running, ca: trustme.CA, server: Upstream, level: str, user: str, proposals: tuple[Proposal, ...]
) -> None:
    closed(gateway, server, grants={"user:alice": AccessLevel.parse(level)})
    client = client_of(gateway, ca)
    version = client.greet(*proposals)
    assert version in ((4, 4), (5, 4))
    assert client.log_in(version, ALICE).tag == SUCCESS
    assert client.query("RETURN 1").fields == (["RETURN 1", user],)
    client.peer.close()


@pytest.mark.parametrize("proposal", [OLD, NEW])
def test_the_database_hears_nothing_of_what_a_client_has_shown(
    gateway: Running, ca: trustme.CA, server: Upstream, graph: Graph, proposal: Proposal
) -> None:
    closed(gateway, server)
    client = client_of(gateway, ca)
    version = client.greet(proposal)
    assert version is not None
    shown: dict[str, Value] = {**ALICE, "realm": "r", "parameters": {"more": TOKEN}}
    asks: dict[str, Value] = {"notifications_minimum_severity": "OFF", "routing": None, "anything": TOKEN}
    assert client.log_in(version, shown, **asks).tag == SUCCESS
    client.query("RETURN 1")
    assert TOKEN not in repr(graph.seen)
    hello = graph.asked(HELLO)[-1]
    assert (hello["user_agent"], hello["notifications_minimum_severity"]) == ("test/1", "OFF")
    assert "anything" not in hello
    client.peer.close()


def test_nobody_unknown_makes_the_gateway_talk_to_the_database(
    gateway: Running, ca: trustme.CA, server: Upstream
) -> None:
    closed(gateway, server)
    for shown in (basic("alice", "pgt_wrong"), {"scheme": "none"}, basic("carol", "pgt_of-carol")):
        refused(gateway, ca, shown)
    assert server.accepted == 0


@pytest.mark.parametrize("secret", [TOKEN, "pgt_the-second"])
def test_a_bearer_needs_no_name(gateway: Running, ca: trustme.CA, server: Upstream, secret: str) -> None:
    gateway.know(token("pgt_the-second", id_="t9"))
    closed(gateway, server)
    with closing(client_of(gateway, ca).peer) as peer:
        client = Client(peer)
        assert client.greet(NEW) == (5, 4)
        assert client.log_in((5, 4), {"scheme": "bearer", "credentials": secret}).tag == SUCCESS


def test_a_client_may_wait_for_the_answer_to_its_hello(gateway: Running, ca: trustme.CA, server: Upstream) -> None:
    closed(gateway, server)
    client = client_of(gateway, ca)
    client.greet(NEW)
    hello = client.ask(HELLO, {"user_agent": "test/1"})
    assert hello.tag == SUCCESS
    assert isinstance(hello.fields[0], dict)
    assert str(hello.fields[0]["server"]).startswith("Neo4j/")
    assert client.ask(LOGON, dict(ALICE)).tag == SUCCESS
    client.peer.close()


def test_what_a_client_sends_ahead_is_not_lost(gateway: Running, ca: trustme.CA, server: Upstream) -> None:
    closed(gateway, server)
    client = client_of(gateway, ca)
    ahead = message(HELLO, {}) + message(LOGON, dict(ALICE)) + b"\0\0" + message(bolt.RUN, "RETURN 2", {}, {})
    client.send(bolt.propose(NEW) + ahead + message(0x3F, {"n": -1}))
    assert client.receive(4) == b"\0\0\4\5"
    assert [client.answer().tag for _ in range(3)] == [SUCCESS] * 3
    assert client.answer().fields == (["RETURN 2", "writer"],)
    client.peer.close()


# ---- versions


def test_the_first_client_gets_a_guess_and_the_next_what_the_database_speaks(gateway: Running, ca: trustme.CA) -> None:
    graph = Graph(versions=((5, 3), (4, 4)))
    with upstream(graph) as server:
        closed(gateway, server)
        code, text = refused(gateway, ca, ALICE, NEW)
        assert code == "Neo.TransientError.General.DatabaseUnavailable"  # by which drivers try again
        assert "another version of Bolt" in text
        client = client_of(gateway, ca)
        assert client.greet(NEW) == (5, 3)
        assert client.log_in((5, 3), ALICE).tag == SUCCESS
        client.peer.close()


def test_newer_versions_are_spoken_once_the_database_is_known_to_speak_them(gateway: Running, ca: trustme.CA) -> None:
    graph = Graph(versions=((5, 8), (5, 4)))
    with upstream(graph) as server:
        closed(gateway, server)
        for expected in ((5, 4), (5, 8)):
            client = client_of(gateway, ca)
            assert client.greet() == expected
            assert client.log_in(expected, ALICE).tag == SUCCESS
            client.peer.close()


def test_a_database_that_says_too_much_of_itself_is_not_remembered_by_it(gateway: Running, ca: trustme.CA) -> None:
    graph = Graph(of_hello=message(SUCCESS, {"server": "Neo4j/" + "9" * LARGEST_ABOUT, "hints": {}}))
    with upstream(graph) as server:
        closed(gateway, server)
        for _ in range(2):
            client = client_of(gateway, ca)
            client.greet(NEW)
            told = client.ask(HELLO, {}).fields[0]
            assert isinstance(told, dict)
            assert told["server"] == "Neo4j/5.26.0"
            assert client.ask(LOGON, dict(ALICE)).tag == SUCCESS
            client.peer.close()


def test_a_client_of_unknown_versions_is_told_so(gateway: Running, ca: trustme.CA, server: Upstream) -> None:
    closed(gateway, server)
    client = client_of(gateway, ca)
    assert client.greet(Proposal(255, 1, 0), Proposal(9, 0, 0)) is None
    assert client.peer.receive_to_end() == (b"", Ending.GOODBYE)
    client.peer.close()


# ---- the way out


@pytest.mark.parametrize("proposal", [OLD, NEW])
def test_who_is_refused_is_told_why(gateway: Running, ca: trustme.CA, server: Upstream, proposal: Proposal) -> None:
    closed(gateway, server, AccessLevel.WRITE)
    code, text = refused(gateway, ca, basic("alice", OF_BOB), proposal)
    assert code == "Neo.ClientError.Security.Unauthorized"
    assert text.startswith("the password is no valid API token of a user 'alice'")
    code, text = refused(gateway, ca, {"scheme": "bearer", "credentials": "pgt_wrong"}, proposal)
    assert code == "Neo.ClientError.Security.Unauthorized"
    code, text = refused(gateway, ca, basic("bob", OF_BOB), proposal)
    assert code == "Neo.ClientError.Security.Forbidden"
    assert text.startswith(f"{HOST} asks for access level write, and bob holds read")
    for shown in ({}, {"scheme": "kerberos", "credentials": TOKEN}):
        code, text = refused(gateway, ca, shown, proposal)
        assert code == "Neo.ClientError.Security.Unauthorized"
        assert "your client has not shown who you are" in text
        assert "an API token as the password: podgate token create" in text


def test_a_guesser_waits_for_each_answer(
    gateway: Running, ca: trustme.CA, server: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "PENALTY", 1.0)
    gateway.services.failures = Unforgetting()
    closed(gateway, server)
    for _ in range(BURST):
        assert refused(gateway, ca, basic("alice", "pgt_wrong"))[0].endswith("Unauthorized")
    began = time.monotonic()
    assert refused(gateway, ca, basic("alice", "pgt_wrong"))[0].endswith("Unauthorized")
    assert time.monotonic() - began >= 1.0


def test_only_those_who_may_use_it_learn_what_a_pod_is_doing(
    gateway: Running, ca: trustme.CA, server: Upstream
) -> None:
    closed(gateway, server, state=RouteState.STOPPED, message="because of the test")
    assert "stopped" not in refused(gateway, ca, basic("carol", "pgt_of-carol"))[1]
    code, text = refused(gateway, ca, ALICE)
    assert code == "Neo.ClientError.Database.DatabaseNotFound"
    assert "because of the test" in text


def test_a_login_that_the_database_does_not_take(gateway: Running, ca: trustme.CA, server: Upstream) -> None:
    wrong = {AccessLevel.WRITE: (Login("writer", "old"), Login("nobody", "at all"))}
    closed(gateway, server, database=Database("graph", wrong))
    code, text = refused(gateway, ca, ALICE)
    assert code == "Neo.TransientError.General.DatabaseUnavailable"
    assert "does not take the gateway's login" in text


def test_the_second_login_is_tried(gateway: Running, ca: trustme.CA, server: Upstream) -> None:
    several = {AccessLevel.WRITE: (Login("writer", "old"), *LOGINS[AccessLevel.WRITE])}
    closed(gateway, server, database=Database("graph", several))
    client = client_of(gateway, ca)
    client.greet(NEW)
    assert client.log_in((5, 4), ALICE).tag == SUCCESS
    assert client.query("RETURN 1").fields == (["RETURN 1", "writer"],)
    client.peer.close()


@pytest.mark.parametrize(
    "data",
    [message(LOGON, dict(ALICE)), message(bolt.RUN, "RETURN 1", {}, {}), b"\0\1\x90\0\0", b"\xff\xff" * 40],
    ids=["logon first", "a query first", "a list", "too long"],
)
def test_what_is_said_out_of_turn_is_refused(gateway: Running, ca: trustme.CA, server: Upstream, data: bytes) -> None:
    closed(gateway, server)
    client = client_of(gateway, ca)
    client.greet(NEW)
    client.send(data)
    code, text = said(client.answer())
    assert code == "Neo.ClientError.Request.Invalid"
    assert "cannot be understood" in text
    assert TOKEN not in text
    assert server.accepted == 0
    client.peer.close()


def test_a_goodbye_before_anything_else_is_the_end(gateway: Running, ca: trustme.CA, server: Upstream) -> None:
    closed(gateway, server)
    client = client_of(gateway, ca)
    client.greet(NEW)
    client.send(message(GOODBYE))
    assert client.peer.receive_to_end() == (b"", Ending.GOODBYE)
    client.peer.close()


def test_a_session_ends_when_its_level_is_taken_back(gateway: Running, ca: trustme.CA, server: Upstream) -> None:
    closed(gateway, server)
    client = client_of(gateway, ca)
    client.greet(NEW)
    client.log_in((5, 4), ALICE)
    client.query("RETURN 1")
    closed(gateway, server, grants={"user:alice": AccessLevel.READ})  # she still may come, but not as the writer
    assert client.peer.receive_to_end()[0] == b""
    client.peer.close()


@pytest.mark.parametrize("access", [AccessLevel.PUBLIC, AccessLevel.READ])
def test_a_network_that_is_not_allowed_is_told_so(
    gateway: Running, ca: trustme.CA, server: Upstream, access: AccessLevel
) -> None:
    closed(gateway, server, access, ip_allow=(parse_network("192.0.2.0/24"),))
    code, text = refused(gateway, ca, ALICE)
    assert (code, "does not take connections from 127.0.0.1" in text) == ("Neo.ClientError.Security.Forbidden", True)
    assert server.accepted == 0


@pytest.mark.parametrize("access", [AccessLevel.PUBLIC, AccessLevel.READ])
def test_connections_are_counted(gateway: Running, ca: trustme.CA, server: Upstream, access: AccessLevel) -> None:
    closed(gateway, server, access, database=Database("graph", LOGINS, most_links=5))
    shown = ALICE if access is AccessLevel.READ else basic("reader", "r" * 9)
    code, text = refused(gateway, ca, shown)  # there is no supervisor here who could
    assert (code, "cannot be told" in text) == ("Neo.TransientError.General.DatabaseUnavailable", True)
    assert server.accepted == (0 if access is AccessLevel.READ else 1)


def test_a_database_that_was_exchanged_is_asked_anew(
    gateway: Running, ca: trustme.CA, server: Upstream, graph: Graph
) -> None:
    closed(gateway, server)
    client = client_of(gateway, ca)
    client.greet()
    assert client.log_in((5, 4), ALICE).tag == SUCCESS
    client.peer.close()
    graph.versions = ((4, 4),)
    assert "another version of Bolt" in refused(gateway, ca, ALICE)[1]
    client = client_of(gateway, ca)
    assert client.greet() == (4, 4)
    assert client.log_in((4, 4), ALICE).tag == SUCCESS
    client.peer.close()


def test_access_that_is_taken_back_meanwhile_is_not_given(
    gateway: Running, ca: trustme.CA, server: Upstream, graph: Graph
) -> None:
    closed(gateway, server)
    graph.at_login = lambda: closed(gateway, server, grants={})
    client = client_of(gateway, ca)
    client.greet(NEW)
    assert client.log_in((5, 4), ALICE).tag == SUCCESS
    assert "taken back just now" in said(client.answer())[1]
    assert client.peer.receive_to_end() == (b"", Ending.GOODBYE)
    client.peer.close()


def test_what_a_database_says_behind_its_welcome_is_not_lost(
    gateway: Running, ca: trustme.CA, server: Upstream, graph: Graph
) -> None:
    closed(gateway, server)
    graph.after_login = b"\0\0" * 5
    client = client_of(gateway, ca)
    client.greet(NEW)
    assert client.log_in((5, 4), ALICE).tag == SUCCESS
    assert client.receive(10) == graph.after_login
    client.peer.close()


def test_a_database_that_becomes_public_meanwhile_is_entered_by_the_level_all_the_same(
    gateway: Running, ca: trustme.CA, server: Upstream
) -> None:
    """The client has shown its token already: it cannot log in with the database any more."""
    closed(gateway, server)
    client = client_of(gateway, ca)
    client.greet(NEW)
    assert client.ask(HELLO, {}).tag == SUCCESS
    closed(gateway, server, AccessLevel.PUBLIC)
    assert client.ask(LOGON, dict(ALICE)).tag == SUCCESS
    assert client.query("RETURN 1").fields == (["RETURN 1", "writer"],)
    client.peer.close()
