"""How the relay passes the bytes of links with an exchange: through it, and by what has become of it then.

Part of the relay's hot path, and by its rule (`gateway.relay`): all exchanges of a turn take what was read, and then
what they gave is sent. Were each sent at once, the server at the other end would be woken for every request (`podgate
bench http`, another path each time: 120 against 45 µs).
"""

from typing import TYPE_CHECKING

from gateway import openssl
from gateway.link import Flow, Link
from gateway.waiting import READ
from gateway.web.exchange import Broken, Data

if TYPE_CHECKING:
    from gateway.relay import Relay

OPEN, ENDING, ENDED = Flow.OPEN, Flow.ENDING, Flow.ENDED


class Passing:
    """The links of a relay that have an exchange, as far as the relay does not treat all links alike."""

    def __init__(self, relay: "Relay") -> None:
        self._relay = relay
        self._ups: list[tuple[Link, Data]] = []  # what exchanges gave in this turn
        self._downs: list[tuple[Link, Data]] = []

    # ---- bytes

    def take_up(self, link: Link, data: memoryview) -> None:
        """Have the exchange take what came from the client; `deliver` sends what it gives."""
        try:
            self._ups.append((link, link.web.up(data)))  # type: ignore[union-attr]  # the caller has looked
        except Broken as broken:
            self._relay.end(link, str(broken))

    def take_down(self, link: Link, data: memoryview) -> None:
        """The same for what came from the upstream."""
        try:
            self._downs.append((link, link.web.down(data)))  # type: ignore[union-attr]
        except Broken as broken:
            self._relay.end(link, str(broken))

    def deliver(self) -> None:
        """Send what exchanges gave."""
        if self._ups:
            ups, self._ups = self._ups, []
            for link, data in ups:
                self._guard_up(link, data)
        if self._downs:
            downs, self._downs = self._downs, []
            for link, data in downs:
                self._guard_down(link, data)

    def pass_up(self, link: Link, data: memoryview | bytes) -> None:
        """Take and send at once."""
        try:
            passed = link.web.up(data)  # type: ignore[union-attr]
        except Broken as broken:
            return self._relay.end(link, str(broken))
        return self._send_up(link, passed)

    def pass_down(self, link: Link, data: memoryview) -> None:
        """Take and send at once."""
        try:
            passed = link.web.down(data)  # type: ignore[union-attr]
        except Broken as broken:
            return self._relay.end(link, str(broken))
        return self._send_down(link, passed)

    def _guard_up(self, link: Link, data: Data) -> None:
        try:
            self._send_up(link, data)
        except Exception as fault:  # noqa: BLE001  # of ours, with one link
            self._relay.fault(link, fault)

    def _guard_down(self, link: Link, data: Data) -> None:
        try:
            self._send_down(link, data)
        except Exception as fault:  # noqa: BLE001
            self._relay.fault(link, fault)

    def _send_up(self, link: Link, data: Data) -> None:
        exchange = link.web
        if link.closed or exchange is None:
            return None
        if data and exchange.leaving is None and link.up_flow is OPEN:
            self._relay.to_upstream(link, data)
            if not exchange.held and link.client_mask & READ:  # otherwise it waited, and is to be read again
                return None
        return self.settle(link)

    def _send_down(self, link: Link, data: Data) -> None:
        exchange = link.web
        if link.closed or exchange is None:
            return None
        if data and link.down_flow is OPEN:
            self._relay.to_client(link, openssl.pointer_to(data), len(data))
        if exchange.held or exchange.ending or exchange.leaving is not None:
            return self.settle(link)
        return None

    # ---- what comes of it

    def upstream_ended(self, link: Link) -> bool:
        """Take note that the upstream has ended; tell whether that ends the link too."""
        exchange = link.web
        if exchange is None or (link.upstream_lost and exchange.answers_until_close):
            return True
        if not exchange.upstream_ended():
            link.upstream_lost = True
        elif exchange.is_idle:
            link.upstream_lost = False  # it had said all it was asked for
        if exchange.leaving is None:
            return True
        self.settle(link)
        return False

    def end_idle(self, link: Link) -> bool:
        """Say goodbye to a client that is between two requests; tell whether it is."""
        if link.web is None or not link.web.is_idle or link.down_flow is not OPEN or link.down:
            return False
        link.up, link.up_flow = b"", ENDED
        link.down_flow = ENDING
        self._relay.finish_down(link)
        return True

    def settle(self, link: Link) -> None:
        """Do what the exchange asks for, as soon as what was passed on has been taken."""
        relay, exchange = self._relay, link.web
        if exchange is None or link.closed:
            return None
        if exchange.leaving is not None:  # what is still on its way down goes first
            return relay.watch(link) if link.down else relay.give_back(link)
        if exchange.ending and link.down_flow is OPEN:
            link.up, link.up_flow = b"", ENDED
            link.down_flow = ENDING
            if not link.down:
                relay.finish_down(link)
        elif exchange.held and not link.up and (exchange.raw or exchange.is_idle) and link.up_flow is OPEN:
            if not exchange.head_began:
                return self.pass_up(link, b"")
            relay.upkeep.look_at(link, exchange.head_began + relay.upkeep.limits.request_head)
        return relay.watch(link)
