"""Routing tables of Bolt: who asks for one, and the same table with every address ours.

From version 4.3 on a client asks by a message of its own, and the table is in the SUCCESS that answers it. Before, it
calls a procedure, by one of the texts that drivers have, and the table is in the RECORDs of the PULL behind it.

Source: Neo4j, "Bolt Protocol", "ROUTE message"; the drivers' own texts of the calls.
"""

from collections.abc import Mapping

from gateway.wire.bolt import RECORD, SUCCESS, Message, message
from gateway.wire.packstream import Value

LONGEST_ADDRESS = 300  # characters: a host name of 253 and a port
_CALLS = (b"CALL dbms.routing.getRoutingTable(", b"CALL dbms.cluster.routing.getRoutingTable(")
_LONGEST_HEAD = 6  # bytes before the text of a RUN: marker and tag, marker and size of the text


def asked_address(hello: Mapping[str, Value]) -> str | None:
    """Give the address by which a client came that wants routing tables, empty if it does not say; None: it wants none.

    It is what the client itself has sent, and goes back to it alone.
    """
    routing = hello.get("routing")
    if not isinstance(routing, dict):
        return None
    address = routing.get("address")
    return address if isinstance(address, str) and len(address) <= LONGEST_ADDRESS and address.isprintable() else ""


def calls_for_table(data: bytes | memoryview, at: int) -> bool:
    """Tell whether the RUN whose payload begins `at` a place is such a call."""
    head = bytes(data[at : at + _LONGEST_HEAD + max(map(len, _CALLS))])
    return any(call in head for call in _CALLS)


def with_address(table: Message, address: str) -> bytes | None:
    """Make the same message with `address` in place of all; None: there is no routing table in it."""
    if table.tag == SUCCESS and table.fields and isinstance(table.fields[0], dict):
        routing = table.fields[0].get("rt")
        if isinstance(routing, dict) and (servers := _servers(routing.get("servers"), address)) is not None:
            return message(SUCCESS, {**table.fields[0], "rt": {**routing, "servers": servers}})
    if table.tag == RECORD and table.fields and isinstance(table.fields[0], list):
        changed: list[Value] = [_servers(field, address) or field for field in table.fields[0]]
        return message(RECORD, changed)
    return None


def _servers(value: Value, address: str) -> list[Value] | None:
    """Give the servers of a table, each reached by one address; None: these are none."""
    if not isinstance(value, list) or not all(isinstance(each, dict) and "addresses" in each for each in value):
        return None
    return [{**each, "addresses": [address] if each["addresses"] else []} for each in value if isinstance(each, dict)]
