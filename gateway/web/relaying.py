"""How the relay passes the bytes of links that have a transform (of HTTP, an exchange): through it, and by what has
become of it then.

Part of the relay's hot path, and by its rule (`gateway.relay`): all exchanges of a turn take what was read, and then
what they gave is sent. Were each sent at once, the server at the other end would be woken for every request (`podgate
bench http`, another path each time: 120 against 45 µs).
"""

from typing import TYPE_CHECKING

from gateway import openssl
from gateway.link import Flow, Link
from gateway.transform import Broken, Data, Transform
from gateway.waiting import READ

if TYPE_CHECKING:
    from gateway.relay import Relay

OPEN, ENDING, ENDED = Flow.OPEN, Flow.ENDING, Flow.ENDED


class Passing:
    """The links of a relay that have an exchange, as far as the relay does not treat all links alike."""

    def __init__(self, relay: "Relay") -> None:
        self._relay = relay
        self._ups: list[tuple[Link, Transform, Data]] = []  # what exchanges gave in this turn
        self._downs: list[tuple[Link, Transform, Data]] = []

    # ---- bytes

    def take_up(self, link: Link, exchange: Transform, data: Data) -> None:
        """Have the exchange take what came from the client; `deliver` sends what it gives."""
        try:
            self._ups.append((link, exchange, exchange.up(data)))
        except Broken as broken:
            self._relay.ending.close(link, str(broken))

    def take_down(self, link: Link, exchange: Transform, data: Data) -> None:
        """The same for what came from the upstream."""
        try:
            self._downs.append((link, exchange, exchange.down(data)))
        except Broken as broken:
            self._relay.ending.close(link, str(broken))

    def deliver(self) -> None:
        """Send what exchanges gave; what they ask for next is done when both sides have what they gave."""
        if not self._ups and not self._downs:
            return
        ups, downs, unsettled = self._ups, self._downs, list[Link]()
        self._ups, self._downs = [], []
        for link, exchange, data in ups:
            try:
                if self._send_up(link, exchange, data):
                    unsettled.append(link)
            except Exception as fault:  # noqa: BLE001  # as in the relay: it must not take the others down
                self._relay.fault(link, fault)
        for link, exchange, data in downs:
            try:
                if self._send_down(link, exchange, data):
                    unsettled.append(link)
            except Exception as fault:  # noqa: BLE001
                self._relay.fault(link, fault)
        for link in unsettled:
            self._relay.guard(self.settle, link)

    def _pay(self, link: Link, transform: Transform) -> None:
        """Send what is owed, unless something is on its way before it; then it goes when that has been taken."""
        if transform.owed and not link.down and link.down_flow is OPEN:
            data = transform.pay()
            self._relay.to_client(link, openssl.pointer_to(data), len(data))

    def _send_up(self, link: Link, exchange: Transform, data: Data) -> bool:
        """Send to the upstream; tell whether there is more to do then."""
        if not data or link.closed or exchange.leaving is not None or link.up_flow is not OPEN:
            return True
        self._relay.to_upstream(link, data)
        return bool(exchange.held or exchange.owed) or not link.client_mask & READ  # it waited, and is to be read again

    def _send_down(self, link: Link, exchange: Transform, data: Data) -> bool:
        """The same to the client."""
        if data and not link.closed and link.down_flow is OPEN:
            self._relay.to_client(link, openssl.pointer_to(data), len(data))
        return bool(exchange.held) or exchange.ending or exchange.leaving is not None

    # ---- what comes of it

    def upstream_ended(self, link: Link) -> bool:
        """Take note that the upstream has ended; tell whether that ends the link too."""
        exchange = link.web
        if exchange is None:
            return link.transform is None or self._told_of_end(link, link.transform)
        if link.upstream_lost and exchange.answers_until_close:
            return True
        if not exchange.upstream_ended():
            link.upstream_lost = True
        elif exchange.is_idle:
            link.upstream_lost = False  # it had said all it was asked for
        if exchange.leaving is None:
            return True
        self.settle(link)
        return False

    def _told_of_end(self, link: Link, transform: Transform) -> bool:
        """Have a client told of the end in words that only the transform has; tell whether it has been."""
        if not link.upstream_lost:
            transform.upstream_ended()
            self._pay(link, transform)
        if link.down:
            link.down_flow = ENDING
            self._relay.watch(link)
        return link.down_flow is OPEN

    def end_idle(self, link: Link) -> bool:
        """Say goodbye to a client that is between two requests; tell whether it is."""
        if link.closed or link.web is None or not link.web.is_idle or link.down_flow is not OPEN or link.down:
            return False
        link.up, link.up_flow = b"", ENDED
        link.down_flow = ENDING
        self._relay.ending.finish_down(link)
        return True

    def settle(self, link: Link) -> None:
        """Do what the exchange asks for, as soon as what was passed on has been taken."""
        relay, exchange = self._relay, link.web
        if link.closed or link.transform is None:
            return None
        if exchange is None:
            return self._settle_watched(link, link.transform)
        if exchange.leaving is not None:  # what is still on its way down goes first
            return relay.watch(link) if link.down else relay.ending.give_back(link)
        if exchange.ending and link.down_flow is OPEN:
            link.up, link.up_flow = b"", ENDED
            link.down_flow = ENDING
            if not link.down:
                relay.ending.finish_down(link)
        elif exchange.held and not link.up and (exchange.raw or exchange.is_idle) and link.up_flow is OPEN:
            if not exchange.head_began:
                self.take_up(link, exchange, b"")
                return self.deliver()
            relay.upkeep.look_at(link, exchange.head_began + relay.upkeep.limits.request_head)
        return relay.watch(link)

    def _settle_watched(self, link: Link, transform: Transform) -> None:
        """Answer a client by what only the transform understands, and end the link once it has said goodbye."""
        self._pay(link, transform)
        if transform.ending and link.down_flow is OPEN and not transform.owed:
            link.down_flow = ENDING
            if not link.down:
                self._relay.ending.finish_down(link)
            if link.up_flow is OPEN:
                link.up_flow = ENDING
                if not link.up:
                    self._relay.ending.finish_up(link)
        return self._relay.watch(link)
