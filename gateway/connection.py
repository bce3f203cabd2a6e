"""One connection from accept to its first relayed byte, as a sequence of phases under one time budget.

    introduce  behind a balancer only: whose connection it passes on
    sniff      which protocol is this? Postgres StartTLS is answered here; the ClientHello is only looked at
    route      its server name, looked up in the table the connection started with
    secure     TLS, with the certificate of that name
    admit      who is calling, may they go there, is anything there? Of HTTP: the first request that goes to the pod
    dial       the upstream
    relay      from here on the link belongs to the relay (gateway.relay)

An HTTP link comes back here, to `resume` with `admit`, when a request is not for its upstream (gateway.web.exchange).

A phase that fails raises `Refusal`, which is told to the client in its own protocol, or `Abandoned`, which is only
logged. Nothing of the budget survives into the relay.
"""

import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace

from gateway.admission import admit
from gateway.balancing import Named, introduced, written
from gateway.bolt.arriving import is_bolt, is_from_own_page, read_request, upgrade
from gateway.bolt.opening import GraphOpening
from gateway.errors import Abandoned, Answered, Reason, Refusal
from gateway.link import Link
from gateway.openssl import handle_of
from gateway.parting import part
from gateway.postgres.naming import unknown
from gateway.postgres.opening import DatabaseOpening
from gateway.proof import by_certificate
from gateway.replies import reply
from gateway.services import Services
from gateway.starttls import reach_hello
from gateway.tls import TlsClient, alert, handshake
from gateway.upstream import Ahead, closed_on_error, dial
from gateway.waiting import TooSlow, time_limit
from gateway.ways import is_open_to_all, route_now
from gateway.web.exchange import Leaving
from gateway.web.opening import RequestOpening
from gateway.web.visit import Policy, Visit
from gateway.wire.clienthello import ClientHello
from gateway.wire.verdict import Malformed
from router.hostname import InvalidName, normalise
from router.model import Protocol, Route

log = logging.getLogger("podgate.opening")

_HTTP_ALPN = frozenset((b"h2", b"http/1.1", b"http/1.0"))  # RFC 7301: what only HTTP clients offer
REPLY_BUDGET = 5.0  # seconds to tell a client why it was refused


