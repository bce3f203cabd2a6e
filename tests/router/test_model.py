"""Route documents: there and back, and every way to be wrong named by its field."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.access import AccessLevel
from router.model import (
    LONGEST_MESSAGE,
    LONGEST_SOCKET_PATH,
    MOST_UPSTREAMS,
    Address,
    InvalidRoute,
    Protocol,
    Route,
    RouteState,
    TcpAddress,
    UnixAddress,
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
        ({"ip_allow": [], "acces": "public"}, "^acces, ip_allow: no such field; there are access, host, message"),
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
    assert len(parse_route(document).upstreams) == MOST_UPSTREAMS


@given(
    st.sampled_from(["host", "protocol", "upstreams", "access", "state", "message"]),
    st.recursive(st.none() | st.booleans() | st.integers(), lambda inner: st.lists(inner, min_size=1, max_size=2)),
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
