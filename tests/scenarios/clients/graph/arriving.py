"""How a driver gets in, where to, and as whom."""

from typing import Any

from tests.scenarios.clients.graph.asked import Client, auth_of, code_of, failing, feature


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


@feature("a session as somebody else, who may only read")
def as_somebody_else(client: Client, auth: dict[str, str]) -> Any:
    with client.session(auth=auth_of(auth)) as session:
        found = [session.run("RETURN 1 AS n").single()["n"], failing(session.run, "CREATE (:Draft)")]
    return [*found, client.ask("MATCH (d:Draft) RETURN count(d)")]


@feature("SHOW DATABASES")
def databases(client: Client) -> Any:
    with client.session() as session:
        return code_of(lambda: session.run("SHOW DATABASES").consume())


@feature("no database named")
def home_database(client: Client) -> Any:
    with client.driver.session() as session:
        return session.run("RETURN 1 AS n").single()["n"]


@feature("the databases `neo4j` and `system`")
def usual_databases(client: Client) -> Any:
    found = []
    for name in ("neo4j", "system"):
        with client.session(database=name) as session:
            found.append(session.run("RETURN 1 AS n").single()["n"])
    return found


@feature("a database of another name that is not there")
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
