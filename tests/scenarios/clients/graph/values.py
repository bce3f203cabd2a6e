"""What becomes of values, as parameters and back."""

from datetime import date
from importlib import import_module
from typing import Any

from tests.scenarios.clients.graph.asked import Client, feature, neo4j

spatial: Any = import_module("neo4j.spatial")  # as in asked
MEGABYTE = 1 << 20


@feature("plain values, as parameters and back")
def plain(client: Client) -> Any:
    told = [None, True, 1, -(2**31), 1.5, "Zoë 🎈", [1, [2, "x"]], {"a": {"b": [None]}}]
    return [client.ask("RETURN $it", it=value) == value for value in told]


@feature("integers of 64 bits")
def integers(client: Client) -> Any:
    return [str(client.ask("RETURN $it", it=value)) for value in (2**63 - 1, -(2**63), 2**53 + 1)]


@feature("bytes")
def octets(client: Client) -> Any:
    return client.ask("RETURN $it", it=bytearray(range(256))) == bytes(range(256))


@feature("dates, as parameters and back")
def dates(client: Client) -> Any:
    found = client.ask("RETURN $it", it=date(2026, 11, 22))
    return [isinstance(found, neo4j.time.Date), str(found)]


@feature("dates and durations that the server makes")
def temporal(client: Client) -> Any:
    day, lasting = client.ask("RETURN date('2026-11-22')"), client.ask("RETURN duration('P1DT2H')")
    kinds = [isinstance(day, neo4j.time.Date), isinstance(lasting, neo4j.time.Duration)]
    return [*kinds, day.isoformat(), [lasting.months, lasting.days, lasting.seconds]]


@feature("points, as parameters and back")
def points(client: Client) -> Any:
    found = client.ask("RETURN $it", it=spatial.WGS84Point((1.5, 2.5)))
    return [found.srid, list(found)]


@feature("nodes, relationships and paths")
def graph(client: Client) -> Any:
    with client.session() as session:
        session.run("CREATE (:Town {name: 'a'})-[:ROAD {km: 7}]->(:Town {name: 'b'})").consume()
        found = session.run("MATCH p = (a:Town {name: 'a'})-[r]->(b) RETURN a, r, p").single()
        session.run("MATCH (t:Town) DETACH DELETE t").consume()
    a, r, p = found["a"], found["r"], found["p"]
    names = [node["name"] for node in p.nodes]
    return [sorted(a.labels), dict(a), r.type, dict(r), names, len(p), p.start_node == a]


@feature("a parameter of a megabyte")
def large(client: Client) -> Any:
    return client.ask("RETURN size($it)", it="x" * MEGABYTE)


@feature("a value of a megabyte")
def large_back(client: Client) -> Any:
    return len(client.ask("RETURN $it", it="x" * MEGABYTE))
