"""A gateway with a scripted graph database behind it."""

from collections.abc import Iterator
from typing import Any

import pytest
import trustme

from certs.leaf import Leaf
from gateway.options import Options
from router.access import AccessLevel
from router.credentials import User
from router.database import Database, Login
from tests.gateway.bolt.scripted import Client, Graph
from tests.gateway.postgres.scripted import token
from tests.gateway.running import Running, running
from tests.peers import tls_to, trusting
from tests.upstreams import Upstream, upstream

HOST = "graph.pods.test"
BUDGET = 60.0  # seconds for an opening: more than any takes that is not hurried
TOKEN, OF_BOB = "pgt_of-alice", "pgt_of-bob"
LOGINS = {
    AccessLevel.READ: (Login("reader", "r" * 9),),
    AccessLevel.WRITE: (Login("writer", "w" * 9),),
    AccessLevel.OWNER: (Login("owner", "o" * 9),),
}
GRANTS = {"user:alice": AccessLevel.WRITE, "user:bob": AccessLevel.READ}


@pytest.fixture
def gateway(leaf: Leaf) -> Iterator[Running]:
    options = Options(public_port=8443, drain=0, domain="pods.test", opening_budget=BUDGET)
    with running([leaf], options) as gateway:
        gateway.know(User("alice"), User("bob"), User("carol"), User("dora"))
        gateway.know(token(TOKEN), token(OF_BOB, "bob", "t2"), token("pgt_of-carol", "carol", "t3"))
        gateway.know(token("pgt_of-dora", "dora", "t4"))
        yield gateway


@pytest.fixture
def graph() -> Graph:
    return Graph()


@pytest.fixture
def server(graph: Graph) -> Iterator[Upstream]:
    with upstream(graph) as server:
        yield server


def closed(gateway: Running, server: Upstream, access: AccessLevel = AccessLevel.READ, **more: Any) -> None:
    """Route to a database that is not public."""
    given = {"grants": GRANTS, "database": Database("graph", LOGINS), **more}
    gateway.route(HOST, "bolt", server.address, access=access, **given)


def client_of(gateway: Running, ca: trustme.CA, host: str = HOST) -> Client:
    return Client(tls_to(gateway.port, trusting(ca), host))
