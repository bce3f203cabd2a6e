"""One connection from accept to its first relayed byte, as a sequence of phases under one time budget.

    sniff      which protocol is this? Postgres StartTLS is answered here; the ClientHello is only looked at
    route      its server name, looked up in the table the connection started with
    admit      may it go there, is anything there?
    handshake  TLS, with the certificate of that name
    check      what a protocol needs looked at before its pod may see it
    dial       the upstream
    relay      from here on the link belongs to the relay (gateway.relay)

A phase that fails raises `Refusal`, which is told to the client in its own protocol, or `Abandoned`, which is only
logged. Nothing of the budget survives into the relay.
"""

import logging
import socket
from dataclasses import dataclass
from typing import Literal

from gateway.certificates import Certificates
from gateway.errors import Abandoned, Reason, Refusal
from gateway.link import Link
from gateway.loop import Loop
from gateway.openssl import handle_of
from gateway.options import Options
from gateway.relay import Relay
from gateway.replies import http_error, postgres_error, reply
from gateway.sniffing import peek, peek_now
from gateway.tls import Contexts, TlsClient, alert, handshake
from gateway.upstream import dial
from gateway.waiting import TooSlow, readable, time_limit
from gateway.wire import clienthello, httphead, postgres
from gateway.wire.clienthello import ClientHello
from gateway.wire.opening import Opening, recognise
from gateway.wire.verdict import Malformed, More, Verdict
from router.access import Decision, decide
from router.hostname import InvalidName, normalise
from router.model import Protocol, Route, RouteState
from router.table import RouteTable

log = logging.getLogger("podgate.opening")

_HTTP_ALPN = frozenset((b"h2", b"http/1.1", b"http/1.0"))  # RFC 7301: what only HTTP clients offer
REPLY_BUDGET = 5.0  # seconds to tell a client why it was refused
PARTING = 1.0  # seconds to let a refused client read its answer before its connection is closed


@dataclass(slots=True)
class Services:
    """What the connections of a worker share."""

    options: Options
    loop: Loop
    relay: Relay
    certificates: Certificates
    contexts: Contexts
    routes: RouteTable  # replaced whole when routes change


