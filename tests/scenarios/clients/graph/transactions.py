"""What a driver's transactions and sessions do, and what is left of them when something fails."""

import threading
from typing import Any

from tests.scenarios.clients.graph.asked import MODERN, Client, code_of, failing, feature, managed, neo4j


@feature("auto-commit queries")
def auto_commit(client: Client) -> Any:
    with client.session() as session:
        session.run("CREATE (:Kept {n: 1})").consume()
        found = session.run("MATCH (k:Kept) RETURN k.n AS n").value()
        session.run("MATCH (k:Kept) DELETE k").consume()
    return found


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


@feature("CALL … IN TRANSACTIONS")
def in_transactions(client: Client) -> Any:
    with client.session() as session:
        code = failing(session.run, "UNWIND range(1, 4) AS n CALL { WITH n CREATE (:Batch) } IN TRANSACTIONS OF 2 ROWS")
        session.run("MATCH (b:Batch) DELETE b").consume()
    return code
