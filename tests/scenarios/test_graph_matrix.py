"""Every driver in both modes, routed and not: what works without a gateway works alike through it, feature by feature,
and what does not is told in the driver's own way. Whatever a driver does in its own way is in clients/.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import neo4j
import pytest

from tests.running import PATIENCE, Pod, Podgate, needs_resolver
from tests.scenarios.api import call, create, everywhere, in_force, share
from tests.scenarios.browser import chromium, person
from tests.scenarios.clients.arcadedb import MANY, SOMEBODY_ELSE, TABLE, WHATEVER, in_markdown
from tests.scenarios.clients.neo4jdrivers import NAMES, DriverError, InPage, Node, Program, Python, auth_of, missing
from tests.scenarios.graphs import Way, beside, into, user_of
from tests.scenarios.people import add, make_token

pytestmark = needs_resolver

DOCS = Path(__file__).parents[2] / "docs" / "bolt.md"
UNAUTHORIZED = "Neo.ClientError.Security.Unauthorized"
LOST = "Unable to retrieve routing information|Could not perform discovery"  # what routed drivers say of any refusal
DRIVERS = [pytest.param(name, marks=pytest.mark.skipif(missing(name) != "", reason=missing(name))) for name in NAMES]
Ways = dict[str, tuple[Way, Way]]  # by mode: of who may do all, and of who may only read


class Programs:
    """The programs that were asked for, which go on until all tests have ended."""

    def __init__(self, podgate: Podgate, page: str, ended: ExitStack) -> None:
        self._podgate = podgate
        self._page = page
        self._ended = ended
        self._running: dict[str, Program] = {}
        self._direct: dict[str, dict[str, Any]] = {}

    def __getitem__(self, name: str) -> Program:
        if name not in self._running:
            self._running[name] = self._start(name)
            self._ended.callback(self._running[name].close)
        return self._running[name]

    def direct(self, name: str, way: Way, other: Way) -> dict[str, Any]:
        """Give what is got without a gateway."""
        if name not in self._direct:
            self._direct[name] = features(self[name], self[name].open("direct", "bolt", way, encrypted=False), other)
        return self._direct[name]

    def _start(self, name: str) -> Program:
        if name == "node":
            return Node(self._podgate.ca)
        if name != "chromium":
            return Python(self._podgate.ca, int(name.partition("-")[2] or 0) or None)
        browser = self._ended.enter_context(chromium(self._podgate.ca))
        page = self._ended.enter_context(person(browser)).new_page()
        page.goto(self._page)
        return InPage(page)


def features(program: Program, name: str, other: Way) -> dict[str, Any]:
    """Try all that a driver has; `other` is who may only read."""
    given: dict[str, dict[str, object]] = {MANY: {"records": program.records}, SOMEBODY_ELSE: {"auth": auth_of(other)}}
    asked = [row.feature for row in TABLE if row.feature not in program.unable]
    return {feature: program.do(name, feature, **given.get(feature, {})) for feature in asked}


@pytest.fixture(scope="module")
def ledger(podgate: Podgate) -> Pod:
    """A graph whose gateway asks who is there; bella manages it, and carl reads."""
    pod = create(podgate, "ledger", "graph", "read")
    share(podgate, "ledger", add(podgate, "bella").name, "manage")
    share(podgate, "ledger", add(podgate, "carl").name, "read")
    in_force(podgate, "ledger")
    return pod


@pytest.fixture(scope="module")
def ways(podgate: Podgate, graph: Pod, ledger: Pod) -> Ways:
    tokens = {name: make_token(podgate, f"matrix-{name}", name) for name in ("bella", "carl")}
    bella, carl = (neo4j.basic_auth(name, token) for name, token in tokens.items())
    owner, reader = user_of(graph, "owner"), user_of(graph, "read")
    return {
        "direct": (beside(podgate, graph, owner), beside(podgate, graph, reader)),
        "public": (into(graph, owner), into(graph, reader)),
        "closed": (into(ledger, bella), into(ledger, carl)),
    }


@pytest.fixture(scope="module")
def programs(podgate: Podgate, site: Pod) -> Iterator[Programs]:
    endpoint = site["endpoints"][0]
    with ExitStack() as ended:
        yield Programs(podgate, f"https://{endpoint['host']}:{endpoint['port']}/", ended)


@pytest.fixture(params=["bolt+s", "neo4j+s"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["public", "closed"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_works_works_alike_through_a_gateway(
    programs: Programs, ways: Ways, driver: str, mode: str, scheme: str
) -> None:
    program = programs[driver]
    direct = programs.direct(driver, *ways["direct"])
    way, other = ways[mode]
    assert features(program, program.open("through", scheme, way), other) == direct
    for row in TABLE:
        assert row.value is WHATEVER or direct.get(row.feature, row.value) == row.value


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_wrong_password_is_told(programs: Programs, ways: Ways, driver: str, mode: str, scheme: str) -> None:
    program, (way, _) = programs[driver], ways[mode]
    name = program.open("through", scheme, way)
    auth = {"user": way.auth.principal, "password": "wrong-" + "x" * 43}
    words = {"public": "Authentication failed", "closed": "no valid API token of a user 'bella'"}
    with pytest.raises(DriverError, match=words[mode]) as refused:
        program.do(name, "connect as", auth=auth)
    assert (refused.value.error, refused.value.code) == (program.auth_error, UNAUTHORIZED)
    assert program.do(name, "ask") == 42


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_token_is_enough_as_a_bearers(programs: Programs, ways: Ways, driver: str, scheme: str) -> None:
    program, (way, _) = programs[driver], ways["closed"]
    name = program.open("through", scheme, way.as_(neo4j.bearer_auth(way.auth.credentials)))
    assert program.do(name, "ask") == 42


@pytest.mark.parametrize("driver", DRIVERS)
def test_an_unknown_pod_is_told(programs: Programs, ways: Ways, driver: str, scheme: str) -> None:
    program, (way, _) = programs[driver], ways["public"]
    name = program.open("through", scheme, replace(way, host="nothing.pods.localhost"))
    told = program.tells_of_unknown if scheme == "bolt+s" else program.tells_when_routed
    words = "there is no pod behind nothing" if told else f"WebSocket connection failure|{LOST}"
    with pytest.raises(DriverError, match=words) as refused:
        program.do(name, "ask")
    if told and driver != "python-4":  # which keeps no code of what happens while it connects
        assert refused.value.code == "Neo.ClientError.Database.DatabaseNotFound"


@pytest.mark.parametrize("driver", DRIVERS)
def test_routes_lead_to_us_however_new_table_and_pool_are(
    programs: Programs, ways: Ways, driver: str, mode: str
) -> None:
    program, (way, _) = programs[driver], ways[mode]
    for options in program.anew:
        name = program.open("through", "neo4j+s", way, **options)
        for _ in range(3):
            assert program.do(name, "routing table") == [[f"{way.host}:{way.port}"]] * 3


def test_a_stopped_pod_is_told_and_one_that_is_back_is_found(podgate: Podgate, programs: Programs, ways: Ways) -> None:
    """All drivers at once, with connections from before in their pools: a graph takes seconds to start."""
    opened = [
        (programs[driver], programs[driver].open(f"{mode}, {scheme}", scheme, ways[mode][0]), scheme)
        for driver in NAMES
        if not missing(driver)
        for mode in ("public", "closed")
        for scheme in ("bolt+s", "neo4j+s")
    ]
    for program, name, _ in opened:
        assert program.do(name, "ask") == 42
    for action, state in (("stop", "stopped"), ("start", "routed")):
        for pod in ("mygraph", "ledger"):
            call(podgate, "POST", f"pods/{pod}/{action}")
        for pod in ("mygraph", "ledger"):
            call(podgate, "GET", f"pods/{pod}/wait?until={state}&timeout={PATIENCE}")
        if action == "stop":
            everywhere(podgate)
            for program, name, scheme in opened:
                told = scheme == "bolt+s" or program.tells_when_routed
                is_told(program, name, "is stopped" if told else f"is stopped|{LOST}")
    for program, name, _ in opened:
        assert program.do(name, "managed transactions") == 1


def is_told(program: Program, name: str, words: str) -> None:
    """See that a pod is stopped; what a driver has in its pool, it may lose first."""
    with pytest.raises(DriverError) as first:
        program.do(name, "ask")
    assert first.value.error in program.away
    with pytest.raises(DriverError, match=words) as told:
        program.do(name, "ask")
    assert told.value.error in program.away


def test_the_table_of_what_works_is_the_one_for_people() -> None:
    assert in_markdown() in DOCS.read_text()
