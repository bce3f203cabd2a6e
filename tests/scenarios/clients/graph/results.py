"""What is told of a query besides its values, and of many records."""

from typing import Any

from tests.scenarios.clients.graph.asked import Client, code_of, feature


@feature("a result of many records")
def many(client: Client, records: int) -> Any:
    with client.session() as session:
        found = session.run("UNWIND range(1, $n) AS n RETURN n", n=records).value()
    return [len(found), sum(found)]


@feature("a result given up in its midst")
def given_up(client: Client) -> Any:
    with client.session(fetch_size=50) as session:
        result = session.run("UNWIND range(1, 10000) AS n RETURN n")
        first = next(iter(result))["n"]
        result.consume()
        return [first, session.run("RETURN 2 AS n").single()["n"]]


@feature("counters of what was written")
def counters(client: Client) -> Any:
    with client.session() as session:
        made = session.run("CREATE (:Counted {n: 1})").consume().counters
        session.run("MATCH (c:Counted) DELETE c").consume()
    return [made.nodes_created, made.properties_set, made.labels_added]


@feature("the kind of a query")
def kind(client: Client) -> Any:
    with client.session() as session:
        return session.run("RETURN 1").consume().query_type


@feature("EXPLAIN shows a plan")
def plan(client: Client) -> Any:
    with client.session() as session:
        return session.run("EXPLAIN MATCH (n) RETURN n").consume().plan is not None


@feature("procedures")
def procedures(client: Client) -> Any:
    with client.session() as session:
        return code_of(lambda: session.run("CALL db.labels()").consume())
