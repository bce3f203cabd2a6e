"""All of it as replicas, on this machine: two controllers over a PostgreSQL, and three gateways behind HAProxy, which
says whose connections they are. One thing after the other is killed, drained or restarted, and comes back, while
clients ask all the time: no link is lost that should live, no pod is started twice, and new connections go on.

Each test breaks something, sees that the clients do not notice, and leaves all of it there again. The last one counts.
"""

import json
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.databases import PASSWORD
from tests.haproxy import needs_haproxy, up
from tests.running import PATIENCE, needs_resolver
from tests.scenarios.api import create
from tests.scenarios.clients.libpq import Psycopg
from tests.scenarios.crowd import Changer, go_on
from tests.scenarios.people import Curl
from tests.scenarios.replicas import balancer, eventually
from tests.scenarios.test_postgres_matrix import is_cancelled
from tests.scenarios.together import GATEWAYS, PAGES, STARTED, Site, a_site

pytestmark = needs_haproxy
PODS = 4  # that are asked for while the leader is killed
OURS = 2  # routes of Podgate itself: the API, and the console


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with a_site(tmp_path_factory.mktemp("haproxy")) as running:
        yield running


@pytest.fixture
def site(everything: Site) -> Iterator[Site]:
    """All of it is there when a test begins, and the clients are answered; and again when it ends."""
    everything.goes_on()
    yield everything
    everything.restore()
    everything.goes_on()


def test_the_leader_is_killed_while_it_starts_pods(site: Site) -> None:
    names, killed = [f"page-{number}" for number in range(PODS)], site.controllers.leader()
    survivor, before = site.controllers.other(killed), site.running()

    def ask_for(name: str) -> int:
        parameters = {"command": site.page_command(name, before=gate)}
        at = site.controllers.socket(survivor)
        pod = {"name": name, "template": "web", "access": "public", "parameters": parameters}
        return site.podgate.ask("POST", "pods", pod, at).status_code

    with site.closed_gate() as gate, ThreadPoolExecutor(1) as thread:
        asked = thread.submit(lambda: [ask_for(name) for name in names])
        eventually(lambda: [path for name in names for path in site.launched(name)])
        site.controllers.kill(killed)
        assert asked.result() == [201] * PODS
        assert site.controllers.leader() == survivor
        eventually(lambda: site.look("api", "/v1/healthz")[0] == 200)  # for people: gateways follow the survivor
        phases = {pod["name"]: pod["phase"] for pod in site.podgate.call("GET", "pods")["pods"]}
        assert "available" not in [phases[name] for name in names], "none of them was done by who was killed"
        site.goes_on()

    for name in names:
        site.podgate.call("GET", f"pods/{name}/wait?until=routed&timeout={PATIENCE}")
        site.until_noted(name, "available")
        assert site.events(name).count("available") == 1, site.events(name)
        assert site.look(name, "/starts") == (200, STARTED)
    after = site.running()
    assert {name: (len(processes), began) for name, (processes, began) in after.items() if name in names} == (
        dict.fromkeys(names, (1, STARTED))
    )
    assert {name: after[name] for name in before} == before
    assert {path.name for path in (site.podgate.home / "pods").iterdir()} == {
        pod["key"] for pod in site.podgate.call("GET", "pods")["pods"]
    }
    assert site.podgate.call("GET", "status")["routes"]["count"] == len(after) + OURS


def test_a_gateway_is_drained_and_comes_back(site: Site) -> None:
    site.join_everywhere()
    drained, staying = site.gateways[1], site.sessions(1)
    drained.signal(signal.SIGTERM)
    eventually(lambda: site.ready(1) == "draining")
    eventually(lambda: not up(site.balancer)[1])
    assert site.accepts(1), "HAProxy has heard of it before it takes none any more"
    eventually(lambda: site.known()["gw-1"]["draining"])
    eventually(lambda: not site.accepts(1))
    site.goes_on()  # those who stay, and those who come anew
    assert up(site.balancer) == [True, False, True]
    assert drained.process.poll() is None, "it waits for its sessions"
    for member in staying:
        site.leave(member)
    assert drained.wait() == 0
    assert "Traceback" not in drained.log
    eventually(lambda: sorted(site.known()) == ["gw-0", "gw-2"])
    site.goes_on()

    site.start_gateway(1)
    eventually(lambda: all(up(site.balancer)))
    eventually(lambda: [each["current"] for each in site.known().values()] == [True] * GATEWAYS)
    site.join_everywhere()
    assert site.sessions(1), "it is given connections again"


