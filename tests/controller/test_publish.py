"""From pods to routes."""

from dataclasses import replace

import pytest

from controller.model import EndpointSettings, Link, Phase, Pod, Status, Want
from controller.publish import api_route, console_route, difference, routes_of
from controller.runtimes import Observed, Stage
from controller.templates import Credential, Template, TemplateEndpoint
from router.access import AccessLevel
from router.database import NO_DATABASE, Database, Login
from router.model import Protocol, Route, RouteState, TcpAddress, UnixAddress, WebRules
from router.routedocument import parse_network, parse_route

TEMPLATE = Template(
    "db",
    "",
    "",
    database_name="{pod}",
    keeper="keeper",
    endpoints=(TemplateEndpoint("postgres"), TemplateEndpoint("http", "metrics")),
    credentials=(Credential("owner", "owner"), Credential("read", "reader")),
)
FIRST = replace(TEMPLATE, endpoints=TEMPLATE.endpoints[:1])
SECRETS = {"owner": "o-secret", "read": "r-secret", "keeper": "k-secret"}
DATABASE = Database(
    "db", {AccessLevel.OWNER: (Login("owner", "o-secret"),), AccessLevel.READ: (Login("reader", "r-secret"),)}
)
READY = Observed(Stage.READY, 1, 0.0, {"": "unix:/pods/db/run/.s.PGSQL.5432", "metrics": "127.0.0.1:9187"})


def pod(phase: Phase, want: Want = Want.ON, message: str = "") -> Pod:
    return Pod(1, "db-1", "db", "db", AccessLevel.READ, 0.0, want, status=Status(phase, message), secrets=SECRETS)


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
    routes = routes_of(pod(phase, want), READY, TEMPLATE, "pods.localhost")
    assert {route.state for route in routes} == {state}
    assert all(bool(route.upstreams) == (state is RouteState.AVAILABLE) for route in routes)


def test_each_endpoint_has_its_host_protocol_upstream_and_the_access_of_the_pod() -> None:
    database, metrics = routes_of(pod(Phase.AVAILABLE), READY, TEMPLATE, "pods.localhost")
    socket = UnixAddress("/pods/db/run/.s.PGSQL.5432")
    assert database == Route(
        "db.pods.localhost",
        Protocol.POSTGRES,
        (socket,),
        AccessLevel.READ,
        pod="db-1",
        grants={"user:admin": AccessLevel.OWNER},
        database=DATABASE,
    )
    assert (metrics.host, metrics.protocol) == ("db--metrics.pods.localhost", Protocol.HTTP)
    assert metrics.upstreams == (TcpAddress("127.0.0.1", 9187),)


def test_an_unusable_address_fails_its_endpoint_alone() -> None:
    seen = Observed(Stage.READY, 1, 0.0, {"": "127.0.0.1:5432", "metrics": "nowhere"})
    database, metrics = routes_of(pod(Phase.AVAILABLE), seen, TEMPLATE, "pods.localhost")
    assert (database.state, metrics.state) == (RouteState.AVAILABLE, RouteState.FAILED)
    (unseen,) = routes_of(pod(Phase.AVAILABLE), None, FIRST, "pods.localhost")
    assert unseen.state is RouteState.FAILED


@pytest.mark.parametrize("phase", Phase)
def test_strangers_read_nothing_of_what_the_runtime_tells(phase: Phase) -> None:
    (route,) = routes_of(pod(phase, message="exit status 1: password=hunter2"), READY, FIRST, "pods.localhost")
    assert "hunter2" not in route.message
    assert parse_route(route.to_document()) == route


def test_the_api_has_a_route_of_its_own() -> None:
    route = api_route("/home/run/api.sock", "pods.localhost")
    upstream = UnixAddress("/home/run/api.sock")
    assert route == Route("api.pods.localhost", Protocol.HTTP, (upstream,), AccessLevel.PUBLIC, own=True)


def test_the_difference_leads_from_the_one_to_the_other() -> None:
    same, changed, gone = (Route(f"{name}.x", Protocol.TCP, ()) for name in ("same", "changed", "gone"))
    now = Route("changed.x", Protocol.HTTP, ())
    new = Route("new.x", Protocol.TCP, ())
    assert difference([same, changed, gone], [same, now, new]) == ((now, new), ("gone.x",))
    assert difference([same], [same]) == ((), ())


