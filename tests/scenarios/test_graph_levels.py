"""What is shared at a gateway reaches into a graph database: each level is a user there, by the official driver, routed
and not, over Bolt and over HTTP.
"""

import gc
import ssl
import time
from collections.abc import Iterator

import httpx
import neo4j
import pytest
from neo4j import exceptions

from tests.running import PATIENCE, Pod, Podgate, needs_resolver
from tests.scenarios.api import call, create, in_force, share
from tests.scenarios.graphs import DATABASE, Way, count, into
from tests.scenarios.people import add, make_token

pytestmark = needs_resolver

LEVELS = ("read", "write", "manage")
WRITES = (
    "CREATE (:City {name: 'a reader was here'})",
    "CREATE (:Unheard {of: 1})",
    "MERGE (:City {name: 'a reader was here'})",
    "MATCH (c:City) SET c.name = 'a reader was here'",
    "MATCH (c:City) REMOVE c.name",
    "MATCH (c:City) DETACH DELETE c",
    "MATCH (a:City), (b:City) CREATE (a)-[:ROAD]->(b)",
    "UNWIND [1, 2] AS n CREATE (:City {name: n})",
    "FOREACH (n IN [1] | CREATE (:City))",
    "CALL { CREATE (:City) } IN TRANSACTIONS",
    "CREATE INDEX FOR (c:City) ON (c.name)",
    "CREATE USER reader_too SET PASSWORD 'correct horse'",
)
REFUSED = "Neo.ClientError.Security.Forbidden"


@pytest.fixture(scope="module")
def atlas(podgate: Podgate) -> Pod:
    """A graph whose gateway asks who is there."""
    return create(podgate, "atlas", "graph", "read")


@pytest.fixture(scope="module")
def people(podgate: Podgate, atlas: Pod) -> Iterator[dict[str, Way]]:
    """Somebody of each level, and one of none."""
    ways = {}
    for level in (*LEVELS, "none"):
        name = add(podgate, f"atlas-{level}").name
        if level != "none":
            share(podgate, "atlas", name, level)
        ways[level] = into(atlas, neo4j.basic_auth(name, make_token(podgate, "atlas", name)))
    in_force(podgate, "atlas")
    yield ways
    for level in ways:
        call(podgate, "DELETE", f"users/atlas-{level}")


@pytest.fixture(autouse=True)
def _trust(podgate: Podgate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(podgate.ca))