@pytest.mark.parametrize("immediate", [False, True], ids=["fast", "immediate"])
def test_the_database_is_restarted(site: Site, *, immediate: bool) -> None:
    how, before = "immediate" if immediate else "fast", site.running()
    changer = Changer(site.podgate, how)
    changing = site.join(changer)
    go_on([changing])

    site.database.stop(immediate=immediate)
    refused = site.podgate.ask("POST", "users", {"name": f"{how}-early"})
    assert refused.status_code == 503
    assert "does not answer" in refused.json()["detail"]
    assert site.podgate.call("GET", f"pods/{PAGES}")["phase"] == "available"
    assert sorted(site.known()) == ["gw-0", "gw-1", "gw-2"]
    site.goes_on()
    assert changer.refused

    site.database.start()
    eventually(lambda: site.podgate.ask("POST", "users", {"name": f"{how}-late"}).status_code == 201)
    site.controllers.leader()
    create(site.podgate, how, "web", "public", command=site.page_command(how))
    assert site.look(how, "/starts") == (200, STARTED)
    site.leave(changing)
    assert all("try" in detail or "tried" in detail for detail in changer.refused), changer.refused
    after = site.running()
    assert {name: after[name] for name in before} == before
    assert site.podgate.call("GET", "status")["routes"]["count"] == len(after) + OURS


def test_a_controller_that_was_killed_comes_back_and_is_followed_again(site: Site) -> None:
    killed, before = site.controllers.leader(), site.running()
    survivor = site.controllers.other(killed)
    site.controllers.kill(killed)
    assert site.controllers.leader() == survivor
    site.controllers.start(killed)
    site.controllers.stop(survivor)
    assert site.controllers.leader() == killed
    create(site.podgate, "later", "web", "public", command=site.page_command("later"))
    version = site.podgate.call("GET", "gateways")["version"]
    eventually(lambda: all(each["current"] for each in site.known().values()))
    rows = [line.split() for line in site.podgate.run("gateways").splitlines()[1:]]
    assert [(name, state, int(runs) >= version) for name, state, runs, *_ in rows] == [
        (f"gw-{number}", "current", True) for number in range(GATEWAYS)
    ]
    assert {name: now for name, now in site.running().items() if name in before} == before


def test_a_cancel_key_of_the_first_gateway_is_good_at_the_third(site: Site) -> None:
    first, _, third = site.alone
    with balancer((first, third)) as port:  # the session comes to the one, and the cancel to the other
        client = Psycopg(replace(site.vault, port=port))
        is_cancelled(client, site.vault)
        assert client.ask("select 1") == "1"
        client.close()


@needs_resolver
def test_a_web_session_of_the_first_gateway_is_good_at_the_third(site: Site, tmp_path: Path) -> None:
    curl = Curl(site.podgate, tmp_path / "jar")
    first, _, third = (f"https://{PAGES}.pods.localhost:{port}/" for port in site.alone)
    assert curl.open(f"{first}?token={site.token}")[0] == 200
    assert curl.open(third, "--no-location")[0] == 200
    assert curl.ask(third, "--header", "Accept: application/json")[0] == 401


def test_every_client_has_lived_through_all_of_it(site: Site) -> None:
    for member in list(site.crowd):
        site.leave(member)
    answered = Counter[str]()
    for member in site.ended:
        answered[type(member.client).__name__] += member.answered
    assert set(answered) >= {"Session", "Transaction", "Listener", "Page", "Visitor"}
    logs = [site.podgate.log, *(gateway.log for gateway in site.gateways)]
    assert not [log for log in logs if "Traceback" in log or PASSWORD in log or site.token in log]
    assert min(answered.values()) > 0, json.dumps(answered)
