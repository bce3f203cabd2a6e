"""Three gateway replicas behind a real HAProxy, which asks them whether they are ready and says who the client is.

One is drained: it says so first, connections go on being taken until HAProxy has heard it, and no link is lost.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.gateway.process import GatewayProcess
from tests.haproxy import haproxy, needs_haproxy
from tests.running import PATIENCE, Podgate, needs_resolver
from tests.scenarios.api import create, delete, in_force, share
from tests.scenarios.clients.libpq import Psycopg
from tests.scenarios.databases import Way, into
from tests.scenarios.people import Curl, add, make_token
from tests.scenarios.replicas import Balanced, controller, eventually, known, shown
from tests.scenarios.test_postgres_matrix import is_cancelled

pytestmark = needs_haproxy
REPLICAS = 3
NOTICE = 4.0  # seconds: twenty times as long as HAProxy needs to hear it


@dataclass(frozen=True, slots=True)
class Site:
    """The replicas and what is in front of them."""

    podgate: Podgate
    gateways: list[GatewayProcess]
    database: Way
    token: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    balanced = Balanced(REPLICAS, NOTICE)
    with ExitStack() as ended:
        port = ended.enter_context(haproxy(tmp_path_factory.mktemp("haproxy"), balanced.servers(), balanced.CHECK))
        podgate = ended.enter_context(controller(port))
        gateways = [balanced.start(podgate, number) for number in range(REPLICAS)]
        for each in gateways:
            ended.callback(each.close)
            each.wait_for("gateway is up on")
        podgate.run("status", "--wait", "60")
        pod = create(podgate, "vault", "postgres", "read")
        create(podgate, "pages", "web", "read")
        share(podgate, "vault", add(podgate, "anna").name, "manage")
        share(podgate, "pages", "anna", "read")
        token = make_token(podgate, "replicas", "anna")
        for name in ("vault", "pages"):
            in_force(podgate, name)
            ended.callback(delete, podgate, name)
        yield Site(podgate, gateways, into(podgate, pod, "anna", token), token)


def test_each_replica_is_shown(site: Site) -> None:
    with ExitStack() as ended:
        for _ in range(REPLICAS):
            ended.callback(Psycopg(site.database).close)
        eventually(lambda: sum(each["links"] for each in known(site.podgate).values()) >= REPLICAS)
        found = shown(site.podgate)
        assert sorted(found) == ["gw-0", "gw-1", "gw-2"]
        for number, each in enumerate(found[name] for name in sorted(found)):
            assert (each["current"], each["lag_versions"], each["draining"]) == (True, 0, False)
            assert (each["workers"], each["number"]) == (1, number)


@needs_resolver
def test_a_session_is_one_with_every_replica(site: Site, tmp_path: Path) -> None:
    """A cookie that one of them sealed is good with the others: each request here comes to the next of them."""
    curl = Curl(site.podgate, tmp_path / "jar")
    origin = f"https://pages.pods.localhost:{site.podgate.port}"
    assert curl.open(f"{origin}/?token={site.token}")[0] == 200
    assert [curl.open(f"{origin}/", "--no-location")[0] for _ in range(2 * REPLICAS)] == [200] * 2 * REPLICAS
    assert curl.ask(f"{origin}/", "--header", "Accept: application/json")[0] == 401


def test_one_is_drained_and_no_link_is_lost(site: Site) -> None:
    clients = [Psycopg(site.database) for _ in range(2 * REPLICAS)]
    try:
        over, failures, made = threading.Event(), list[str](), list[int]()

        def come_and_go() -> None:
            while not over.is_set():
                try:
                    client = Psycopg(site.database)
                    assert client.ask("select 1") == "1"
                    client.close()
                    made.append(1)
                except Exception as error:  # noqa: BLE001  # told by the test
                    failures.append(repr(error))

        visitors = [threading.Thread(target=come_and_go) for _ in range(2)]
        for visitor in visitors:
            visitor.start()
        drained = site.gateways[1]
        drained.signal(signal.SIGTERM)
        drained.wait_for("draining")
        eventually(lambda: known(site.podgate)["gw-1"]["draining"])
        for client in clients:
            assert client.ask("select 2") == "2"
        is_cancelled(clients[0], site.database)
        before = len(made)
        while len(made) < before + 10 and not failures:
            over.wait(0.05)
        over.set()
        for visitor in visitors:
            visitor.join(PATIENCE)
        assert failures == []
        for client in clients:
            assert client.ask("select 3") == "3"
            is_cancelled(client, site.database)
    finally:
        for client in clients:
            client.close()
    assert drained.wait() == 0
    eventually(lambda: sorted(shown(site.podgate)) == ["gw-0", "gw-2"])
    assert "Traceback" not in drained.log
