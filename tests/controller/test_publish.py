"""From pods to routes."""

import pytest

from controller.model import Phase, Pod, Status, Want
from controller.publish import api_route, difference, routes_of
from controller.runtimes import Observed, Stage
from controller.templates import TemplateEndpoint
from router.access import AccessLevel
from router.model import Protocol, Route, RouteState, TcpAddress, UnixAddress, parse_route

ENDPOINTS = (TemplateEndpoint("postgres"), TemplateEndpoint("http", "metrics"))
READY = Observed(Stage.READY, 1, 0.0, {"": "unix:/pods/db/run/.s.PGSQL.5432", "metrics": "127.0.0.1:9187"})


def pod(phase: Phase, want: Want = Want.ON, message: str = "") -> Pod:
    return Pod(1, "db-1", "db", "db", AccessLevel.READ, 0.0, want, status=Status(phase, message))


@pytest.mark.parametrize(
    ("want", "phase", "state"),
    [
        (Want.ON, Phase.REQUESTED, RouteState.STARTING),
        (Want.ON, Phase.STARTING, RouteState.STARTING),
        (Want.ON, Phase.AVAILABLE, RouteState.AVAILABLE),
        (Want.ON, Phase.STOPPING, RouteState.STARTING),
        (Want.ON, Phase.STOPPED, RouteState.STARTING),
        (Want.ON, Phase.FAILED, RouteState.FAILED),
        *((want, phase, RouteState.STOPPED) for want in (Want.OFF, Want.DELETED) for phase in Phase),
    ],
)
def test_the_state_of_a_route(want: Want, phase: Phase, state: RouteState) -> None:
    routes = routes_of(pod(phase, want), READY, ENDPOINTS, "pods.localhost")
    assert {route.state for route in routes} == {state}
    assert all(bool(route.upstreams) == (state is RouteState.AVAILABLE) for route in routes)


def test_each_endpoint_has_its_host_protocol_upstream_and_the_access_of_the_pod() -> None:
    database, metrics = routes_of(pod(Phase.AVAILABLE), READY, ENDPOINTS, "pods.localhost")
    socket = UnixAddress("/pods/db/run/.s.PGSQL.5432")
    assert database == Route("db.pods.localhost", Protocol.POSTGRES, (socket,), AccessLevel.READ)
    assert (metrics.host, metrics.protocol) == ("db--metrics.pods.localhost", Protocol.HTTP)
    assert metrics.upstreams == (TcpAddress("127.0.0.1", 9187),)


def test_an_unusable_address_fails_its_endpoint_alone() -> None:
    seen = Observed(Stage.READY, 1, 0.0, {"": "127.0.0.1:5432", "metrics": "nowhere"})
    database, metrics = routes_of(pod(Phase.AVAILABLE), seen, ENDPOINTS, "pods.localhost")
    assert (database.state, metrics.state) == (RouteState.AVAILABLE, RouteState.FAILED)
    (unseen,) = routes_of(pod(Phase.AVAILABLE), None, ENDPOINTS[:1], "pods.localhost")
    assert unseen.state is RouteState.FAILED


@pytest.mark.parametrize("phase", Phase)
def test_strangers_read_nothing_of_what_the_runtime_tells(phase: Phase) -> None:
    (route,) = routes_of(pod(phase, message="exit status 1: password=hunter2"), READY, ENDPOINTS[:1], "pods.localhost")
    assert "hunter2" not in route.message
    assert parse_route(route.to_document()) == route


def test_the_api_has_a_route_of_its_own() -> None:
    route = api_route("/home/run/api.sock", "pods.localhost")
    upstream = UnixAddress("/home/run/api.sock")
    assert route == Route("api.pods.localhost", Protocol.HTTP, (upstream,), AccessLevel.PUBLIC)


def test_the_difference_leads_from_the_one_to_the_other() -> None:
    same, changed, gone = (Route(f"{name}.x", Protocol.TCP, ()) for name in ("same", "changed", "gone"))
    now = Route("changed.x", Protocol.HTTP, ())
    new = Route("new.x", Protocol.TCP, ())
    assert difference([same, changed, gone], [same, now, new]) == ((now, new), ("gone.x",))
    assert difference([same], [same]) == ((), ())