class Connection:
    """A client whose opening is under way."""

    def __init__(
        self, services: Services, client: socket.socket, address: str, ip: str, named: Named | None = None
    ) -> None:
        """Take over an accepted, non-blocking socket; `address` is the client's with its port, for the log.

        With `named` both are a balancer's, which says who the client is; `named` is told, and tells if there is room.
        """
        self.services = services
        self.policy: Policy = services.engine.policy
        self.client = client
        self.address = address
        self.ip = ip
        self.named = named
        self.host = ""
        self.protocol: Protocol | None = None
        self.tls: TlsClient | None = None

    async def serve(self) -> None:
        """Open the connection and hand it to the relay, or refuse it and close it. Raises only cancellation."""
        await self._guarded(self.open)

    async def resume(self, link: Link, tls: TlsClient, leaving: Leaving) -> None:
        """The same for a client that comes back from the relay."""
        self.host, self.protocol, self.tls = link.visit.host, Protocol.HTTP, tls
        tls.unread = leaving.unread

        async def go_on() -> Link:
            opening = RequestOpening(self.services, tls, link.visit)
            if leaving.answer is not None:
                await opening.answer(leaving.answer)
            return await opening.lead()

        await self._guarded(go_on)

    async def _guarded(self, make: Callable[[], Awaitable[Link]]) -> None:
        try:
            await self._open_or_refuse(make)
        except (Abandoned, Malformed, OSError) as error:
            log.info("%s %s: %s", self.address, self.host or "-", error)
            self.client.close()
        except Exception:  # a fault of ours with one connection must not take the others down
            log.exception("opening: fault with a connection for %s", self.host or "-")
            self.client.close()
        except BaseException:
            self.client.close()
            raise

    async def _open_or_refuse(self, make: Callable[[], Awaitable[Link]]) -> None:
        budget = self.services.options.opening_budget
        try:
            with time_limit(budget):
                link = await make()
        except Refusal as refusal:
            await self.refuse(refusal)
        except Answered as answered:
            if str(answered):
                log.info("%s %s: %s", self.address, self.host or "-", answered)
            await self._say_goodbye()
        except TooSlow:
            if self.protocol is Protocol.HTTP and self.tls is not None and not self.tls.unread:
                return await self._say_goodbye()  # it asks nothing (more): what is said now it would take for an answer
            await self.refuse(Refusal(Reason.TIMEOUT, f"this connection was not open within {budget:g} s"))
        else:
            self.services.relay.add(link)

    async def open(self) -> Link:
        """Walk through the phases."""
        if self.named is not None:
            await self.introduce(self.named)
        hello = await self.sniff()
        route = self.route(hello)
        with contextlib.closing(Ahead()) as ahead:
            if route is not None and self._may_dial_ahead(hello, route):
                ahead.begin(route)
            tls = self.tls = await self.secure(route)
            return await self.lead(tls, self.visit(tls), route, ahead)

    async def lead(self, tls: TlsClient, visit: Visit, route: Route | None, ahead: Ahead | None = None) -> Link:
        """Walk on from a client inside TLS. What was decided is decided again if the policy changed meanwhile: nobody
        else would look at a link that was not there yet when it did.
        """
        if route is None or route.protocol is Protocol.POSTGRES:
            return await DatabaseOpening(self.services, tls, visit, ahead).lead(route)
        if route.protocol is Protocol.HTTP:
            return await RequestOpening(self.services, tls, visit).lead()
        if route.protocol is Protocol.BOLT:
            return await self._lead_graph(tls, visit, route, ahead)
        engine = self.services.engine
        proof = admit(visit, route, self.policy, engine)
        upstream = (await dial(route, self.services.options.connect_timeout)).socket
        if self.policy is not engine.policy:
            self.policy = engine.policy
            with closed_on_error(upstream):
                route = route_now(self.policy.routes, self.host, route.protocol)
                proof = admit(visit, route, self.policy, engine)
        return Link(self.client, handle_of(tls.connection), upstream, route, visit, proof=proof)

    async def _lead_graph(self, tls: TlsClient, visit: Visit, route: Route, ahead: Ahead | None) -> Link:
        if not await is_bolt(tls):
            self.protocol = Protocol.HTTP
            head = await read_request(tls, route)
            if head is None:
                return await RequestOpening(self.services, tls, visit).lead()
            if not is_from_own_page(head, visit):
                visit = replace(visit, certificate=None)
            tls = self.tls = await upgrade(tls, head, visit)
            self.protocol = Protocol.BOLT
        return await GraphOpening(self.services, tls, visit, ahead).lead()

    # ---- the phases

    async def introduce(self, named: Named) -> None:
        """Take the balancer's header off; whom it names is the client from here on. Raises Abandoned and Malformed."""
        source = await introduced(self.client)
        if source is not None:
            self.ip, self.address = source[0], written(source)
        if not named(self.ip):
            raise Abandoned("there is no room for another connection of its address")

    async def sniff(self) -> ClientHello:
        """Get to the ClientHello; what comes before it may tell the protocol."""
        hello, self.protocol = await reach_hello(self.client, self.ip, self.services)
        return hello

    def route(self, hello: ClientHello) -> Route | None:
        """Find where the client's server name leads; None: to a database that its startup message may name. Raises
        Refusal.
        """
        if b"postgresql" in hello.alpn:
            self.protocol = Protocol.POSTGRES
        if not hello.server_name and self.protocol is Protocol.POSTGRES:
            return None
        if not hello.server_name:
            raise Refusal(
                Reason.NO_SERVER_NAME,
                "your client did not say which pod it wants",
                "Connect by host name, not by IP address, with a client that sends it in TLS.",
            )
        try:
            self.host = normalise(hello.server_name.decode("ascii", "replace"))
        except InvalidName as error:
            raise Refusal(Reason.NO_SERVER_NAME, "the server name in your TLS handshake is not a host name") from error
        route = self.policy.routes.find(self.host)
        if route is None:
            raise unknown(self.host)
        self._check_protocol(hello, route)
        self.protocol = route.protocol
        says_more = route.protocol is not Protocol.TCP or self._asks_for_certificate(route)
        if not says_more:
            # Nothing more will be known of the client.
            admit(Visit(self.host, self.ip, self.address), route, self.policy, self.services.engine)
        return route

    def _may_dial_ahead(self, hello: ClientHello, route: Route) -> bool:
        """Tell whether it is certain already that the client may reach the database and, if so, likely that it will."""
        if route.protocol is Protocol.BOLT and hello.alpn:
            return False  # a browser's, which ask for the HTTP side
        is_database = route.protocol is Protocol.POSTGRES or route.protocol is Protocol.BOLT
        return is_database and is_open_to_all(route, Visit(self.host, self.ip, self.address))

    def _check_protocol(self, hello: ClientHello, route: Route) -> None:
        """Tell a client that cannot mean this pod so in its own words, before the pod answers in others."""
        spoken = self.protocol
        if spoken is None and route.protocol is Protocol.POSTGRES and _HTTP_ALPN.intersection(hello.alpn):
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
        asks = route is not None and self._asks_for_certificate(route)
        tls = await handshake(self.client, self.services.contexts.get(leaf, self.protocol, asks=asks))
        tls.leaf = leaf
        return tls

    def visit(self, tls: TlsClient) -> Visit:
        """Tell what is true of the connection."""
        certificate = tls.certificate()
        proof = by_certificate(certificate) if certificate is not None else None
        options = self.services.options
        return Visit(self.host, self.ip, self.address, proof, options.public_port, options.console)

    def _asks_for_certificate(self, route: Route) -> bool:
        return route.certificates and bool(self.services.options.client_ca)

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
                return await part(self.client)
            self.tls = await self.secure(None)
        await reply(self.tls, self.protocol, refusal)
        if self.protocol is not Protocol.TCP:
            self.tls.goodbye()
            await part(self.client)
        return None

    async def _say_goodbye(self) -> None:
        """End a connection that has all its answers."""
        if self.tls is not None:
            self.tls.goodbye()
        await part(self.client)
        self.client.close()

    async def _can_speak_inside_tls(self, refusal: Refusal) -> bool:
        """Only a protocol with words is worth a handshake, and only with a certificate for the name asked for."""
        if self.protocol is Protocol.TCP:
            return False
        if refusal.reason is Reason.NO_SERVER_NAME and self.protocol is not Protocol.POSTGRES:
            return False
        route = self.policy.routes.find(self.host)
        return await self.services.certificates.get(self.host, route.host if route else None) is not None
