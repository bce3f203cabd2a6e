"""Ways into a graph database: the official Neo4j driver, with what it needs to know."""

import json
from dataclasses import dataclass, replace
from typing import Any

import neo4j

from tests.running import Pod, Podgate

DATABASE = "graph"


@dataclass(frozen=True, slots=True)
class Way:
    """Who comes to which database, and how."""

    host: str
    port: int
    auth: neo4j.Auth

    def driver(self, scheme: str = "neo4j+s", **more: Any) -> neo4j.Driver:
        """Make a driver, which connects when it is used. It trusts whom SSL_CERT_FILE names."""
        return neo4j.GraphDatabase.driver(f"{scheme}://{self.host}:{self.port}", auth=self.auth, **more)

    def as_(self, auth: neo4j.Auth) -> "Way":
        return replace(self, auth=auth)


def into(pod: Pod, auth: neo4j.Auth) -> Way:
    """Give the way into a pod for somebody."""
    endpoint = pod["endpoints"][0]
    return Way(endpoint["host"], endpoint["port"], auth)


def count(driver: neo4j.Driver, label: str) -> int:
    """Count the nodes of a label."""
    found = driver.execute_query(f"MATCH (n:{label}) RETURN count(n) AS n", database_=DATABASE)
    return int(found.records[0]["n"])


def beside(podgate: Podgate, pod: Pod, auth: neo4j.Auth) -> Way:
    """Give the way to a pod's database that goes around the gateway."""
    running = json.loads((podgate.home / "pods" / pod["key"] / "pod.json").read_text())
    host, _, port = running["upstreams"][""].rpartition(":")
    return Way(host, int(port), auth)


def user_of(pod: Pod, level: str) -> neo4j.Auth:
    """Give the database's own login for a level."""
    credential = pod["credentials"][level]
    return neo4j.basic_auth(credential["user"], credential["password"])
