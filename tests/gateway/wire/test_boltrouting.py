"""Routing tables: as ArcadeDB and Neo4j send them, and as clients get them."""

import pytest

from gateway.wire.bolt import FAILURE, RECORD, RUN, SUCCESS, Message, message, read_message
from gateway.wire.boltrouting import LONGEST_ADDRESS, asked_address, calls_for_table, with_address
from gateway.wire.packstream import Value

OURS = "graph.pods.test:8443"
SERVERS: list[Value] = [
    {"addresses": ["localhost:40175"], "role": "WRITE"},
    {"addresses": ["one:7687", "two:7687"], "role": "READ"},
    {"addresses": [], "role": "ROUTE"},
]
REWRITTEN: list[Value] = [
    {"addresses": [OURS], "role": "WRITE"},
    {"addresses": [OURS], "role": "READ"},
    {"addresses": [], "role": "ROUTE"},
]


def read(data: bytes | None) -> tuple[int, tuple[Value, ...]] | None:
    if data is None:
        return None
    found = read_message(data)
    assert isinstance(found, Message)
    assert found.size == len(data)
    return found.tag, found.fields


def test_all_addresses_become_ours_and_nothing_else_changes() -> None:
    table = Message(SUCCESS, ({"rt": {"ttl": 300, "db": None, "servers": SERVERS}, "more": 1},), 0)
    expected = {"rt": {"ttl": 300, "db": None, "servers": REWRITTEN}, "more": 1}
    assert read(with_address(table, OURS)) == (SUCCESS, (expected,))


def test_the_record_of_a_procedure_too() -> None:
    assert read(with_address(Message(RECORD, ([300, SERVERS],), 0), OURS)) == (RECORD, ([300, REWRITTEN],))


@pytest.mark.parametrize(
    "other",
    [
        Message(SUCCESS, (), 0),
        Message(SUCCESS, ({},), 0),
        Message(SUCCESS, ({"rt": None},), 0),
        Message(SUCCESS, ({"rt": {"servers": 5}},), 0),
        Message(SUCCESS, ({"rt": {"servers": [{"role": "READ"}]}},), 0),
        Message(FAILURE, ({"code": "a", "message": "b"},), 0),
        Message(RECORD, (), 0),
    ],
)
def test_what_is_no_table_is_left_alone(other: Message) -> None:
    assert with_address(other, OURS) is None


@pytest.mark.parametrize(
    ("routing", "address"),
    [
        (None, None),
        ("yes", None),
        ({}, ""),
        ({"address": OURS}, OURS),
        ({"address": 5}, ""),
        ({"address": "a\nb"}, ""),
        ({"address": "a" * LONGEST_ADDRESS}, "a" * LONGEST_ADDRESS),
        ({"address": "a" * (LONGEST_ADDRESS + 1)}, ""),
    ],
)
def test_the_address_a_client_came_by(routing: Value, address: str | None) -> None:
    assert asked_address({"user_agent": "x", "routing": routing}) == address
    assert asked_address({"user_agent": "x"}) is None


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("CALL dbms.routing.getRoutingTable($context)", True),
        ("CALL dbms.routing.getRoutingTable($context, $database)", True),
        ("CALL dbms.cluster.routing.getRoutingTable($context)", True),
        ("RETURN 'x' // long enough to need a size of one byte, and then some more", False),
        ("RETURN 1", False),
    ],
)
def test_the_call_of_a_routing_procedure(text: str, calls: bool) -> None:
    assert calls_for_table(message(RUN, text, {}, {}), 2) is calls
