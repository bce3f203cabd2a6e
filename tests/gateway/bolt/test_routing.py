"""Routing tables: the only addresses in them are the one that the client came by."""

import pytest
import trustme

from gateway.bolt.watching import MOST_AWAITED
from gateway.wire.bolt import RECORD, RESET, ROUTE, RUN, SUCCESS, Message, Proposal, Version, message
from gateway.wire.packstream import Value
from router.access import AccessLevel
from tests.gateway.bolt.graphs import HOST, TOKEN, client_of, closed
from tests.gateway.bolt.scripted import MANIFEST_OF_NEO4J, PULL, SERVERS, Client, Graph, basic
from tests.gateway.running import Running
from tests.upstreams import Upstream, upstream

CAME_BY = "graph.pods.test:9999"
OURS = f"{HOST}:8443"
PROPOSALS = {(4, 0): Proposal(4, 0, 0), (4, 4): Proposal(4, 4, 0), (5, 4): Proposal(5, 4, 0)}
CALL = "CALL dbms.routing.getRoutingTable($context)"


def table(address: str) -> list[Value]:
    return [{**each, "addresses": [address]} for each in SERVERS if isinstance(each, dict)]


def routed(message: Message) -> Value:
    assert message.tag == SUCCESS
    told = message.fields[0]
    assert isinstance(told, dict)
    assert isinstance(told["rt"], dict)
    assert (told["rt"]["ttl"], told["rt"]["db"]) == (300, "graph")
    return told["rt"]["servers"]


@pytest.fixture(params=[AccessLevel.PUBLIC, AccessLevel.READ])
def credentials(request: pytest.FixtureRequest, gateway: Running, server: Upstream) -> dict[str, Value]:
    """Of both modes."""
    if request.param is AccessLevel.PUBLIC:
        gateway.route(HOST, "bolt", server.address)
        return basic("writer", "w" * 9)
    closed(gateway, server)
    return basic("alice", TOKEN)


def entered(gateway: Running, ca: trustme.CA, version: Version, shown: dict[str, Value], routing: Value) -> Client:
    client = client_of(gateway, ca)
    assert client.greet(PROPOSALS[version]) == version
    assert client.log_in(version, shown, routing=routing).tag == SUCCESS
    return client


@pytest.mark.parametrize("version", [(4, 4), (5, 4)])
@pytest.mark.parametrize(("routing", "address"), [({"address": CAME_BY}, CAME_BY), ({}, OURS), ({"address": 5}, OURS)])
def test_a_table_leads_to_where_the_client_came_by(
    gateway: Running, ca: trustme.CA, credentials: dict[str, Value], version: Version, routing: Value, address: str
) -> None:
    client = entered(gateway, ca, version, credentials, routing)
    for _ in range(2):
        assert routed(client.ask(ROUTE, {}, [], {})) == table(address)
    assert client.query("RETURN 1").fields == (["RETURN 1", "writer"],)
    assert routed(client.ask(ROUTE, {}, [], {})) == table(address)
    client.peer.close()


def test_who_wants_no_tables_gets_them_as_they_are(
    gateway: Running, ca: trustme.CA, credentials: dict[str, Value]
) -> None:
    client = entered(gateway, ca, (5, 4), credentials, None)
    assert routed(client.ask(ROUTE, {}, [], {})) == SERVERS
    client.peer.close()


def test_tables_among_other_answers(gateway: Running, ca: trustme.CA, credentials: dict[str, Value]) -> None:
    client = entered(gateway, ca, (5, 4), credentials, {"address": CAME_BY})
    route, run, pull = message(ROUTE, {}, [], {}), message(RUN, "a", {}, {}), message(PULL, {})
    client.send(run + pull + route + b"\0\0" + message(RESET) + route + message(0x54, 1) + run + pull + route)
    found = [client.answer() for _ in range(11)]
    assert [each.tag for each in found] == [SUCCESS, RECORD, *[SUCCESS] * 6, RECORD, *[SUCCESS] * 2]
    assert [routed(found[at]) for at in (3, 5, 10)] == [table(CAME_BY)] * 3
    client.peer.close()


def test_what_looks_like_a_table_in_other_answers_is_left_alone(
    gateway: Running, ca: trustme.CA, credentials: dict[str, Value]
) -> None:
    rt: dict[str, Value] = {"ttl": 1, "db": "", "servers": SERVERS}
    lookalike = message(SUCCESS, {"rt": rt}).decode("latin-1")
    client = entered(gateway, ca, (5, 4), credentials, {"address": CAME_BY})
    client.send(message(ROUTE, {}, [], {}) + message(RUN, lookalike, {}, {}) + message(PULL, {}))
    assert routed(client.answer()) == table(CAME_BY)
    assert client.answer().tag == SUCCESS
    assert client.answer().fields == ([lookalike, "writer"],)
    client.peer.close()


def test_older_versions_ask_by_a_procedure(gateway: Running, ca: trustme.CA, credentials: dict[str, Value]) -> None:
    client = entered(gateway, ca, (4, 0), credentials, None)  # their HELLO does not tell
    assert client.query(CALL).fields == ([300, table(OURS)],)
    assert client.query("RETURN 1").fields == (["RETURN 1", "writer"],)
    assert client.query(CALL).fields == ([300, table(OURS)],)
    client.peer.close()


def test_only_the_first_record_of_such_a_call_is_a_table(
    gateway: Running, ca: trustme.CA, credentials: dict[str, Value], graph: Graph
) -> None:
    """Nobody makes the gateway read all the records that they can think of."""
    row = message(RECORD, [300, SERVERS])
    graph.behind_record = row * 3
    client = entered(gateway, ca, (4, 0), credentials, None)
    for _ in range(2):
        client.send(message(RUN, CALL, {}) + message(PULL, {"n": -1}))
        found = [client.answer() for _ in range(6)]
        assert [each.fields[0] for each in found[1:5]] == [[300, table(OURS)], *[[300, SERVERS]] * 3]
    client.send(message(RUN, CALL, {}) + message(RUN, CALL, {}) + message(PULL, {"n": -1}))
    assert [client.answer().tag for _ in range(2)] == [SUCCESS, SUCCESS]
    assert client.answer().fields == ([300, table(OURS)],)  # though the first had none
    client.peer.close()


def test_a_version_from_the_manifest(gateway: Running, ca: trustme.CA) -> None:
    with upstream(Graph(manifest=MANIFEST_OF_NEO4J)) as server:
        gateway.route(HOST, "bolt", server.address)
        client = client_of(gateway, ca)
        client.greet()
        client.receive(len(MANIFEST_OF_NEO4J) - 4)
        client.send(b"\0\0\x08\x05\0")
        assert client.log_in((5, 8), basic("reader", "r" * 9), routing={"address": CAME_BY}).tag == SUCCESS
        assert routed(client.ask(ROUTE, {}, [], {})) == table(CAME_BY)
        client.peer.close()


def test_who_asks_for_tables_without_end_is_cut(gateway: Running, ca: trustme.CA, server: Upstream) -> None:
    gateway.route(HOST, "bolt", server.address)
    client = entered(gateway, ca, (5, 4), basic("reader", "r" * 9), {"address": CAME_BY})
    client.send(message(ROUTE) * (MOST_AWAITED + 1))
    assert client.peer.receive_to_end()[0] == b""
    client.peer.close()
