"""Ctrl-C with two gateways of two workers each, behind a balancer that gives every connection to the other one: so the
gateway that is told to cancel is never the one whose session it is.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest

from tests.gateway.process import GatewayProcess
from tests.ports import free_port
from tests.running import Podgate
from tests.scenarios.api import create, delete, in_force, share
from tests.scenarios.clients.driven import Client
from tests.scenarios.clients.libpq import Psycopg
from tests.scenarios.databases import Way, into, owner_of
from tests.scenarios.people import add, make_token
from tests.scenarios.replicas import balancer, controller
from tests.scenarios.test_postgres_matrix import is_cancelled, libpq, others


@dataclass(frozen=True, slots=True)
class Site:
    """Two replicas and what is in front of them."""

    ways: dict[str, Way]  # by mode, through the balancer
    gateways: tuple[int, int]  # their ports

    def alone(self, way: Way, gateway: int) -> Way:
        """Give the way through one of them."""
        return replace(way, port=self.gateways[gateway])


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    ports = (free_port(), free_port())
    with balancer(ports) as port, ExitStack() as ended:
        podgate = ended.enter_context(controller(port))
        for gateway in _gateways(podgate, ports):
            ended.callback(gateway.close)
            gateway.wait_for("gateway is up on")
        podgate.run("status", "--wait", "60")
        public, closed = create(podgate, "open", "postgres", "public"), create(podgate, "closed", "postgres", "read")
        share(podgate, "closed", add(podgate, "anna").name, "manage")
        token = make_token(podgate, "replicas", "anna")
        in_force(podgate, "closed")
        ended.callback(_delete_pods, podgate)
        yield Site({"public": owner_of(podgate, public), "closed": into(podgate, closed, "anna", token)}, ports)


def _gateways(podgate: Podgate, ports: tuple[int, int]) -> Iterator[GatewayProcess]:
    between = (free_port(), free_port())
    for number in (0, 1):
        mine, other = between[number], between[1 - number]
        yield GatewayProcess(
            podgate.home, "--listen", f"127.0.0.1:{ports[number]}", "--public-port", str(podgate.port),
            "--workers", "2", "--replica", str(number + 1),
            "--peer-listen", f"127.0.0.1:{mine}", "--peer", f"127.0.0.1:{other}",
        )  # fmt: skip


def _delete_pods(podgate: Podgate) -> None:
    for name in ("open", "closed"):
        delete(podgate, name)


@pytest.mark.parametrize("mode", ["public", "closed"])
@pytest.mark.parametrize(
    "connect",
    [
        *libpq,
        pytest.param(lambda way: Psycopg(way, safe=False), id="psycopg-cancel-without-tls"),
        pytest.param(lambda way: Psycopg(way, max_protocol_version="latest"), id="psycopg-3.2"),
        *others[:1],
    ],
)
def test_the_other_replica_is_told_to_cancel(site: Site, mode: str, connect: Callable[[Way], Client]) -> None:
    way = site.ways[mode]
    client = connect(way)
    try:
        is_cancelled(client, site.alone(way, 0))
        assert client.ask("select 1") == "1"
    finally:
        client.close()