class Connection:
    """A client whose opening is under way."""

    def __init__(self, services: Services, client: socket.socket, address: str) -> None:
        """Take over an accepted, non-blocking socket; `address` is the client's, for the log."""
        self.services = services
        self.routes = services.routes
        self.client = client
        self.address = address
        self.host = ""
        self.protocol: Protocol | None = None
        self.tls: TlsClient | None = None

    async def serve(self) -> None:
        """Open the connection and hand it to the relay, or refuse it and close it. Raises only cancellation."""
        try:
            await self._open_or_refuse()
        except (Abandoned, Malformed, OSError) as error:
            log.info("%s %s: %s", self.address, self.host or "-", error)
            self.client.close()
        except Exception:  # a fault of ours with one connection must not take the others down
            log.exception("opening: fault with a connection for %s", self.host or "-")
            self.client.close()
        except BaseException:
            self.client.close()
            raise

    async def _open_or_refuse(self) -> None:
        budget = self.services.options.opening_budget
        try:
            with time_limit(budget):
                link = await self.open()
        except Refusal as refusal:
            await self.refuse(refusal)
        except TooSlow:
            await self.refuse(Refusal(Reason.TIMEOUT, f"this connection was not open within {budget:g} s"))
        else:
            self.services.relay.add(link)

    async def open(self) -> Link:
        """Walk through the phases."""
        hello = await self.sniff()
        route = self.route(hello)
        self.tls = await self.secure(route)
        first = await self.check(self.tls, route)
        upstream = await dial(route, self.services.options.connect_timeout)
        return Link(self.client, handle_of(self.tls.connection), upstream, route, self.address, first)

    # ---- the phases

    async def sniff(self) -> ClientHello:
        """Get to the ClientHello, by way of Postgres' StartTLS if need be; it stays in the socket for OpenSSL."""
        opening = await peek(self.client, _recognise)
        if opening is Opening.POSTGRES_GSS:
            self._answer_request(b"N")
            opening = await peek(self.client, _recognise)
        if opening is Opening.POSTGRES_SSL:
            self.protocol = Protocol.POSTGRES
            self._answer_request(b"S")
            opening = await peek(self.client, _recognise)
        if isinstance(opening, ClientHello):
            return opening
        return await self._refuse_plaintext(opening)

    def route(self, hello: ClientHello) -> Route:
        """Find where the client's server name leads. Raises Refusal."""
        if b"postgresql" in hello.alpn:
            self.protocol = Protocol.POSTGRES
        if not hello.server_name:
            raise Refusal(
                Reason.NO_SERVER_NAME,
                "your client did not say which pod it wants",
                "Connect by host name, not by IP address, with a client that sends it in TLS (libpq 14 or newer).",
            )
        try:
            self.host = normalise(hello.server_name.decode("ascii", "replace"))
        except InvalidName as error:
            raise Refusal(Reason.NO_SERVER_NAME, "the server name in your TLS handshake is not a host name") from error
        route = self.routes.find(self.host)
        if route is None:
            raise Refusal(
                Reason.UNKNOWN_HOST,
                f"there is no pod behind {self.host}",
                "Check the name, or list your pods with: podgate pod list",
            )
        self._check_protocol(hello, route)
        self.protocol = route.protocol
        admit(route, self.host)
        return route

    def _check_protocol(self, hello: ClientHello, route: Route) -> None:
        """Tell a client that cannot mean this pod so in its own words, before the pod answers in others."""
        spoken = self.protocol
        if spoken is None and route.protocol is not Protocol.TCP and _HTTP_ALPN.intersection(hello.alpn):
            spoken = Protocol.HTTP
        if spoken is None or spoken is route.protocol or route.protocol is Protocol.TCP:
            return
        self.protocol = spoken
        raise Refusal(
            Reason.OTHER_PROTOCOL,
            f"the pod behind {self.host} speaks {route.protocol}, and your client speaks {spoken}",
            "Open it with the fitting client: podgate connect NAME",
        )

    async def secure(self, route: Route | None) -> TlsClient:
        """Shake hands with the certificate of the host asked for. Raises Abandoned when there is none."""
        leaf = await self.services.certificates.get(self.host, route.host if route else None)
        if leaf is None:
            raise Abandoned("no certificate for this name")
        return await handshake(self.client, self.services.contexts.get(leaf, self.protocol))

    async def check(self, tls: TlsClient, route: Route) -> bytes:
        """Look at what must be right before a pod sees it; give the bytes that were read for that."""
        if route.protocol is not Protocol.HTTP:
            return b""
        try:
            head = await tls.look(httphead.parse_head)
        except Malformed as error:
            raise Refusal(Reason.MALFORMED, f"the request cannot be read: {error}") from error
        if head.host != self.host:
            raise Refusal(
                Reason.FOREIGN_HOST,
                f"this connection was opened for {self.host}, and the request is for {head.host or 'no host'}",
                "Open a connection of its own for each host.",
            )
        return tls.unread

    # ---- refusing

    async def refuse(self, refusal: Refusal) -> None:
        """Tell the client in its protocol, as far as it lets us, and close."""
        log.info("%s %s: refused: %s", self.address, self.host or "-", refusal)
        try:
            with time_limit(REPLY_BUDGET):
                await self._tell(refusal)
        except TooSlow:
            log.info("%s %s: did not take the answer", self.address, self.host or "-")
        self.client.close()

    async def _tell(self, refusal: Refusal) -> None:
        if self.tls is None:
            if refusal.reason is Reason.TIMEOUT:
                return None  # a client that did not get so far speaks no protocol we could answer in
            if not await self._can_speak_inside_tls(refusal):
                alert(self.client, refusal.words.alert)
                return await self._part()
            self.tls = await self.secure(None)
        await reply(self.tls, self.protocol, refusal)
        if self.protocol is not Protocol.TCP:
            self.tls.goodbye()
            await self._part()
        return None

    async def _can_speak_inside_tls(self, refusal: Refusal) -> bool:
        """Only a protocol with words is worth a handshake, and only with a certificate for the name asked for."""
        if self.protocol is Protocol.TCP:
            return False
        if refusal.reason is Reason.NO_SERVER_NAME and self.protocol is not Protocol.POSTGRES:
            return False
        route = self.routes.find(self.host)
        return await self.services.certificates.get(self.host, route.host if route else None) is not None

    def _answer_request(self, answer: bytes) -> None:
        """Answer an SSLRequest or GSSENCRequest; bytes that follow it unasked are an attack (CVE-2021-23214)."""
        self.client.recv(postgres.SSL_REQUEST_SIZE)
        if peek_now(self.client):
            raise Abandoned("bytes after the SSL request, sent before it was answered")
        self.client.send(answer)

    async def _refuse_plaintext(self, opening: object) -> ClientHello:
        """End a connection that does not begin with TLS, with the words it understands."""
        if opening is Opening.HTTP:
            head = await peek(self.client, httphead.parse_head)
            if head.host is not None and head.target.startswith("/"):
                port = self.services.options.public_port
                place = f"{head.host}{'' if port == 443 else f':{port}'}"
                self.client.send(httphead.redirect(308, f"https://{place}{head.target}"))
            else:
                refusal = Refusal(Reason.TLS_REQUIRED, "this server takes encrypted connections only", "Use https.")
                self.client.send(http_error(refusal, wants_html=head.wants_html, head_only=head.method == "HEAD"))
            await self._part()
            raise Abandoned("plain http: sent to https")
        if opening is Opening.POSTGRES_STARTUP:
            refusal = Refusal(
                Reason.TLS_REQUIRED, "this server takes encrypted connections only", "Connect with sslmode=verify-full."
            )
            self.client.send(postgres_error(refusal))
            await self._part()
            raise Abandoned(str(refusal))
        name = opening.value if isinstance(opening, Opening) else "no protocol known here"
        raise Abandoned(f"first bytes: {name}, expected TLS")

    async def _part(self) -> None:
        """Let the client read its answer: a close over bytes we have not read would overtake it with a reset."""
        try:
            self.client.shutdown(socket.SHUT_WR)
            with time_limit(PARTING):
                while await self._discard():
                    pass
        except (OSError, TooSlow):
            return  # it has left by itself, or had its time

    async def _discard(self) -> bool:
        await readable(self.client)
        return bool(self.client.recv(65536))


def _recognise(head: bytes) -> Opening | ClientHello | More | Literal[Verdict.NOT_THIS]:
    """Tell what a client begins with; of TLS, its hello."""
    opening = recognise(head)
    return clienthello.parse(head) if opening is Opening.TLS else opening


def admit(route: Route, host: str) -> None:
    """Let through who may go to a pod that can be gone to. Raises Refusal. There is no identity yet: only `public`."""
    if decide(route.access, None) is not Decision.ALLOWED:
        raise Refusal(
            Reason.FORBIDDEN,
            f"{host} asks for access level {route.access}, and nobody can prove theirs to this gateway yet",
            "Its owner can make one that is open to everyone: podgate pod create NAME --access public",
        )
    if route.state is not RouteState.AVAILABLE:
        reason = Reason[route.state.name]
        state = "has failed" if route.state is RouteState.FAILED else f"is {route.state}"
        raise Refusal(reason, f"the pod behind {host} {state}", route.message or _WHAT_TO_DO[route.state])


_WHAT_TO_DO = {
    RouteState.STARTING: "Try again in a moment.",
    RouteState.STOPPED: "Its owner can start it: podgate pod start NAME",
    RouteState.FAILED: "Its owner can see why: podgate pod show NAME",
}
