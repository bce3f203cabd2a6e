"""HTTP connections from inside TLS to the relay.

    admit    who sends the request, and may it go to its pod? What may not is answered here, one after the other
    dial     the upstream
    relay    from here on the requests that follow are looked at there (gateway.web.exchange)

A client that comes back from the relay begins here, too.
"""

import logging

from gateway.errors import Answered, Reason, Refusal
from gateway.link import Link
from gateway.openssl import handle_of
from gateway.services import Services
from gateway.tls import TlsClient
from gateway.upstream import dial
from gateway.web.exchange import Exchange
from gateway.web.visit import Admitted, Answer, Visit
from gateway.wire import httphead
from gateway.wire.verdict import Malformed

log = logging.getLogger("podgate.opening")

MOST_OWN = 32  # links of one client address to Podgate itself: all people share the few it serves at once


class RequestOpening:
    """One HTTP client inside TLS."""

    def __init__(self, services: Services, client: TlsClient, visit: Visit) -> None:
        self._services = services
        self._client = client
        self._visit = visit

    async def lead(self) -> Link:
        """Walk through the phases. What was decided is decided again if the policy changed meanwhile. Raises Refusal
        and Answered.
        """
        services, client = self._services, self._client
        while True:
            head, admitted = await self._admit()
            exchange = Exchange(services.engine, self._visit, admitted)
            first = bytes(exchange.start(head, client.unread))
            if exchange.leaving is not None and exchange.leaving.answer is not None:
                await self.answer(exchange.leaving.answer)
            own = services.relay.upkeep.own_by_address[self._visit.address] if admitted.route.own else 0
            if own >= MOST_OWN:
                raise Refusal(Reason.TOO_MANY, f"your address has {MOST_OWN} connections to Podgate itself open")
            upstream = (await dial(admitted.route, services.options.connect_timeout)).socket
            if admitted.policy is services.engine.policy:
                break
            upstream.close()
        client.unread = b""
        handle = handle_of(client.connection)
        return Link(client.client, handle, upstream, admitted.route, self._visit, first, web=exchange, tls=client)

    async def answer(self, answer: Answer) -> None:
        """Send an answer of our own. Raises Answered if it is the last."""
        log.info("%s %s: %s", self._visit.client, self._visit.host, answer.why)
        await self._client.send(answer.data)
        if not answer.keeps_alive:
            raise Answered

    async def _admit(self) -> tuple[httphead.RequestHead, Admitted]:
        """Answer requests until one may go to its pod. Raises Refusal, and Answered when there is no next one."""
        client = self._client
        while True:
            try:
                head = await client.look(httphead.parse_head)
            except Malformed as error:
                raise Refusal(Reason.MALFORMED, f"the request cannot be read: {error}") from error
            decision = self._services.engine.decide(head, self._visit)
            if isinstance(decision, Admitted):
                return head, decision
            await self.answer(decision)
            client.unread = client.unread[head.size :]
