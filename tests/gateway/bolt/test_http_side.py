"""What the same server says over HTTP, behind the same host name as Bolt."""

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import trustme

from gateway.web import cookies
from router.access import AccessLevel
from router.model import RouteState
from router.routedocument import parse_address
from router.sealing import Session, seal
from tests.gateway.bolt.graphs import HOST, OF_BOB, TOKEN, closed
from tests.gateway.bolt.scripted import Client
from tests.gateway.bolt.test_arriving import Browser, arrived
from tests.gateway.pods import Pod, receive_response
from tests.gateway.running import Running
from tests.gateway.talks import head, http_answer
from tests.gateway.web.site import KEY
from tests.gateway.webtokens import ISSUER, RSA, jwk, signed
from tests.peers import TlsPeer, tls_to, trusting
from tests.upstreams import Upstream, upstream


def route(gateway: Running, server: Upstream, side: Upstream, access: AccessLevel) -> None:
    closed(gateway, server, access, http=(parse_address(side.address),))


@contextmanager
def visiting(gateway: Running, server: Upstream, ca: trustme.CA, access: AccessLevel) -> Iterator[tuple[TlsPeer, Pod]]:
    """Give a client, and the HTTP side that it may ask."""
    pod = Pod()
    with upstream(pod) as side:
        route(gateway, server, side, access)
        peer = arrived(gateway, ca)
        yield peer, pod
        peer.close()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_requests_go_to_the_http_side_and_bolt_to_bolt(gateway: Running, ca: trustme.CA, server: Upstream) -> None:
    with visiting(gateway, server, ca, AccessLevel.PUBLIC) as (peer, pod):
        for target in ("/", "/api/v1/ready"):
            peer.send(head(HOST, target, Authorization="Basic cm9vdDpw"))
            assert receive_response(peer) == (200, b"ok")
        assert [target for _, target, _ in pod.requests] == [b"/", b"/api/v1/ready"]
        assert pod.heads[0][b"authorization"] == b"Basic cm9vdDpw"  # public: the server's own
        assert server.accepted == 0
        client = Client(tls_to(gateway.port, trusting(ca), HOST))
        assert client.greet() == (5, 4)
        client.peer.close()


def test_the_level_picks_the_login_over_http_too(gateway: Running, server: Upstream, ca: trustme.CA) -> None:
    with visiting(gateway, server, ca, AccessLevel.READ) as (peer, pod):
        for token in (TOKEN, OF_BOB):
            peer.send(head(HOST, "/api", **bearer(token)))
            assert receive_response(peer) == (200, b"ok")
    sent = [base64.b64decode(fields[b"authorization"].removeprefix(b"Basic ")) for fields in pod.heads]
    assert sent == [b"writer:wwwwwwwww", b"reader:rrrrrrrrr"]
    assert b"pgt_" not in pod.received


def test_who_is_nobody_is_asked_who_they_are(gateway: Running, server: Upstream, ca: trustme.CA) -> None:
    with upstream(Pod()) as side:
        route(gateway, server, side, AccessLevel.READ)
        peer = arrived(gateway, ca)
        peer.send(head(HOST, "/", Authorization="Basic cm9vdDpw"))
        assert receive_response(peer)[0] == 401
        assert side.accepted == 0
        peer.close()


def test_a_server_without_an_http_side_says_so_in_http(gateway: Running, server: Upstream, ca: trustme.CA) -> None:
    gateway.route(HOST, "bolt", server.address)
    peer = arrived(gateway, ca)
    peer.send(head(HOST))
    answer = http_answer(peer.receive_to_end()[0])
    assert (answer.code, "speaks bolt" in answer.text) == ("400", True)
    peer.close()


def test_a_stopped_pod_says_so_in_http(gateway: Running, ca: trustme.CA) -> None:
    gateway.route(HOST, "bolt", state=RouteState.STOPPED, message="because of the test")
    peer = arrived(gateway, ca)
    peer.send(head(HOST, Connection="close"))
    answer = http_answer(peer.receive_to_end()[0])
    assert (answer.code, "because of the test" in answer.text) == ("503", True)
    peer.close()


def test_what_is_neither_is_ended(gateway: Running, server: Upstream, ca: trustme.CA) -> None:
    gateway.route(HOST, "bolt", server.address)
    peer = arrived(gateway, ca)
    peer.send(b"EHLO example.org\r\n")
    assert peer.receive_to_end()[0] == b""
    assert server.accepted == 0
    peer.close()


# ---- what a browser shows by itself


def session_of(gateway: Running, user: str) -> dict[str, str]:
    """Give the cookie of one who has signed in."""
    gateway.know(KEY)
    now = time.time()
    return {
        "Cookie": f"mine=1; {cookies.SESSION}={seal(Session(HOST, 's1', now, now + 100, user), KEY.id, KEY.secret)}"
    }


def post(body: bytes, **fields: str) -> bytes:
    sent = head(HOST, "/api/v1/command/graph", **{"Content-Length": str(len(body)), **fields})
    return sent.replace(b"GET ", b"POST ", 1) + body


