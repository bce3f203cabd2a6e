"""A reader of a graph tries to write, by every language and command that the server has: the database itself refuses,
in its own words. What the levels are otherwise: test_graph_levels.
"""

import ssl
from collections.abc import Callable, Iterator

import httpx
import neo4j
import pytest
from neo4j import exceptions

from tests.running import Pod, Podgate, needs_resolver
from tests.scenarios.api import create, in_force, share
from tests.scenarios.graphs import DATABASE, Way, beside, into, user_of
from tests.scenarios.people import add, make_token

pytestmark = needs_resolver

FORBIDDEN = "Neo.ClientError.Security.Forbidden"
RECORDS, SCHEMA, SECURITY = "records on type 'Town'", "to update schema", "to update security"
AT_COMMIT = "Transaction error on commit"
CYPHER = {
    "CREATE (:Town {name: 'x'})": f"create {RECORDS}",
    "CREATE (:Unheard {of: 1})": SCHEMA,
    "MERGE (:Town {name: 'x'})": f"create {RECORDS}",
    "MATCH (t:Town) SET t.name = 'x'": AT_COMMIT,
    "MATCH (t:Town) SET t:Capital": SCHEMA,
    "MATCH (t:Town) REMOVE t.name": AT_COMMIT,
    "MATCH (t:Town) DELETE t": f"delete {RECORDS}",
    "MATCH (t:Town) DETACH DELETE t": f"delete {RECORDS}",
    "CALL db.labels() YIELD label CREATE (:Town)": f"create {RECORDS}",
    "CALL merge.node(['Town'], {name: 'x'})": "Error executing procedure: merge.node",
    "CREATE INDEX FOR (t:Town) ON (t.name)": SCHEMA,
    "CREATE CONSTRAINT FOR (t:Town) REQUIRE t.name IS UNIQUE": SCHEMA,
    "LOAD CSV FROM 'file:///etc/hostname' AS row CREATE (:Town)": SECURITY,
    "ALTER USER root SET PASSWORD 'correct horse'": SECURITY,
    "DROP USER root": SECURITY,
}
SQL = {
    "insert into Town set name = 'x'": f"create {RECORDS}",
    "update Town set name = 'x'": f"update {RECORDS}",
    "delete from Town": f"delete {RECORDS}",
    "truncate type Town unsafe": f"delete {RECORDS}",
    "create vertex type Foo": SCHEMA,
    "drop type Town unsafe": SCHEMA,
    "create property Town.x string": SCHEMA,
    "rebuild index *": SCHEMA,
    "alter database dateFormat 'yyyy'": "to update database settings",
    "import database file:///etc/hostname": SECURITY,
    "export database file://town.tgz": SECURITY,
    "backup database": SECURITY,
    "create trigger x before create on Town execute sql 'select 1'": SCHEMA,
    "profile insert into Town set name = 'x'": f"create {RECORDS}",
}
OTHERS = {  # of the server's languages
    "sqlscript": "begin; insert into Town set name = 'x'; commit;",
    "cypher": "CREATE (:Town)",
    "opencypher": "MATCH (t:Town) DETACH DELETE t",
}
SERVER = (
    "create database other",
    "drop database graph",
    "close database graph",
    'create user {"name": "x", "password": "correct horse"}',
    "drop user root",
    "set server setting arcadedb.server.mode development",
    "set database setting graph arcadedb.dateFormat yyyy",
    "shutdown",
)
ONLY_ROOT = "Only root user is authorized to execute server commands"


@pytest.fixture(scope="module")
def towns(podgate: Podgate) -> Pod:
    """A graph whose gateway asks who is there, and that holds one town; derek reads it."""
    pod = create(podgate, "towns", "graph", "read")
    share(podgate, "towns", add(podgate, "derek").name, "read")
    in_force(podgate, "towns")
    return pod


@pytest.fixture(scope="module")
def reader(podgate: Podgate, towns: Pod) -> Way:
    return into(towns, neo4j.basic_auth("derek", make_token(podgate, "towns", "derek")))


