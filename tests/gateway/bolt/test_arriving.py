"""What shares a host name with Bolt: Bolt in a WebSocket, and what the same server says over HTTP."""

import base64

import pytest
import trustme
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, Pong, Request, TextMessage

from gateway.wire.bolt import ROUTE, SUCCESS
from router.access import AccessLevel
from router.model import RouteState, parse_address
from tests.gateway.bolt.graphs import HOST, OF_BOB, TOKEN, closed
from tests.gateway.bolt.scripted import Client, basic
from tests.gateway.bolt.test_opening import said
from tests.gateway.pods import Pod, receive_response
from tests.gateway.running import Running
from tests.gateway.talks import head, http_answer
from tests.peers import Ending, TlsPeer, Upstream, tls_to, trusting, upstream

ORIGIN = f"https://{HOST}:8443"


class Browser(Client):
    """A client in a WebSocket; wsproto is its half of it."""

    def __init__(self, peer: TlsPeer, **headers: str) -> None:
        super().__init__(peer)
        self.ws = WSConnection(ConnectionType.CLIENT)
        self.pongs: list[bytes] = []
        self.ended = False
        self._unread = b""
        extra = [(name.encode(), value.encode()) for name, value in headers.items()]
        peer.send(self.ws.send(Request(HOST, "/", extra_headers=extra)))
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += peer.receive(1)
        self.ws.receive_data(answer)
        assert [type(event) for event in self.ws.events()] == [AcceptConnection]

    def send(self, data: bytes) -> None:
        self.peer.send(self.ws.send(BytesMessage(data)))

    def receive(self, size: int) -> bytes:
        while len(self._unread) < size:
            self.take_in()
        found, self._unread = self._unread[:size], self._unread[size:]
        return found

    def take_in(self) -> None:
        """Receive a byte, and what that completes."""
        self.ws.receive_data(self.peer.receive(1))
        for event in self.ws.events():
            if isinstance(event, BytesMessage):
                self._unread += event.data
            elif isinstance(event, Pong):
                self.pongs.append(bytes(event.payload))
            elif isinstance(event, CloseConnection):
                self.ended = True


def arrived(gateway: Running, ca: trustme.CA) -> TlsPeer:
    return tls_to(gateway.port, trusting(ca, alpn=("http/1.1",)), HOST)


@pytest.mark.parametrize("access", [AccessLevel.PUBLIC, AccessLevel.READ])
def test_bolt_in_a_websocket_goes_the_same_way(
    gateway: Running, server: Upstream, ca: trustme.CA, access: AccessLevel
) -> None:
    closed(gateway, server, access)
    peer = arrived(gateway, ca)
    browser = Browser(peer, Origin="https://browser.example.org")
    version = browser.greet()
    assert version == (5, 4)
    shown = basic("writer", "w" * 9) if access is AccessLevel.PUBLIC else basic("alice", TOKEN)
    assert browser.log_in(version, shown, routing={"address": "here:1"}).tag == SUCCESS
    assert "here:1" in str(browser.ask(ROUTE, {}, [], {}).fields)
    browser.peer.send(browser.ws.send(Ping(b"still there?")))
    assert browser.query("RETURN 1" * 7000).fields == (["RETURN 1" * 7000, "writer"],)
    assert browser.pongs == [b"still there?"]
    browser.peer.send(browser.ws.send(CloseConnection(1000)))
    while not browser.ended:
        browser.take_in()
    assert peer.receive_to_end() == (b"", Ending.GOODBYE)
    server.wait_until_idle()
    peer.close()


def test_a_refusal_is_told_in_the_websocket(gateway: Running, server: Upstream, ca: trustme.CA) -> None:
    closed(gateway, server, AccessLevel.WRITE)
    peer = arrived(gateway, ca)
    browser = Browser(peer)
    assert browser.greet() == (5, 4)
    code, text = said(browser.log_in((5, 4), basic("bob", OF_BOB)))
    assert (code, "bob holds read" in text) == ("Neo.ClientError.Security.Forbidden", True)
    while not browser.ended:
        browser.take_in()
    peer.close()


def test_a_stopped_pod_tells_a_browser_so(gateway: Running, ca: trustme.CA) -> None:
    gateway.route(HOST, "bolt", state=RouteState.STOPPED, message="because of the test")
    peer = arrived(gateway, ca)
    browser = Browser(peer)
    assert browser.greet() is not None
    assert "because of the test" in said(browser.log_in((5, 8), {}))[1]
    peer.close()


def test_text_in_the_relay_ends_the_link(gateway: Running, server: Upstream, ca: trustme.CA) -> None:
    gateway.route(HOST, "bolt", server.address)
    peer = arrived(gateway, ca)
    browser = Browser(peer)
    assert browser.greet() == (5, 4)
    browser.log_in((5, 4), basic("reader", "r" * 9))
    peer.send(browser.ws.send(TextMessage("RETURN 1")))
    assert peer.receive_to_end()[0] == b""
    peer.close()


@pytest.mark.parametrize("key", [None, "short"])
def test_an_upgrade_that_cannot_be_is_told_in_http(
    gateway: Running, server: Upstream, ca: trustme.CA, key: str | None
) -> None:
    gateway.route(HOST, "bolt", server.address)
    peer = arrived(gateway, ca)
    fields = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    if key is not None:
        fields["Sec-WebSocket-Key"] = key
    peer.send(head(HOST, **fields))
    assert http_answer(peer.receive_to_end()[0]).code == "400"
    assert server.accepted == 0
    peer.close()


# ---- HTTP


def route(gateway: Running, server: Upstream, side: Upstream, access: AccessLevel) -> None:
    closed(gateway, server, access, http=(parse_address(side.address),))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_requests_go_to_the_http_side_and_bolt_to_bolt(gateway: Running, ca: trustme.CA, server: Upstream) -> None:
    pod = Pod()
    with upstream(pod) as side:
        route(gateway, server, side, AccessLevel.PUBLIC)
        peer = arrived(gateway, ca)
        for target in ("/", "/api/v1/ready"):
            peer.send(head(HOST, target, Authorization="Basic cm9vdDpw"))
            assert receive_response(peer) == (200, b"ok")
        assert [target for _, target, _ in pod.requests] == [b"/", b"/api/v1/ready"]
        assert pod.heads[0][b"authorization"] == b"Basic cm9vdDpw"  # public: the server's own
        assert server.accepted == 0
        client = Client(tls_to(gateway.port, trusting(ca), HOST))
        assert client.greet() == (5, 4)
        client.peer.close()
        peer.close()


def test_the_level_picks_the_login_over_http_too(gateway: Running, server: Upstream, ca: trustme.CA) -> None:
    pod = Pod()
    with upstream(pod) as side:
        route(gateway, server, side, AccessLevel.READ)
        peer = arrived(gateway, ca)
        for token in (TOKEN, OF_BOB):
            peer.send(head(HOST, "/api", **bearer(token)))
            assert receive_response(peer) == (200, b"ok")
        peer.close()
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
