"""What shares a host name with Bolt: Bolt in a WebSocket, and what the same server says over HTTP."""

import base64

import pytest
import trustme
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, Pong, Request, TextMessage

from gateway.wire.bolt import GOODBYE, ROUTE, SUCCESS, message
from router.access import AccessLevel
from router.model import RouteState
from tests.gateway.bolt.graphs import HOST, OF_BOB, TOKEN, closed
from tests.gateway.bolt.scripted import Client, Graph, basic
from tests.gateway.bolt.test_opening import said
from tests.gateway.running import Running
from tests.gateway.talks import head, http_answer
from tests.peers import Ending, TlsPeer, tls_to, trusting
from tests.upstreams import Upstream, upstream

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

    @property
    def unread(self) -> int:
        return len(self._unread)

    def drain(self) -> None:
        """Receive all there is until the end."""
        self._take(self.peer.receive_to_end()[0])

    def take_in(self) -> None:
        """Receive a byte, and what that completes."""
        self._take(self.peer.receive(1))

    def _take(self, data: bytes) -> None:
        self.ws.receive_data(data)
        parts = [self._unread]
        for event in self.ws.events():
            if isinstance(event, BytesMessage):
                parts.append(bytes(event.data))
            elif isinstance(event, Pong):
                self.pongs.append(bytes(event.payload))
            elif isinstance(event, CloseConnection):
                self.ended = True
        self._unread = b"".join(parts)


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


@pytest.mark.parametrize("fields", [{"Sec-WebSocket-Version": "8"}, {}], ids=["another version", "none"])
def test_another_version_is_told_which_there_is(
    gateway: Running, server: Upstream, ca: trustme.CA, fields: dict[str, str]
) -> None:
    gateway.route(HOST, "bolt", server.address)
    peer = arrived(gateway, ca)
    key = base64.b64encode(b"k" * 16).decode()
    peer.send(head(HOST, **{"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": key, **fields}))
    answer = peer.receive_to_end()[0]
    assert answer.startswith(b"HTTP/1.1 426 ")
    assert b"\r\nSec-WebSocket-Version: 13\r\n" in answer
    peer.close()


def test_a_websocket_is_not_opened_by_post(gateway: Running, server: Upstream, ca: trustme.CA) -> None:
    gateway.route(HOST, "bolt", server.address)
    peer = arrived(gateway, ca)
    key = base64.b64encode(b"k" * 16).decode()
    fields = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key}
    peer.send(head(HOST, **fields).replace(b"GET ", b"POST ", 1))
    assert http_answer(peer.receive_to_end()[0]).code == "400"
    peer.close()


def test_a_token_does_not_reach_a_public_database(
    gateway: Running, server: Upstream, ca: trustme.CA, graph: Graph
) -> None:
    gateway.route(HOST, "bolt", server.address)
    peer = arrived(gateway, ca)
    browser = Browser(peer)
    assert browser.greet() == (5, 4)
    assert "not passed on" in said(browser.log_in((5, 4), basic("root", TOKEN)))[1]
    server.wait_until_idle()
    assert TOKEN not in repr(graph.seen)
    peer.close()


def test_a_goodbye_before_the_login_is_answered_and_is_the_end(
    gateway: Running, server: Upstream, ca: trustme.CA
) -> None:
    closed(gateway, server)
    peer = arrived(gateway, ca)
    browser = Browser(peer)
    assert browser.greet() == (5, 4)
    browser.peer.send(browser.ws.send(CloseConnection(1000)))
    while not browser.ended:
        browser.take_in()
    assert peer.receive_to_end() == (b"", Ending.GOODBYE)
    peer.close()


def test_a_database_that_ends_says_so_in_the_websocket(gateway: Running, server: Upstream, ca: trustme.CA) -> None:
    closed(gateway, server)
    peer = arrived(gateway, ca)
    browser = Browser(peer)
    assert browser.greet() == (5, 4)
    assert browser.log_in((5, 4), basic("alice", TOKEN)).tag == SUCCESS
    browser.send(message(GOODBYE))
    while not browser.ended:
        browser.take_in()
    assert peer.receive_to_end() == (b"", Ending.GOODBYE)
    peer.close()


def test_pings_while_nothing_is_read_are_answered_between_frames(
    gateway: Running, ca: trustme.CA, graph: Graph
) -> None:
    """More comes down than all buffers take; what is answered meanwhile must not get into the middle of it."""
    graph.after_login = b"\0\0" * (4 << 20)
    with upstream(graph) as server:
        closed(gateway, server)
        peer = arrived(gateway, ca)
        browser = Browser(peer)
        assert browser.greet() == (5, 4)
        browser.log_in((5, 4), basic("alice", TOKEN))
        link = gateway.in_loop(lambda: next(iter(gateway.services.relay.links)))
        while not gateway.in_loop(lambda: link.down):
            pass
        for number in range(300):
            peer.send(browser.ws.send(Ping(b"%03d" % number)))
        browser.send(message(GOODBYE))
        browser.drain()
        assert browser.unread == len(graph.after_login)
        assert browser.ended
        assert browser.pongs[-1:] == [b"299"]
        assert len(browser.pongs) <= 300
        peer.close()
