"""Routes as values."""

from typing import Any

from router.access import AccessLevel
from router.model import Protocol, RouteState
from router.routedocument import parse_route

GOOD: dict[str, Any] = {"host": "mydb.pods.localhost", "protocol": "postgres", "upstreams": ["127.0.0.1:5432"]}


def test_routes_are_hashable_with_their_grants() -> None:
    assert hash(parse_route({**GOOD, "grants": {"everyone": "read"}})) == hash(parse_route(GOOD))


def test_requests_lead_to_the_http_side_of_a_graph() -> None:
    graph = parse_route({**GOOD, "protocol": "bolt", "http": ["127.0.0.1:2480"], "access": "read"})
    side = graph.web_side()
    assert side is not None
    assert (side.protocol, side.upstreams, side.access) == (Protocol.HTTP, graph.http, AccessLevel.READ)
    web = parse_route({**GOOD, "protocol": "http"})
    assert web.web_side() is web


def test_what_has_no_http_side_has_none_but_while_nobody_can_tell() -> None:
    for protocol in ("bolt", "postgres", "tcp"):
        assert parse_route({**GOOD, "protocol": protocol}).web_side() is None
    stopped = parse_route({**GOOD, "protocol": "bolt", "state": "stopped"}).web_side()
    assert stopped is not None
    assert (stopped.state, stopped.upstreams) == (RouteState.STOPPED, ())
