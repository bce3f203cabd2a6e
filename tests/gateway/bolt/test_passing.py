"""Clients that log in to the database by themselves, where everybody may come."""

import time
from dataclasses import replace

import pytest
import trustme

from gateway.bolt.identifying import MOST_TEXTS
from gateway.wire import bolt
from gateway.wire.bolt import FAILURE, HELLO, LOGOFF, LOGON, RESET, SUCCESS, Proposal, message
from gateway.wire.boltmanifest import MANIFEST
from gateway.wire.packstream import Value
from tests.gateway.bolt.graphs import HOST, TOKEN, client_of
from tests.gateway.bolt.scripted import MANIFEST_OF_NEO4J, OFFER, WRONG, Graph, basic
from tests.gateway.bolt.test_opening import ALICE, NEW, OLD, refused, said
from tests.gateway.running import Running
from tests.gateway.webtokens import ISSUER, RSA, jwk, signed
from tests.peers import Ending
from tests.upstreams import Upstream, upstream

TELEMETRY = 0x54


@pytest.mark.parametrize("proposals", [(OLD,), (NEW,), OFFER])
def test_a_public_database_asks_for_its_own_password(
    gateway: Running, ca: trustme.CA, server: Upstream, graph: Graph, proposals: tuple[Proposal, ...]
) -> None:
    gateway.route(HOST, "bolt", server.address)
    client = client_of(gateway, ca)
    version = client.greet(*proposals)
    assert version is not None
    assert graph.handshakes == [bolt.propose(*proposals)]  # not a bit of it is ours
    assert client.log_in(version, basic("reader", "r" * 9)).tag == SUCCESS
    assert client.query("RETURN 1").fields == (["RETURN 1", "reader"],)
    assert gateway.in_loop(lambda: [link.transform for link in gateway.services.relay.links]) == [None]
    client.peer.close()


def test_a_public_database_refuses_by_itself(gateway: Running, ca: trustme.CA, server: Upstream) -> None:
    gateway.route(HOST, "bolt", server.address)
    client = client_of(gateway, ca)
    client.greet(NEW)
    assert said(client.log_in((5, 4), basic("reader", "wrong"))) == (
        "Neo.ClientError.Security.Unauthorized",
        "the database says no",
    )
    client.peer.close()


def test_the_manifest_passes(gateway: Running, ca: trustme.CA) -> None:
    graph = Graph(manifest=MANIFEST_OF_NEO4J)
    with upstream(graph) as server:
        gateway.route(HOST, "bolt", server.address)
        client = client_of(gateway, ca)
        assert client.greet() == MANIFEST
        assert client.receive(len(MANIFEST_OF_NEO4J) - 4) == MANIFEST_OF_NEO4J[4:]
        client.send(b"\0\0\x08\x05\0")
        assert client.log_in((5, 8), basic("reader", "r" * 9)).tag == SUCCESS
        assert client.query("RETURN 1").fields == (["RETURN 1", "reader"],)
        client.peer.close()


def test_a_public_database_that_breaks_off_is_told_as_such(gateway: Running, ca: trustme.CA) -> None:
    with upstream(lambda connection: connection.close()) as server:
        gateway.route(HOST, "bolt", server.address)
        code, text = refused(gateway, ca, ALICE, NEW)
        assert code == "Neo.TransientError.General.DatabaseUnavailable"
        assert "broke off the login" in text


# ---- what is not for the database to know


@pytest.mark.parametrize("proposal", [OLD, NEW])
@pytest.mark.parametrize(
    "shown",
    [
        basic("root", TOKEN),
        {"scheme": "bearer", "credentials": "pgt_of-nobody"},
        {"scheme": "custom", "principal": "root", "credentials": "", "parameters": {"also": ["x", TOKEN]}},
    ],
    ids=["as a password", "as a bearer", "elsewhere"],
)
def test_a_token_does_not_reach_a_public_database(
    gateway: Running, ca: trustme.CA, server: Upstream, graph: Graph, proposal: Proposal, shown: dict[str, Value]
) -> None:
    gateway.route(HOST, "bolt", server.address)
    code, text = refused(gateway, ca, shown, proposal)
    assert code == "Neo.ClientError.Security.Unauthorized"
    assert "a token is not passed on" in text
    server.wait_until_idle()
    assert "pgt_" not in repr(graph.seen)


