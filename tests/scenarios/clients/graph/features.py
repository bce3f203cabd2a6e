"""What a Neo4j driver of Python does, feature by feature: any version from 4.4 on, driven as ../nodepg.js is.

To be run by itself, with the driver on PYTHONPATH. A line is {"open": the way in, "as": a name for it}, or {"do": a
feature, "by": such a name} with what the feature is to be given; each is answered by {"value": what it gave} or
{"error": class, "code": text, "message": text}. features.js does the same in the same words: values are what JSON has.
"""

import json
import sys
import threading
from collections.abc import Callable
from datetime import date
from importlib import import_module
from typing import Any

neo4j: Any = import_module("neo4j")  # of a version that the type checker does not see
spatial: Any = import_module("neo4j.spatial")
MODERN = not neo4j.__version__.startswith("4.")
MEGABYTE = 1 << 20
FEATURES: dict[str, Callable[..., Any]] = {}


def feature(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def keep(function: Callable[..., Any]) -> Callable[..., Any]:
        FEATURES[name] = function
        return function

    return keep


class Client:
    """A driver and what it was made of."""

    def __init__(self, way: dict[str, Any]) -> None:
        self.way = way
        self.driver = self.another(way["auth"])

    def another(self, auth: dict[str, str]) -> Any:
        return neo4j.GraphDatabase.driver(self.way["uri"], auth=auth_of(auth), **self.way.get("options", {}))

    def session(self, **options: Any) -> Any:
        return self.driver.session(**{"database": self.way["database"], **options})

    def ask(self, query: str, **parameters: Any) -> Any:
        """Give the one value of the one record, in a session of its own."""
        with self.session() as session:
            return session.run(query, parameters).single()[0]


def auth_of(auth: dict[str, str]) -> Any:
    if "user" in auth:
        return neo4j.basic_auth(auth["user"], auth["password"])
    return neo4j.bearer_auth(auth["token"])


def code_of(function: Callable[[], Any]) -> str:
    """Give the code with which something is refused."""
    try:
        function()
    except (neo4j.exceptions.Neo4jError, neo4j.exceptions.DriverError) as error:
        return str(getattr(error, "code", None) or type(error).__name__)
    return "nothing refused"


def failing(run: Callable[[str], Any], query: str) -> str:
    return code_of(lambda: run(query).consume())


def managed(session: Any, kind: str, work: Callable[[Any], Any]) -> Any:
    return getattr(session, f"execute_{kind}" if MODERN else f"{kind}_transaction")(work)


@feature("ask")
def ask(client: Client, query: str = "RETURN 6 * 7") -> Any:
    return client.ask(query)


@feature("connect as")
def connect_as(client: Client, auth: dict[str, str]) -> Any:
    with client.another(auth) as driver, driver.session(database=client.way["database"]) as session:
        return session.run("RETURN 'connected' AS it").single()["it"]


@feature("routing table")
def routing_table(client: Client) -> Any:
    client.ask("RETURN 1")
    table = client.driver._pool.routing_tables[client.way["database"]]
    found = [sorted(f"{host}:{port}" for host, port in kind) for kind in (table.routers, table.readers, table.writers)]
    table.ttl = 0  # so that it asks anew
    return found


@feature("auto-commit queries")
def auto_commit(client: Client) -> Any:
    with client.session() as session:
        session.run("CREATE (:Kept {n: 1})").consume()
        found = session.run("MATCH (k:Kept) RETURN k.n AS n").value()
        session.run("MATCH (k:Kept) DELETE k").consume()
    return found


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


@feature("explicit transactions: commit")
def commit(client: Client) -> Any:
    with client.session() as session:
        transaction = session.begin_transaction()
        transaction.run("CREATE (:Draft)").consume()
        inside = transaction.run("MATCH (d:Draft) RETURN count(d) AS n").single()["n"]
        transaction.commit()
    after = client.ask("MATCH (d:Draft) RETURN count(d)")
    with client.session() as session:
        session.run("MATCH (d:Draft) DELETE d").consume()
    return [inside, after]


@feature("explicit transactions: rollback")
def rollback(client: Client) -> Any:
    with client.session() as session:
        transaction = session.begin_transaction()
        transaction.run("CREATE (:Draft)").consume()
        inside = transaction.run("MATCH (d:Draft) RETURN count(d) AS n").single()["n"]
        transaction.rollback()
    return [inside, client.ask("MATCH (d:Draft) RETURN count(d)")]


@feature("two results open in one transaction")
def interleaved(client: Client) -> Any:
    with client.session(fetch_size=10) as session:
        transaction = session.begin_transaction()
        one, two = (transaction.run(f"UNWIND range({low}, {low + 99}) AS n RETURN n") for low in (0, 100))
        pairs = [a["n"] + b["n"] for a, b in zip(one, two, strict=True)]
        transaction.commit()
    return [len(pairs), sum(pairs)]


@feature("managed transactions")
def managed_transactions(client: Client) -> Any:
    with client.session() as session:
        managed(session, "write", lambda work: work.run("CREATE (:Managed)").consume())
        found = managed(session, "read", lambda work: work.run("MATCH (m:Managed) RETURN count(m) AS n").single()["n"])
        managed(session, "write", lambda work: work.run("MATCH (m:Managed) DELETE m").consume())
    return found


@feature("execute_query")
def execute_query(client: Client) -> Any:
    found = client.driver.execute_query("UNWIND [1, 2] AS n RETURN n", database_=client.way["database"])
    return [record["n"] for record in found.records]


@feature("a session as somebody else, who may only read")
def as_somebody_else(client: Client, auth: dict[str, str]) -> Any:
    with client.session(auth=auth_of(auth)) as session:
        found = [session.run("RETURN 1 AS n").single()["n"], failing(session.run, "CREATE (:Draft)")]
    return [*found, client.ask("MATCH (d:Draft) RETURN count(d)")]


@feature("a constraint, which is kept")
def constraint(client: Client) -> Any:
    with client.session() as session:
        session.run("CREATE CONSTRAINT IF NOT EXISTS FOR (u:Unique) REQUIRE u.n IS UNIQUE").consume()
        codes = [failing(session.run, "CREATE (:Unique {n: 1})") for _ in range(2)]
        session.run("MATCH (u:Unique) DELETE u").consume()
    return codes


@feature("a syntax error, and the session goes on")
def syntax_error(client: Client) -> Any:
    with client.session() as session:
        code = failing(session.run, "RETRUN 1")
        return [code, session.run("RETURN 1 AS n").single()["n"]]


@feature("a failure within a transaction, and the session goes on")
def failure(client: Client) -> Any:
    with client.session() as session:
        transaction = session.begin_transaction()
        transaction.run("CREATE (:Draft)").consume()
        code = failing(transaction.run, "RETURN $missing.x.y + ")
        code_of(transaction.close)
        return [code, session.run("MATCH (d:Draft) RETURN count(d) AS n").single()["n"]]


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


@feature("a parameter of a megabyte")
def large(client: Client) -> Any:
    return client.ask("RETURN size($it)", it="x" * MEGABYTE)


@feature("a value of a megabyte")
def large_back(client: Client) -> Any:
    return len(client.ask("RETURN $it", it="x" * MEGABYTE))


@feature("eight sessions at once")
def at_once(client: Client) -> Any:
    found: list[int] = []
    everybody_is_in = threading.Barrier(8, timeout=60)

    def work(number: int) -> None:
        with client.session() as session, session.begin_transaction() as transaction:
            transaction.run("RETURN 1").consume()
            everybody_is_in.wait()
            found.append(transaction.run("RETURN $n AS n", n=number).single()["n"])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return sorted(found)


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


@feature("bookmarks")
def bookmarks(client: Client) -> Any:
    with client.session() as session:
        session.run("RETURN 1").consume()
        told = session.last_bookmarks() if MODERN else session.last_bookmark()
    if not told:
        return "none given"
    with client.session(bookmarks=told if MODERN else [told]) as session:
        return session.run("RETURN 1 AS n").single()["n"]


@feature("metadata and time limit of a transaction")
def metadata(client: Client) -> Any:
    with client.session() as session:
        transaction = session.begin_transaction(metadata={"of": "a test"}, timeout=20.0)
        found = transaction.run("RETURN 1 AS n").single()["n"]
        transaction.commit()
    return found


@feature("a time limit ends a query")
def limit(client: Client) -> Any:
    query = neo4j.Query("UNWIND range(1, 300000) AS n RETURN max(n) AS n", timeout=0.001)
    with client.session() as session:
        return failing(session.run, query)


@feature("procedures")
def procedures(client: Client) -> Any:
    with client.session() as session:
        return code_of(lambda: session.run("CALL db.labels()").consume())


@feature("CALL … IN TRANSACTIONS")
def in_transactions(client: Client) -> Any:
    with client.session() as session:
        code = failing(session.run, "UNWIND range(1, 4) AS n CALL { WITH n CREATE (:Batch) } IN TRANSACTIONS OF 2 ROWS")
        session.run("MATCH (b:Batch) DELETE b").consume()
    return code


@feature("SHOW DATABASES")
def databases(client: Client) -> Any:
    with client.session() as session:
        return code_of(lambda: session.run("SHOW DATABASES").consume())


@feature("no database named")
def home_database(client: Client) -> Any:
    with client.driver.session() as session:
        return session.run("RETURN 1 AS n").single()["n"]


@feature("a database that is not there")
def no_database(client: Client) -> Any:
    with client.session(database="nowhere") as session:
        return failing(session.run, "RETURN 1")


@feature("acting for somebody else (impersonation)")
def impersonation(client: Client) -> Any:
    with client.session(impersonated_user="nobody_here") as session:
        return failing(session.run, "RETURN 1")


@feature("the newest version of Bolt")
def version(client: Client) -> Any:
    with client.session() as session:
        return ".".join(map(str, session.run("RETURN 1").consume().server.protocol_version))


def answer(clients: dict[str, Client], asked: dict[str, Any]) -> dict[str, Any]:
    try:
        if "open" in asked:
            if asked["as"] in clients:
                clients[asked["as"]].driver.close()
            clients[asked["as"]] = Client(asked["open"])
            return {"value": None}
        return {"value": FEATURES[asked.pop("do")](clients[asked.pop("by")], **asked)}
    except Exception as error:  # noqa: BLE001  # whatever it is, it is the answer
        return {"error": type(error).__name__, "code": getattr(error, "code", None), "message": str(error)}


def main() -> None:
    clients: dict[str, Client] = {}
    for line in sys.stdin:
        print(json.dumps(answer(clients, json.loads(line))), flush=True)  # noqa: T201
    for client in clients.values():
        client.driver.close()


if __name__ == "__main__":
    main()
