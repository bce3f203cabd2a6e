"""Other logins within one session, judged like the first."""

from collections.abc import Mapping

import pytest
import trustme

from gateway.failures import BURST
from gateway.wire.bolt import FAILURE, HELLO, LOGOFF, LOGON, SUCCESS, Message, Proposal, message
from gateway.wire.packstream import Structure, Value, encode
from router.access import AccessLevel
from router.database import Database
from tests.gateway.bolt.graphs import LOGINS, OF_BOB, TOKEN, client_of, closed
from tests.gateway.bolt.scripted import PULL, Client, Graph, basic
from tests.gateway.running import Running
from tests.gateway.wire.test_boltstream import chunked
from tests.peers import Upstream

ALICE, BOB, CAROL = basic("alice", TOKEN), basic("bob", OF_BOB), basic("carol", "pgt_of-carol")


@pytest.fixture
def client(gateway: Running, ca: trustme.CA, server: Upstream) -> Client:
    """Alice, who may write."""
    closed(gateway, server)
    client = client_of(gateway, ca)
    client.greet(Proposal(5, 4, 0))
    assert client.log_in((5, 4), ALICE).tag == SUCCESS
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
    client.send(message(LOGON, basic("bob", "pgt_wrong")) * BURST)
    assert client.answer().tag == FAILURE
    client.send(message(LOGON, basic("bob", "pgt_wrong")))
    client.peer.receive_to_end()
    client.peer.close()
    other = client_of(gateway, ca)
    other.greet(Proposal(5, 4, 0))
    assert other.log_in((5, 4), ALICE).tag == SUCCESS  # a right token is never held up
    other.peer.close()


def test_a_session_ends_with_what_its_last_user_is_taken(gateway: Running, server: Upstream, client: Client) -> None:
    assert again(client, BOB).tag == SUCCESS
    closed(gateway, server, grants={"user:bob": AccessLevel.READ})  # alice's going does not matter any more
    assert client.query("RETURN 1").fields == (["RETURN 1", "reader"],)
    closed(gateway, server, grants={"user:alice": AccessLevel.OWNER})
    assert client.peer.receive_to_end()[0] == b""
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