def test_a_web_token_does_not_either_if_it_is_for_the_gateway(
    gateway: Running, ca: trustme.CA, server: Upstream, graph: Graph
) -> None:
    gateway.route(HOST, "bolt", server.address)
    gateway.know(replace(ISSUER, keys=(jwk(RSA, "r"),)))
    now = time.time()
    ours, of_others = (signed(aud=whom, iat=now, exp=now + 100) for whom in ("podgate", "another client"))
    assert "not passed on" in refused(gateway, ca, {"scheme": "bearer", "credentials": ours}, NEW)[1]
    client = client_of(gateway, ca)
    client.greet(NEW)
    assert said(client.log_in((5, 4), {"scheme": "bearer", "credentials": of_others}))[1] == WRONG["message"]
    client.peer.close()
    server.wait_until_idle()
    assert ours not in repr(graph.seen)


def test_a_login_of_a_thousand_texts_is_refused(
    gateway: Running, ca: trustme.CA, server: Upstream, graph: Graph
) -> None:
    """Each is looked at for a token, while everybody else waits."""
    gateway.route(HOST, "bolt", server.address)
    routing: dict[str, Value] = {str(number): "e30.e30." for number in range(MOST_TEXTS)}
    client = client_of(gateway, ca)
    client.greet(NEW)
    code, text = said(client.log_in((5, 4), basic("reader", "r" * 9), routing=routing))
    assert (code, "more than 64 texts" in text) == ("Neo.ClientError.Request.Invalid", True)
    client.peer.close()
    server.wait_until_idle()
    assert graph.seen == []


@pytest.mark.parametrize("first", [[RESET, RESET], [HELLO, HELLO], [HELLO, RESET], [TELEMETRY, LOGON]])
def test_who_says_something_else_than_its_login_does_not_get_past_it(
    gateway: Running, ca: trustme.CA, server: Upstream, graph: Graph, first: list[int]
) -> None:
    """The database says SUCCESS to all of it, as ArcadeDB does to RESET at any time."""
    gateway.route(HOST, "bolt", server.address)
    client = client_of(gateway, ca)
    client.greet(NEW)
    client.send(b"".join(message(tag, {}) for tag in first) + message(LOGON, dict(ALICE)))
    assert b"Neo.ClientError.Request.Invalid" in client.peer.receive_to_end()[0]
    client.peer.close()
    server.wait_until_idle()
    assert gateway.services.relay.count() == 0
    assert "pgt_" not in repr(graph.seen)


def test_what_a_client_says_after_its_login_is_its_own(
    gateway: Running, ca: trustme.CA, server: Upstream, graph: Graph
) -> None:
    """As the documentation says: only the first login is looked at."""
    gateway.route(HOST, "bolt", server.address)
    client = client_of(gateway, ca)
    client.greet(NEW)
    assert client.log_in((5, 4), basic("reader", "r" * 9)).tag == SUCCESS
    assert client.ask(LOGOFF).tag == SUCCESS
    assert client.ask(LOGON, dict(ALICE)).tag == FAILURE
    assert graph.asked(LOGON)[-1] == ALICE
    client.peer.close()


def test_all_that_a_client_sends_ahead_comes_in_its_order(gateway: Running, ca: trustme.CA, server: Upstream) -> None:
    gateway.route(HOST, "bolt", server.address)
    client = client_of(gateway, ca)
    login = message(HELLO, {}) + b"\0\0" + message(LOGON, basic("reader", "r" * 9))
    client.send(bolt.propose(NEW) + login + message(bolt.RUN, "RETURN 2", {}, {}) + message(0x3F, {"n": -1}))
    assert client.receive(4) == b"\0\0\4\5"
    assert [client.answer().tag for _ in range(3)] == [SUCCESS] * 3
    assert client.answer().fields == (["RETURN 2", "reader"],)
    client.peer.close()


def test_a_hello_that_the_database_refuses_is_the_end(gateway: Running, ca: trustme.CA, graph: Graph) -> None:
    graph.of_hello = message(FAILURE, WRONG)
    with upstream(graph) as server:
        gateway.route(HOST, "bolt", server.address)
        client = client_of(gateway, ca)
        client.greet(NEW)
        assert said(client.log_in((5, 4), ALICE))[1] == "the database says no"
        assert client.peer.receive_to_end() == (b"", Ending.GOODBYE)
        client.peer.close()
    assert graph.asked(LOGON) == []
