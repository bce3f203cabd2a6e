"""Route documents: there and back, and every way to be wrong named by its field."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.access import AccessLevel
from router.model import Address, Protocol, Route, RouteState, TcpAddress, UnixAddress, WebRules
from router.routedocument import (
    LONGEST_MESSAGE,
    LONGEST_POD_KEY,
    LONGEST_SOCKET_PATH,
    MOST_NETWORKS,
    MOST_UPSTREAMS,
    InvalidRoute,
    host_of_document,
    parse_address,
    parse_route,
)
from tests.router.routes import routes

GOOD: dict[str, Any] = {"host": "mydb.pods.localhost", "protocol": "postgres", "upstreams": ["127.0.0.1:5432"]}


@given(routes)
def test_a_route_goes_through_json_and_back(route: Route) -> None:
    assert parse_route(json.loads(json.dumps(route.to_document()))) == route


def test_what_is_left_out_is_closed_and_available() -> None:
    assert parse_route(GOOD) == Route(
        "mydb.pods.localhost",
        Protocol.POSTGRES,
        (TcpAddress("127.0.0.1", 5432),),
        AccessLevel.OWNER,
        RouteState.AVAILABLE,
        "",
    )


def test_a_route_may_have_no_upstream_yet() -> None:
    assert parse_route({"host": "a.b", "protocol": "http", "state": "stopped"}).upstreams == ()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:1", TcpAddress("127.0.0.1", 1)),
        ("db.Internal:65535", TcpAddress("db.internal", 65535)),
        ("localhost:05432", TcpAddress("localhost", 5432)),
        ("[::1]:443", TcpAddress("::1", 443)),
        ("[2001:DB8:0::1]:443", TcpAddress("2001:db8::1", 443)),
        ("unix:/run/pg/.s.PGSQL.5432", UnixAddress("/run/pg/.s.PGSQL.5432")),
        ("unix:/with space:and:colons", UnixAddress("/with space:and:colons")),
        ("unix:/" + "a" * (LONGEST_SOCKET_PATH - 1), UnixAddress("/" + "a" * (LONGEST_SOCKET_PATH - 1))),
    ],
)
def test_an_address_is_read(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", ":80", "a", "a:", "a:0", "a:65536", "a:-1", "a:+1", "a: 1", "a:1 ", "a:000080", "a:٣", "a:x"),
        *("::1:80", "[::1]", "[::1:80", "[]:80", "[a]:80", "[127.0.0.1]:80", "1.2.3:80", "256.1.1.1:80", "-a:80"),
        *("http://a:80", "a b:80", "a:80:90", "*.a:80", "bücher:80"),
        *("unix:", "unix:relative", "unix:/a\0b", "unix:/\ud800", "unix:/" + "a" * LONGEST_SOCKET_PATH),
        "unix:/" + "ä" * 54,
        *(None, 80, ["a", 80], b"a:80"),
    ],
)
def test_what_is_no_address_is_refused_naming_the_field(text: object) -> None:
    with pytest.raises(ValueError, match=r"^upstreams: "):
        parse_address(text)
    with pytest.raises(InvalidRoute, match=r"^upstreams: "):
        parse_route({**GOOD, "upstreams": [text]})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"host": None}, "^host: expected a text, got nothing"),
        ({"host": ""}, "^host: expected a text, got ''"),
        ({"host": 5}, "^host: expected a text, got 5"),
        ({"host": "a b"}, "^host: 'a b' is not a host name"),
        ({"host": "*.*.a"}, "^host: "),
        ({"protocol": None}, "^protocol: expected one of http, postgres, bolt, tcp, got None"),
        ({"protocol": "HTTP"}, "^protocol: .* got 'HTTP'"),
        ({"protocol": []}, "^protocol: "),
        ({"state": "running"}, "^state: expected one of available, starting, stopped, failed, got 'running'"),
        ({"state": None}, "^state: "),
        ({"access": "admin"}, "^access: expected one of public, read, write, manage, owner, got 'admin'"),
        ({"access": None}, "^access: "),
        ({"access": 0}, "^access: "),
        ({"upstreams": None}, "^upstreams: expected a list"),
        ({"upstreams": "127.0.0.1:80"}, "^upstreams: expected a list"),
        ({"upstreams": {"127.0.0.1:80": 1}}, "^upstreams: expected a list"),
        ({"upstreams": ["a:1"] * (MOST_UPSTREAMS + 1)}, "^upstreams: expected a list of at most 64"),
        ({"message": 5}, "^message: expected a text"),
        ({"message": None}, "^message: expected a text"),
        ({"message": "a" * (LONGEST_MESSAGE + 1)}, "^message: expected a text of at most 500 characters"),
        (
            {"colour": [], "acces": "public"},
            "^acces, colour: no such field; there are access, certificates, database, grants, host",
        ),
        ({"pod": 5}, "^pod: expected the key"),
        ({"pod": "a" * (LONGEST_POD_KEY + 1)}, "^pod: expected the key of a pod, of at most 64"),
        ({"grants": []}, "^grants: expected levels by grantee, got list"),
        *(
            ({"grants": {who: "read"}}, "^grants: expected 'user:NAME'")
            for who in (
                "alice",
                "user:",
                "user:Alice",
                "group:a b",
                "link:",
                "link:a b",
                "Everyone",
                "user:a\n",
                5,
                "user:" + "a" * 65,
            )
        ),
        ({"grants": {"user:alice": "admin"}}, "^grants: "),
        ({"grants": {"user:alice": None}}, "^grants: "),
        ({"ip_allow": "192.0.2.0/24"}, "^ip_allow: expected a list"),
        ({"ip_allow": ["192.0.2.0/24"] * (MOST_NETWORKS + 1)}, "^ip_allow: expected a list of at most 256"),
        ({"ip_allow": [5]}, "^ip_allow: expected a network such as"),
        ({"ip_allow": ["192.0.2.1/24"]}, "^ip_allow: .* has host bits set"),
        ({"ip_allow": ["x"]}, "^ip_allow: "),
        ({"certificates": 1}, "^certificates: expected true or false, got 1"),
        ({"certificates": None}, "^certificates: "),
        ({"web": []}, "^web: expected a table of fields, got list"),
        ({"web": {"colour": 1, 5: 6}}, "^web: 5, colour: no such field; there are "),
        *(
            ({"web": {"cors": cors}}, "^web: cors: expected origins")
            for cors in (
                "https://a",
                ["a"],
                ["https://a/"],
                ["HTTPS://a"],
                ["https://a b"],
                [5],
                None,
                ["null"],
                ["https://a\n"],
            )
        ),
        *(
            ({"web": {name: value}}, f"^web: {name}: expected a whole number")
            for name in ("largest_body", "burst")
            for value in (-1, 1.0, True, "1", 2**53)
        ),
        *(
            ({"web": {name: value}}, f"^web: {name}: expected a number")
            for name in ("rate", "idle_timeout")
            for value in (-1, True, "1", None, 2**53, float("nan"), float("inf"))
        ),
        ({5: 1}, "^5: no such field"),
    ],
)
def test_a_bad_field_is_named(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidRoute, match=reason):
        parse_route({**GOOD, **change})


@pytest.mark.parametrize("field", ["host", "protocol"])
def test_a_missing_field_is_named(field: str) -> None:
    with pytest.raises(InvalidRoute, match=f"^{field}: "):
        parse_route({key: value for key, value in GOOD.items() if key != field})


@pytest.mark.parametrize("document", [None, 5, "host", [], [GOOD], True])
def test_what_is_no_table_is_refused(document: object) -> None:
    with pytest.raises(InvalidRoute, match=r"^expected a table of fields, got "):
        parse_route(document)
    assert host_of_document(document) is None


def test_limits_hold_their_last_value() -> None:
    document = {**GOOD, "upstreams": ["a:1"] * MOST_UPSTREAMS, "message": "a" * LONGEST_MESSAGE}
    document |= {"pod": "a" * LONGEST_POD_KEY, "ip_allow": ["192.0.2.1"] * MOST_NETWORKS}
    read = parse_route(document)
    assert (len(read.upstreams), len(read.ip_allow)) == (MOST_UPSTREAMS, MOST_NETWORKS)


def test_a_route_says_nothing_of_what_few_have() -> None:
    assert set(parse_route(GOOD).to_document()) == {"host", "protocol", "upstreams", "access", "state", "message"}


def test_rules_that_are_not_named_ask_for_nothing() -> None:
    assert parse_route({**GOOD, "web": {}}).web == WebRules()
    origins = ["*", "http://a.test:8080", "https://[::1]:1"]
    assert parse_route({**GOOD, "web": {"cors": origins, "largest_body": 0}}).web == WebRules(tuple(origins), 0)


@given(
    st.sampled_from(
        [
            "host",
            "protocol",
            "upstreams",
            "access",
            "state",
            "message",
            "pod",
            "grants",
            "ip_allow",
            "certificates",
            "web",
            "database",
            "http",
        ]
    ),
    st.recursive(st.none() | st.integers(), lambda inner: st.lists(inner, min_size=1, max_size=2)),
)
def test_garbage_in_any_field_is_refused_naming_it(field: str, value: object) -> None:
    with pytest.raises(InvalidRoute, match=f"^{field}: "):
        parse_route({**GOOD, field: value})


@given(st.text())
def test_any_text_as_an_address_is_read_or_refused_naming_the_field(text: str) -> None:
    try:
        address = parse_address(text)
    except ValueError as refused:
        reason = str(refused)
    else:
        reason = "upstreams: none"
        assert parse_address(str(address)) == address
    assert reason.startswith("upstreams: ")


@pytest.mark.parametrize(
    ("document", "host"),
    [
        ({"host": "A.b"}, "a.b"),
        ({"host": "*.A.b", "protocol": "nonsense"}, "*.a.b"),
        ({"host": "a b"}, None),
        ({"host": 5}, None),
        ({}, None),
    ],
)
def test_even_a_bad_route_names_its_host(document: dict[str, Any], host: str | None) -> None:
    assert host_of_document(document) == host


@pytest.mark.parametrize("protocol", ["http", "postgres", "tcp"])
def test_only_a_graph_has_an_http_side(protocol: str) -> None:
    with pytest.raises(InvalidRoute, match=f"^http: a {protocol} endpoint has no HTTP side"):
        parse_route({**GOOD, "protocol": protocol, "http": []})
    with pytest.raises(InvalidRoute, match=r"^http: 'nowhere': expected"):
        parse_route({**GOOD, "protocol": "bolt", "http": ["nowhere"]})