def test_a_session_counts_for_the_servers_own_pages_and_the_server_does_not_see_it(
    gateway: Running, server: Upstream, ca: trustme.CA
) -> None:
    with visiting(gateway, server, ca, AccessLevel.READ) as (peer, pod):
        own = {"Origin": f"https://{HOST}:8443", "Sec-Fetch-Site": "same-origin"}
        peer.send(post(b"{}", **session_of(gateway, "alice"), **own, Authorization="Basic cm9vdDpw"))
        assert receive_response(peer) == (200, b"ok")
    assert pod.heads[0][b"authorization"] == b"Basic " + base64.b64encode(b"writer:wwwwwwwww")
    assert pod.heads[0][b"cookie"] == b"mine=1"


@pytest.mark.parametrize(
    "fields",
    [
        {"Origin": "https://hostile.pods.test:8443", "Sec-Fetch-Site": "same-site", "Content-Type": "text/plain"},
        {"Origin": "https://hostile.pods.test:8443", "Content-Type": "text/plain"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "empty"},
    ],
    ids=["a sibling", "a sibling in an old browser", "a frame", "a form", "a script"],
)
def test_no_other_page_asks_the_database_as_who_looks_at_it(
    gateway: Running, server: Upstream, ca: trustme.CA, fields: dict[str, str]
) -> None:
    """A command in a POST of plain text needs no leave from anybody but the server."""
    with upstream(Pod()) as side:
        route(gateway, server, side, AccessLevel.READ)
        for shown in (session_of(gateway, "alice"), {"Authorization": f"Basic {as_basic('alice', TOKEN)}"}):
            peer = arrived(gateway, ca)
            peer.send(post(b'{"command": "MATCH (n) DELETE n"}', **fields, **shown, Connection="close"))
            assert http_answer(peer.receive_to_end()[0]).code in ("401", "403")
            peer.close()
        assert side.accepted == server.accepted == 0


def test_a_session_does_not_open_a_websocket(gateway: Running, server: Upstream, ca: trustme.CA) -> None:
    """In it, who one is is told in Bolt: nothing that a browser shows by itself counts there."""
    closed(gateway, server)
    peer = arrived(gateway, ca)
    browser = Browser(peer, **session_of(gateway, "alice"), Origin=f"https://{HOST}:8443")
    assert browser.greet() == (5, 4)
    assert "has not shown who you are" in str(browser.log_in((5, 4), {"scheme": "none"}).fields)
    assert server.accepted == 0
    peer.close()


# ---- public


def as_basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def test_where_everybody_may_come_the_servers_own_login_is_left_alone(
    gateway: Running, server: Upstream, ca: trustme.CA
) -> None:
    """Even of somebody whom the gateway knows, and has a login for."""
    with visiting(gateway, server, ca, AccessLevel.PUBLIC) as (peer, pod):
        for fields in ({"Authorization": "Basic cm9vdDpw"}, {}, bearer("AU-of-the-server")):
            peer.send(head(HOST, "/api", **session_of(gateway, "alice"), **fields))
            assert receive_response(peer) == (200, b"ok")
    assert [fields.get(b"authorization") for fields in pod.heads] == [
        b"Basic cm9vdDpw",
        None,
        b"Bearer AU-of-the-server",
    ]


@pytest.mark.parametrize(
    "value", [f"Bearer {TOKEN}", f"Basic {as_basic('alice', TOKEN)}", f"Basic {as_basic('root', TOKEN)}"]
)
def test_a_token_does_not_reach_a_public_server(gateway: Running, server: Upstream, ca: trustme.CA, value: str) -> None:
    with visiting(gateway, server, ca, AccessLevel.PUBLIC) as (peer, pod):
        peer.send(head(HOST, "/api", Authorization=value, Connection="close"))
        peer.receive_to_end()
    assert TOKEN.encode() not in pod.received
    assert all(b"authorization" not in fields for fields in pod.heads)


def test_a_web_token_as_a_password_does_not_either_if_it_is_for_the_gateway(
    gateway: Running, server: Upstream, ca: trustme.CA
) -> None:
    pod, now = Pod(), time.time()
    gateway.know(replace(ISSUER, keys=(jwk(RSA, "r"),)))
    ours, of_others = (signed(aud=whom, iat=now, exp=now + 100) for whom in ("podgate", "another client"))
    logins = ((200, "alice", ours), (200, "root", of_others), (401, "root", ours), (401, ours, ""))
    with upstream(pod) as side:
        route(gateway, server, side, AccessLevel.PUBLIC)
        for status, user, password in logins:
            peer = arrived(gateway, ca)
            peer.send(head(HOST, "/api", Authorization=f"Basic {as_basic(user, password)}", Connection="close"))
            assert http_answer(peer.receive_to_end()[0]).code == str(status)
            peer.close()
    assert [fields.get(b"authorization") for fields in pod.heads] == [
        None,
        f"Basic {as_basic('root', of_others)}".encode(),
    ]


@pytest.mark.parametrize(
    "target", ["//api", "/api/%2e%2e/x", "https://other.pods.test/api", "/api HTTP/1.1\r\nHost: x"]
)
def test_only_its_own_host_is_asked(gateway: Running, server: Upstream, ca: trustme.CA, target: str) -> None:
    """However strange a target is, the login goes with what the gateway made of it, to this server alone."""
    with visiting(gateway, server, ca, AccessLevel.READ) as (peer, pod):
        peer.send(head(HOST, target, **bearer(OF_BOB), Connection="close"))
        peer.receive_to_end()
    assert all(fields[b"host"] == HOST.encode() for fields in pod.heads)
    assert len(pod.heads) <= 1
