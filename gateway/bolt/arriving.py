"""How a client of a Bolt endpoint has come, as its first bytes inside TLS tell: by Bolt itself, by Bolt in a WebSocket
as drivers in browsers do, or to ask what the same server says over HTTP.
"""

from contextlib import suppress

from OpenSSL import SSL

from gateway.errors import Answered, Reason, Refusal
from gateway.tls import TlsClient
from gateway.web.judging import foreign
from gateway.web.visit import Visit
from gateway.wire import httphead, httpreply
from gateway.wire.httphead import RequestHead, list_members
from gateway.wire.opening import Opening, recognise
from gateway.wire.verdict import Malformed
from gateway.wire.websocket import VERSIONS, WebSocket, accept
from router.model import Route


class WebSocketClient(TlsClient):
    """A client that speaks inside a WebSocket; whoever talks to it need not know."""

    def __init__(self, inner: TlsClient, socket: WebSocket) -> None:
        super().__init__(inner.client, inner.connection)
        self.leaf = inner.leaf
        self.socket = socket
        self._first = inner.unread

    async def receive(self) -> bytes:
        """Receive payload. Raises Refusal, Abandoned, and Answered when the client says goodbye."""
        while True:
            first, self._first = self._first, b""
            try:
                data = self.socket.read(first or await super().receive())
            except Malformed as error:
                raise Refusal(Reason.MALFORMED, f"your client cannot be understood: {error}") from error
            owed, self.socket.owed = self.socket.owed, b""
            if owed:
                await super().send(owed)
            if data:
                return data
            if self.socket.ended:
                raise Answered("the client closed its websocket")

    async def send(self, data: bytes) -> None:
        """Send all of `data`. Raises Abandoned."""
        await super().send(self.socket.frame(data))

    def goodbye(self) -> None:
        """Say goodbye as a WebSocket does, and then as TLS does, if there is room for it."""
        with suppress(SSL.Error):
            self.connection.send(self.socket.goodbye())
        super().goodbye()


async def is_bolt(client: TlsClient) -> bool:
    """Tell whether a client begins with Bolt, and not with a request. Raises Refusal."""
    opening = await client.look(recognise)
    if opening is Opening.BOLT or opening is Opening.HTTP:
        return opening is Opening.BOLT
    raise Refusal(Reason.MALFORMED, "your client speaks neither Bolt nor HTTP")


async def read_request(client: TlsClient, route: Route) -> RequestHead | None:
    """Read the head of a request that asks for Bolt in a WebSocket; None: it asks for something else, and may. Raises
    Refusal.
    """
    try:
        head = await client.look(httphead.parse_head)
    except Malformed as error:
        raise Refusal(Reason.MALFORMED, f"the request cannot be read: {error}") from error
    if head.is_upgrade and list_members(head.values(b"upgrade")) == [b"websocket"]:
        return head
    if route.web_side() is None:
        raise Refusal(
            Reason.OTHER_PROTOCOL,
            f"the pod behind {route.host} speaks {route.protocol}, and your client http",
            "Open it with the fitting client: podgate connect NAME",
        )
    return None


async def upgrade(client: TlsClient, head: RequestHead, visit: Visit) -> WebSocketClient:
    """Take a client into its WebSocket. Raises Refusal, and Answered where it speaks another version of it."""
    if head.host != visit.host:
        raise foreign(head, visit)
    if head.method != "GET":
        raise Refusal(Reason.MALFORMED, f"a websocket is opened by GET, not by {head.method}")
    if head.values(b"sec-websocket-version") != VERSIONS:
        await client.send(_other_version())
        raise Answered("another version of websocket")
    try:
        answer = accept(head.values(b"sec-websocket-key"), head.values(b"sec-websocket-version"))
    except Malformed as error:
        raise Refusal(Reason.MALFORMED, f"the request cannot be read: {error}") from error
    client.unread = client.unread[head.size :]
    await client.send(answer)
    return WebSocketClient(client, WebSocket())


def _other_version() -> bytes:
    """Tell which versions of WebSocket there are (RFC 6455, 4.4; RFC 9110, 15.5.22)."""
    headers = (("Sec-WebSocket-Version", b", ".join(VERSIONS).decode()), ("Upgrade", "websocket"))
    return httpreply.refusal(426, "Upgrade required", "your client speaks another version", "", False, headers=headers)


def is_from_own_page(head: RequestHead, visit: Visit) -> bool:
    """Tell whether a WebSocket was opened by a page of its own host, or by no page: any other may open one too, with
    what the browser shows by itself (RFC 6455, 10.2).
    """
    return head.values(b"origin") in ([], [visit.url(visit.host, "").encode("ascii")])
