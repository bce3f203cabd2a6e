"""Heads as the other side is to see them: nothing of one hop, of ours, or that only we may say."""

import pytest

from gateway.web.rewriting import request_head, response_head
from gateway.web.visit import Answer
from gateway.wire.httphead import parse_head
from gateway.wire.httpresponse import ResponseHead, parse_response
from gateway.wire.verdict import More
from router.access import AccessLevel
from tests.gateway.web.site import (
    ALICE,
    admitted,
    bearer,
    cookie,
    decided,
    fields,
    head_of,
    request,
    route,
    session,
    values,
    visit,
)

PUBLIC = AccessLevel.PUBLIC
OURS = {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"}


def up(*lines: str, line: str = "GET / HTTP/1.1", access: AccessLevel = PUBLIC, host: str = "web.pods.test") -> bytes:
    data = request(*lines, line=line, host=host)
    return request_head(head_of(data), visit(), admitted(data, route(access)))


def down(*lines: str, access: AccessLevel = PUBLIC, status: str = "200 OK", **how: bool) -> bytes:
    data = "".join(f"{one}\r\n" for one in [f"HTTP/1.1 {status}", *lines, ""]).encode("latin-1")
    head = parse_response(data, "GET")
    assert not isinstance(head, More)
    sent = request() if access is PUBLIC else request(bearer(ALICE))
    closes, is_old = how.get("closes", False), how.get("is_old", False)
    return response_head(head, admitted(sent, route(access)), closes=closes, is_old=is_old)


# ---- up


def test_a_request_keeps_its_line_its_fields_and_their_order() -> None:
    sent = up(
        "Accept: a", "X-B: b", "accept: c", "Content-Length: 3", "Expect: 100-continue", line="POST /x?y=z HTTP/1.1"
    )
    lines = sent.split(b"\r\n")
    assert lines[:7] == [
        b"POST /x?y=z HTTP/1.1", b"Host: web.pods.test", b"Accept: a", b"X-B: b", b"accept: c", b"Content-Length: 3",
        b"Expect: 100-continue",
    ]  # fmt: skip
    assert sent.endswith(b"\r\n\r\n")
    assert head_of(sent).size == len(sent)


def test_an_absolute_target_becomes_a_path() -> None:
    assert up(line="GET http://web.pods.test/a HTTP/1.1").startswith(b"GET /a HTTP/1.1\r\nHost: web.pods.test\r\n")


@pytest.mark.parametrize(
    "name",
    [
        "Keep-Alive",
        "Proxy-Connection",
        "TE",
        "Proxy-Authorization",
        "Upgrade",
        "keep_alive",
        "Proxy_Connection",
        "Connection",
    ],
)
def test_what_concerns_one_hop_is_taken_out(name: str) -> None:
    assert set(dict(fields(up(f"{name}: x")))) == {"host", *OURS}


@pytest.mark.parametrize("name", ["X-Secret", "x-secret", "X_Secret", "Accept", "Warning"])
def test_what_connection_names_is_taken_out_in_every_case(name: str) -> None:
    sent = up(f"Connection: close, {name.upper()}", f"{name}: x", f"{name.lower()}: y")
    assert set(dict(fields(sent))) == {"host", "connection", *OURS}
    assert values(sent, "connection") == ["close"]


IDENTITY = [
    "X-Podgate-User", "x-podgate-user", "X_PODGATE_USER", "X-Podgate_User", "x_podgate-level", "X-Podgate-Anything",
    "Proxy", "Remote-User", "Remote_User",
    "X-Podgate-Link", "X-Forwarded-For", "X_Forwarded_For", "x-forwarded-host", "X-Forwarded-Proto", "X-FORWARDED-USER",
    "X-Forwarded-Email", "Forwarded", "X-Real-IP", "X_Real_IP", "X-Client-Cert", "X-SSL-Client-Cert",
]  # fmt: skip


@pytest.mark.parametrize("name", IDENTITY)
def test_no_client_says_who_it_is(name: str) -> None:
    sent = up(f"{name}: mallory", f"{name}: mallory")
    assert b"mallory" not in sent
    assert set(dict(fields(sent))) == {"host", *OURS}


@pytest.mark.parametrize(
    "name", ["X.Podgate.User", "X!Podgate-User", "X-Podgate~User", "X|Forwarded-For", "X'Podgate'User"]
)
def test_not_even_by_a_name_that_some_servers_read_alike(name: str) -> None:
    """CGI as lighttpd does it writes `_` for everything that is no letter or digit: all of these are one variable."""
    assert b"mallory" not in up(f"{name}: mallory")


def test_the_gateway_says_who_it_is() -> None:
    sent = up(bearer(ALICE), access=AccessLevel.WRITE, host="WEB.pods.test:8443")
    assert dict(fields(sent)) == {
        "host": "WEB.pods.test:8443", "x-forwarded-for": "192.0.2.1", "x-forwarded-proto": "https",
        "x-forwarded-host": "web.pods.test:8443", "x-podgate-user": "alice", "x-podgate-level": "owner",
    }  # fmt: skip
    linked = up(cookie(session("", link="l1")), access=AccessLevel.WRITE)
    assert (values(linked, "x-podgate-link"), values(linked, "x-podgate-user")) == (["l1"], [])
    assert values(linked, "x-podgate-level") == ["write"]


def test_somebody_known_without_a_level_is_known_where_nobody_needs_to_be() -> None:
    assert values(up(bearer("pgt_bob")), "x-podgate-level") == ["public"]


def test_our_token_and_our_cookies_are_not_for_pods() -> None:
    sent = up(bearer(ALICE), f"Cookie: a=b; {cookie()[len('Cookie: ') :]}; c=d", "Cookie: __Host-podgate-state=x")
    assert ALICE.encode() not in sent
    assert values(sent, "authorization") == []
    assert values(sent, "cookie") == ["a=b; c=d"]
    assert b"podgate=" not in sent
    assert b"state" not in sent


def test_what_is_not_ours_is_kept() -> None:
    sent = up("Authorization: Basic dTpw", "Cookie: a=b; session=x", "Cookie: c=d")
    assert values(sent, "authorization") == ["Basic dTpw"]
    assert values(sent, "cookie") == ["a=b; session=x", "c=d"]


@pytest.mark.parametrize(
    "lines",
    [
        [bearer(ALICE), "Authorization: Basic dTpw"],
        ["Authorization: Basic dTpw", bearer(ALICE)],
        [bearer(ALICE), bearer(ALICE)],
        [f"Authorization: Bearer\t{ALICE}"],
        [f"Authorization: {ALICE}"],
    ],
)
def test_our_token_is_not_for_pods_however_it_is_sent(lines: list[str]) -> None:
    data = request(*lines)
    decision = decided(data, route(PUBLIC))
    assert isinstance(decision, Answer) or ALICE.encode() not in request_head(head_of(data), visit(), decision)


def test_an_upgrade_is_asked_for_anew() -> None:
    sent = up("Upgrade: websocket", "Connection: keep-alive, Upgrade, X-Y", "X-Y: z", "Sec-WebSocket-Key: k")
    assert (values(sent, "upgrade"), values(sent, "connection")) == (["websocket"], ["Upgrade"])
    assert values(sent, "x-y") == []
    assert values(sent, "sec-websocket-key") == ["k"]


@pytest.mark.parametrize(
    "lines",
    [
        ["Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQ"],
        ["Upgrade: h2c, websocket", "Connection: Upgrade"],
        ["Upgrade: websocket"],
        ["Upgrade: HTTP/2.0", "Connection: upgrade"],
    ],
)
def test_no_other_http_is_asked_for(lines: list[str]) -> None:
    sent = up(*lines)
    assert (values(sent, "upgrade"), values(sent, "connection"), values(sent, "http2-settings")) == ([], [], [])


@pytest.mark.parametrize(
    ("lines", "line", "connection"),
    [
        ([], "GET / HTTP/1.1", []),
        (["Connection: keep-alive"], "GET / HTTP/1.1", []),
        (["Connection: close"], "GET / HTTP/1.1", ["close"]),
        (["Connection: keep-alive"], "GET / HTTP/1.0", ["close"]),
        ([], "GET / HTTP/1.0", ["close"]),
    ],
)
def test_the_pod_is_told_whether_more_may_come(lines: list[str], line: str, connection: list[str]) -> None:
    assert values(up(*lines, line=line), "connection") == connection


def test_a_rewritten_head_reads_as_the_same_request() -> None:
    data = request("Transfer-Encoding: chunked", "Cookie: a=b", line="POST /x HTTP/1.1")
    again = parse_head(request_head(head_of(data), visit(), admitted(data, route(PUBLIC))))
    assert not isinstance(again, More)
    assert (again.method, again.path, again.length, again.host) == ("POST", "/x", None, "web.pods.test")


# ---- down


def test_a_response_keeps_its_fields() -> None:
    data = down("Content-Length: 3", "Set-Cookie: a=b", "Set-Cookie: c=d", "X-Y: z", status="404 Nothing here")
    assert data == (
        b"HTTP/1.1 404 Nothing here\r\nContent-Length: 3\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nX-Y: z\r\n\r\n"
    )


@pytest.mark.parametrize(
    "line",
    [
        "Connection: keep-alive", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "Upgrade: h2c",
        'Alt-Svc: h3=":443"', "Proxy-Authenticate: Basic", "Set-Cookie: __Host-podgate=x; Path=/; Secure",
        "Set-Cookie: __HOST-podgate-state=x", "Set-Cookie: =__Host-podgate=x", 'Clear-Site-Data: "cookies"',
        'Clear-Site-Data: "cache", "Cookies"', 'Clear-Site-Data: "*"', "Clear-Site-Data: *",
    ],
)  # fmt: skip
def test_what_a_pod_may_not_say_is_taken_out(line: str) -> None:
    assert fields(down(line, "Content-Length: 0")) == [("content-length", "0")]


@pytest.mark.parametrize(
    "line", ['Clear-Site-Data: "cache"', 'Clear-Site-Data: "storage"', "Set-Cookie: a=__Host-podgate"]
)
def test_what_harms_nobody_else_is_kept(line: str) -> None:
    assert len(fields(down(line, "Content-Length: 0"))) == 2


def test_what_its_connection_names_is_taken_out() -> None:
    assert fields(down("Connection: close, x-y", "X-Y: z", "Content-Length: 0", closes=True)) == [
        ("content-length", "0"), ("connection", "close")
    ]  # fmt: skip


ISOLATION = {
    "cross-origin-opener-policy": "same-origin-allow-popups",
    "cross-origin-resource-policy": "same-origin",
    "origin-agent-cluster": "?1",
}


def test_pages_of_an_endpoint_that_is_not_public_are_kept_apart() -> None:
    assert dict(fields(down("Content-Length: 0", access=AccessLevel.WRITE))) == {"content-length": "0"} | ISOLATION
    assert fields(down("Content-Length: 0")) == [("content-length", "0")]


@pytest.mark.parametrize("name", ISOLATION)
def test_the_pods_own_word_on_that_stands(name: str) -> None:
    data = down(f"{name.title()}: its-own", "Content-Length: 0", access=AccessLevel.WRITE)
    assert values(data, name) == ["its-own"]
    assert {key for key, _ in fields(data)} == {"content-length", *ISOLATION}


def test_an_old_client_gets_an_old_answer() -> None:
    data = down("Content-Length: 0", is_old=True, closes=True)
    assert data.startswith(b"HTTP/1.0 200 OK\r\n")
    assert values(data, "connection") == ["close"]


def test_an_upgrade_says_so() -> None:
    data = down("Upgrade: websocket", "Connection: upgrade", status="101 Switching Protocols")
    assert (values(data, "upgrade"), values(data, "connection")) == (["websocket"], ["Upgrade"])


def test_an_origin_that_may_read_it_is_told_so_by_us_and_not_by_the_pod() -> None:
    lines = ["Access-Control-Allow-Origin: https://evil.test", "Access-Control-Allow-Credentials: true", "X: y"]
    data = response_head(
        _response(*lines), admitted(request(), route(PUBLIC)), closes=False, is_old=False, origin="https://a.test"
    )
    assert values(data, "access-control-allow-origin") == ["https://a.test"]
    assert values(data, "access-control-allow-credentials") == []
    assert "Origin" in values(data, "vary")
    assert values(down(*lines), "access-control-allow-origin") == ["https://evil.test"]


def _response(*lines: str) -> ResponseHead:
    head = parse_response("".join(f"{one}\r\n" for one in ["HTTP/1.1 204 OK", *lines, ""]).encode(), "GET")
    assert not isinstance(head, More)
    return head
