"""The official Neo4j driver and our Cypher prompt, against a real ArcadeDB."""

import subprocess

import neo4j
import neo4j.exceptions
import pytest

from tests.running import PATIENCE, Pod, Podgate, needs_resolver

pytestmark = needs_resolver


@pytest.fixture
def driver(podgate: Podgate, graph: Pod, monkeypatch: pytest.MonkeyPatch) -> neo4j.Driver:
    monkeypatch.setenv("SSL_CERT_FILE", str(podgate.ca))
    owner = graph["credentials"]["owner"]
    return neo4j.GraphDatabase.driver(graph["uris"]["bolt"], auth=(owner["user"], owner["password"]))


def test_the_driver_writes_and_reads(driver: neo4j.Driver) -> None:
    with driver:
        driver.execute_query("CREATE (:City {name: $name})", name="Austin", database_="graph")
        found = driver.execute_query("MATCH (c:City) RETURN c.name AS name LIMIT 1", database_="graph")
    assert [record["name"] for record in found.records] == ["Austin"]


def test_a_large_result_arrives_whole(driver: neo4j.Driver) -> None:
    with driver:
        found = driver.execute_query("UNWIND range(1, 20000) AS n RETURN n", database_="graph")
    assert [record["n"] for record in found.records] == list(range(1, 20001))


def test_an_unknown_pod_is_the_drivers_own_error(driver: neo4j.Driver, podgate: Podgate) -> None:
    driver.close()
    stranger = neo4j.GraphDatabase.driver(f"bolt+s://nothing.pods.localhost:{podgate.port}", auth=("a", "b"))
    with stranger, pytest.raises(neo4j.exceptions.ClientError, match="there is no pod behind nothing"):
        stranger.verify_connectivity()


def test_the_cypher_prompt(podgate: Podgate, graph: Pod) -> None:
    printed = podgate.run("connect", graph["name"], "--print").strip()
    shell = ["sh", "-c", f"{printed} --database graph --json"]
    done = subprocess.run(
        shell, input="RETURN 6 * 7 AS answer;", text=True, capture_output=True, timeout=PATIENCE, check=True
    )
    assert '"answer": 42' in done.stdout