@pytest.fixture(autouse=True)
def town(podgate: Podgate, towns: Pod, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One town, which is still there and as it was after each test."""
    monkeypatch.setenv("SSL_CERT_FILE", str(podgate.ca))
    with beside(podgate, towns, user_of(towns, "owner")).driver("bolt") as owner:
        owner.execute_query("MERGE (:Town {name: 'Austin'})", database_=DATABASE)
        yield
        found = owner.execute_query("MATCH (n) RETURN labels(n) AS labels, n.name AS name", database_=DATABASE)
        assert [record.values() for record in found.records] == [[["Town"], "Austin"]]


@pytest.fixture
def http(podgate: Podgate, reader: Way) -> Iterator[Callable[[str, dict[str, str]], httpx.Response]]:
    """Ask the server's own API, as the reader."""
    client = httpx.Client(
        base_url=f"https://{reader.host}:{reader.port}/api/v1/",
        headers={"Authorization": f"Bearer {reader.auth.credentials}"},
        verify=ssl.create_default_context(cafile=podgate.ca),
    )
    with client:
        yield lambda path, body: client.post(path, json=body)


def is_refused(run: Callable[[], object], words: str) -> None:
    with pytest.raises(exceptions.Forbidden, match=words) as refused:
        run()
    assert refused.value.code == FORBIDDEN


@pytest.mark.parametrize("scheme", ["bolt+s", "neo4j+s"])
def test_by_cypher(reader: Way, scheme: str) -> None:
    with reader.driver(scheme) as driver:
        for statement, words in CYPHER.items():
            is_refused(lambda: driver.execute_query(statement, database_=DATABASE), words)  # noqa: B023


@pytest.mark.parametrize("scheme", ["bolt+s", "neo4j+s"])
@pytest.mark.parametrize("mode", [neo4j.READ_ACCESS, neo4j.WRITE_ACCESS])
def test_in_every_kind_of_transaction_and_mode(reader: Way, scheme: str, mode: str) -> None:
    statement, words = "CREATE (:Town {name: 'x'})", f"create {RECORDS}"
    with reader.driver(scheme) as driver, driver.session(database=DATABASE, default_access_mode=mode) as session:
        is_refused(lambda: session.run(statement).consume(), words)
        transaction = session.begin_transaction()
        is_refused(lambda: transaction.run(statement).consume(), words)
        transaction.close()
        managed = session.execute_read if mode == neo4j.READ_ACCESS else session.execute_write
        is_refused(lambda: managed(lambda work: work.run(statement).consume()), words)


@pytest.mark.parametrize("database", ["system", "another"])
def test_in_another_database(reader: Way, database: str) -> None:
    with reader.driver() as driver:
        words = SCHEMA if database == "system" else "Access to database 'another' is not allowed"
        is_refused(lambda: driver.execute_query("CREATE (:Elsewhere)", database_=database), words)


def test_by_the_servers_other_languages(http: Callable[[str, dict[str, str]], httpx.Response]) -> None:
    tried = [("sql", statement, words) for statement, words in SQL.items()]
    tried += [(language, statement, RECORDS) for language, statement in OTHERS.items()]
    for language, statement, words in tried:
        answer = http(f"command/{DATABASE}", {"language": language, "command": statement})
        assert (answer.status_code, answer.json()["exception"]) == (403, "java.lang.SecurityException"), statement
        assert answer.json()["detail"].startswith("User 'reader' is not allowed to"), statement
        assert words in answer.json()["detail"], statement


def test_by_what_claims_to_be_a_query(http: Callable[[str, dict[str, str]], httpx.Response]) -> None:
    for language, statement in (("sql", "delete from Town"), ("cypher", "MATCH (t:Town) DETACH DELETE t")):
        answer = http(f"query/{DATABASE}", {"language": language, "command": statement})
        assert (answer.status_code, answer.json()["error"]) == (400, "Query is not idempotent")


def test_by_the_servers_own_commands(http: Callable[[str, dict[str, str]], httpx.Response]) -> None:
    for command in SERVER:
        answer = http("server", {"command": command})
        assert (answer.status_code, answer.json()["detail"]) == (403, ONLY_ROOT), command