@pytest.fixture(params=["bolt+s", "neo4j+s"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def city(people: dict[str, Way]) -> Iterator[None]:
    with people["manage"].driver() as owner:
        owner.execute_query("CREATE (:City {name: 'Austin'})", database_=DATABASE)
        yield
        owner.execute_query("MATCH (c:City) DETACH DELETE c", database_=DATABASE)


def code_of(driver: neo4j.Driver, statement: str) -> str | None:
    """Give the code with which a statement is refused."""
    try:
        driver.execute_query(statement, database_=DATABASE)
    except exceptions.Neo4jError as error:
        return error.code
    return None


def until_it_ends(transaction: neo4j.Transaction) -> None:
    """Go on asking."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        transaction.run("RETURN 1").consume()


@pytest.mark.usefixtures("city")
@pytest.mark.parametrize("level", LEVELS)
def test_a_level_is_what_one_may_do(people: dict[str, Way], scheme: str, level: str) -> None:
    with people[level].driver(scheme) as driver:
        assert count(driver, "City") == 1
        expected = REFUSED if level == "read" else None
        assert code_of(driver, "CREATE (:City {name: 'Boston'})") == expected
        expected = None if level == "manage" else REFUSED
        assert code_of(driver, "CREATE USER atlas_guest SET PASSWORD 'correct horse'") == expected
        if level == "manage":
            driver.execute_query("DROP USER atlas_guest", database_=DATABASE)


@pytest.mark.usefixtures("city")
def test_the_database_itself_refuses_whatever_a_reader_writes(people: dict[str, Way], scheme: str) -> None:
    with people["read"].driver(scheme) as driver, people["manage"].driver() as owner:
        assert [code_of(driver, statement) for statement in WRITES] == [REFUSED] * len(WRITES)
        with driver.session(database=DATABASE, default_access_mode=neo4j.WRITE_ACCESS) as session:
            transaction = session.begin_transaction()
            with pytest.raises(exceptions.Forbidden):
                transaction.run(WRITES[0]).consume()
            transaction.close()
        found = owner.execute_query("MATCH (c:City) RETURN c.name AS name", database_=DATABASE)
        assert [record["name"] for record in found.records] == ["Austin"]


def test_sessions_and_transactions(people: dict[str, Way], scheme: str) -> None:
    with people["write"].driver(scheme) as driver:
        with driver.session(database=DATABASE) as session:
            with session.begin_transaction() as transaction:
                transaction.run("CREATE (:Draft)")
                transaction.rollback()
            session.execute_write(lambda work: work.run("CREATE (:Kept)").consume())
            kept = session.execute_read(lambda work: work.run("MATCH (n:Kept) RETURN count(n) AS n").value())
            assert kept == [1]
            session.run("MATCH (n:Kept) DELETE n").consume()
        assert count(driver, "Draft") == 0


def test_a_routed_driver_stays_with_us_when_its_table_and_its_pool_are_new(people: dict[str, Way]) -> None:
    way = people["write"]
    with way.driver(max_connection_lifetime=0, max_connection_pool_size=2) as driver:
        for _ in range(3):
            assert count(driver, "Nothing") == 0
            (table,) = driver._pool.routing_tables.values()
            assert {*table.routers, *table.readers, *table.writers} == {(way.host, way.port)}
            table.ttl = 0  # so that it asks anew


def test_a_session_may_come_as_somebody_else(people: dict[str, Way], scheme: str) -> None:
    with people["read"].driver(scheme, max_connection_pool_size=1) as driver:
        for level, expected in (("read", REFUSED), ("write", None), ("read", REFUSED)):
            with driver.session(database=DATABASE, auth=people[level].auth) as session:
                code = None
                try:
                    session.run("CREATE (:Passing)").consume()
                except exceptions.Neo4jError as error:
                    code = error.code
                assert code == expected
        none = driver.session(database=DATABASE, auth=people["none"].auth)
        with none, pytest.raises(exceptions.ClientError):
            none.run("RETURN 1").consume()


def test_a_token_alone_is_enough_as_a_bearers(podgate: Podgate, people: dict[str, Way], scheme: str) -> None:
    token = make_token(podgate, f"bearer-{scheme[:4]}", "atlas-write")
    with people["write"].as_(neo4j.bearer_auth(token)).driver(scheme) as driver:
        driver.verify_connectivity()


def test_refusals_are_the_drivers_own(people: dict[str, Way], scheme: str) -> None:
    way = people["none"]
    with way.driver(scheme) as driver, pytest.raises(exceptions.Forbidden, match="atlas-none holds none"):
        driver.verify_connectivity()
    for auth in (
        neo4j.basic_auth("atlas-read", "pgt_wrong"),
        neo4j.basic_auth("root", "secret"),
        neo4j.basic_auth("a", ""),
    ):
        with way.as_(auth).driver(scheme) as driver, pytest.raises(exceptions.AuthError, match="no valid API token"):
            driver.verify_connectivity()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the driver leaves a dead socket open
def test_a_session_ends_when_its_token_is_revoked(podgate: Podgate, people: dict[str, Way], scheme: str) -> None:
    made = call(podgate, "POST", "tokens", name=f"short-{scheme[:4]}", user="atlas-write")
    way = people["write"].as_(neo4j.basic_auth("atlas-write", made["token"]))
    with way.driver(scheme) as driver, driver.session(database=DATABASE) as session:
        transaction = session.begin_transaction(timeout=PATIENCE)
        assert transaction.run("RETURN 1 AS n").value() == [1]
        call(podgate, "DELETE", f"tokens/{made['id']}")
        with pytest.raises((exceptions.ServiceUnavailable, exceptions.SessionExpired)):
            until_it_ends(transaction)
    del driver, session, transaction
    gc.collect()


@pytest.mark.usefixtures("city")
def test_the_same_host_answers_over_http_by_the_same_levels(podgate: Podgate, people: dict[str, Way]) -> None:
    way = people["read"]
    insert = {"language": "sql", "command": "insert into City set name = 'a reader was here'"}
    select = {"language": "sql", "command": "select name from City"}
    answers, trust = {}, ssl.create_default_context(cafile=podgate.ca)
    with httpx.Client(verify=trust, base_url=f"https://{way.host}:{way.port}") as client:
        assert client.get("/api/v1/ready").status_code == 401
        for level in ("read", "write"):
            headers = {"Authorization": f"Bearer {people[level].auth.credentials}"}
            rows = client.post(f"/api/v1/query/{DATABASE}", json=select, headers=headers)
            assert [row["name"] for row in rows.json()["result"]] == ["Austin"]
            answers[level] = client.post(f"/api/v1/command/{DATABASE}", json=insert, headers=headers).status_code
    assert answers == {"read": 403, "write": 200}