def test_a_route_says_who_holds_what_and_how_its_endpoint_is_used() -> None:
    link = Link("k3", AccessLevel.READ, "", "", 0.0, "alice", 9.0, uses_left=0)
    metrics = EndpointSettings(AccessLevel.PUBLIC, (parse_network("10.0.0.0/8"),), True, WebRules(rate=5.0))
    shared = replace(
        pod(Phase.AVAILABLE),
        owner="alice",
        grants={"user:alice": AccessLevel.READ, "group:lab": AccessLevel.WRITE},
        links=(link,),
        endpoints={"metrics": metrics},
    )
    first, second = routes_of(shared, READY, TEMPLATE, "pods.localhost")
    assert first.grants == second.grants
    assert first.grants == {
        "user:alice": AccessLevel.OWNER,  # whatever else is stored: an owner owns
        "group:lab": AccessLevel.WRITE,
        "link:k3": AccessLevel.READ,  # used up, and those who used it stay
    }
    assert (first.access, first.ip_allow, first.certificates, first.web) == (AccessLevel.READ, (), False, WebRules())
    assert (second.access, second.ip_allow) == (AccessLevel.PUBLIC, metrics.ip_allow)
    assert (second.certificates, second.web) == (True, metrics.web)
    assert parse_route(second.to_document()) == second


def test_the_console_has_a_route_outside_the_pods_domain() -> None:
    route = console_route("/home/run/console.sock", "podgate.localhost")
    upstream = UnixAddress("/home/run/console.sock")
    assert route == Route("podgate.localhost", Protocol.HTTP, (upstream,), AccessLevel.PUBLIC, own=True)


def test_a_database_that_is_public_is_reached_without_our_logins() -> None:
    public = replace(pod(Phase.AVAILABLE), endpoints={"": EndpointSettings(AccessLevel.PUBLIC, most_links=5)})
    database, metrics = routes_of(public, READY, TEMPLATE, "pods.localhost")
    assert database.database == Database("db", {}, most_links=5)
    assert metrics.database == NO_DATABASE


def test_a_route_says_how_many_connections_its_endpoint_takes() -> None:
    limited = replace(pod(Phase.AVAILABLE), endpoints={"": EndpointSettings(most_links=5, most_links_of_user=2)})
    (route,) = routes_of(limited, READY, FIRST, "pods.localhost")
    assert route.database == replace(DATABASE, most_links=5, most_links_of_user=2)
    assert parse_route(route.to_document()) == route


def test_while_passwords_rotate_both_are_tried_and_the_keeper_is_nobodys_business() -> None:
    rotating = replace(pod(Phase.AVAILABLE), pending={"read": "new-secret"})
    (route,) = routes_of(rotating, READY, FIRST, "pods.localhost")
    assert route.database.logins == {
        AccessLevel.OWNER: (Login("owner", "o-secret"),),
        AccessLevel.READ: (Login("reader", "r-secret"), Login("reader", "new-secret")),
    }
    assert "k-secret" not in str(route.to_document())


def test_no_text_holds_a_password() -> None:
    rotating = replace(pod(Phase.AVAILABLE), pending={"read": "new-secret"})
    assert "secret" not in f"{rotating!r}{routes_of(rotating, READY, TEMPLATE, 'pods.localhost')!r}"


def test_a_pod_that_lacks_a_secret_has_no_login_for_it() -> None:
    (route,) = routes_of(replace(pod(Phase.AVAILABLE), secrets={}), READY, FIRST, "pods.localhost")
    assert route.database == Database("db")
    assert routes_of(pod(Phase.AVAILABLE), READY, None, "pods.localhost") == ()


def test_a_graph_is_published_with_its_http_side() -> None:
    endpoint = TemplateEndpoint("bolt", port="BOLT_PORT", http="HTTP_PORT")
    template = replace(TEMPLATE, endpoints=(endpoint,))
    seen = Observed(Stage.READY, 1, 0.0, {"": "127.0.0.1:7687", endpoint.http_key: "127.0.0.1:2480"})
    (route,) = routes_of(pod(Phase.AVAILABLE), seen, template, "pods.localhost")
    assert (route.upstreams, route.http) == ((TcpAddress("127.0.0.1", 7687),), (TcpAddress("127.0.0.1", 2480),))
    assert parse_route(route.to_document()) == route
    (before,) = routes_of(
        pod(Phase.AVAILABLE), replace(seen, upstreams={"": "127.0.0.1:7687"}), template, "x.localhost"
    )
    assert (before.state, before.http) == (RouteState.AVAILABLE, ())  # launched by an earlier version
    (stopped,) = routes_of(pod(Phase.AVAILABLE, Want.OFF), seen, template, "pods.localhost")
    assert stopped.http == ()
