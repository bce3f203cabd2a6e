"""Upkeep: looking at each link now and then, for what no event tells: silence, and ends that are overdue. And
counting them by client address.

A wheel of seconds has the links (`gateway.wheel`), so that a message costs nothing here.
"""

import math
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from gateway.link import OWN_KEEP_ALIVE, Flow, Limits, Link
from gateway.loop import Loop
from gateway.wheel import Wheel

if TYPE_CHECKING:
    from gateway.relay import Relay


class Upkeep:
    """Looks at the links of a relay."""

    def __init__(self, relay: "Relay", loop: Loop, limits: Limits) -> None:
        self.limits = limits
        self.by_address: Counter[str] = Counter()  # links of each client address
        self.own_by_address: Counter[str] = Counter()  # the same of those that lead to Podgate itself
        self._relay = relay
        self._loop = loop
        self._pause = max(1.0, min(limits.idle, limits.linger, limits.stall) / 2)
        self._wheel: Wheel[Link] = Wheel(loop, partial(relay.guard, self._look))

    def begin(self, link: Link) -> None:
        """Count a link, and have it looked at from now on."""
        self._count(link, 1)
        self._wheel.put(link, self._loop.now + self._pause_of(link))

    def look_at(self, link: Link, when: float) -> None:
        """Have it looked at within two seconds after `when`, of the loop's clock."""
        self._wheel.put(link, when)

    def finish_up(self, link: Link) -> None:
        """Try again to pass on that its client is lost, if that is still to be done."""
        if link.client_lost and link.up_flow is Flow.ENDING and not link.up and not link.closed:
            self._relay.ending.finish_up(link, again=True)
            self._relay.watch(link)

    def end(self, link: Link) -> None:
        """Look at it no more."""
        self._count(link, -1)
        self._wheel.drop(link)

    def _count(self, link: Link, more: int) -> None:
        counters = (self.by_address, self.own_by_address) if link.route.own else (self.by_address,)
        for counter in counters:
            counter[link.visit.address] += more
            if not counter[link.visit.address]:
                del counter[link.visit.address]

    def _pause_of(self, link: Link) -> float:
        if link.web is None:
            return self._pause
        timeout = link.web.route.web.idle_timeout or math.inf
        keep_alive = OWN_KEEP_ALIVE if link.route.own else self.limits.keep_alive
        return max(1.0, min(self._pause, keep_alive / 2, timeout / 2))

    def _look(self, link: Link) -> None:
        relay, now = self._relay, self._loop.now
        self.finish_up(link)
        if link.closed:
            return None
        if link.ends_at and now >= link.ends_at:
            return relay.ending.close(link, "client sent on after the end")
        if self._is_overdue(link):
            return relay.ending.close(link, "the head of a request did not come in time")
        limit, why = link.silence(self.limits)
        if now - link.active >= limit and not relay.web.end_idle(link):
            return relay.ending.close(link, why)
        if not link.closed:
            soon = link.client_lost or link.ends_at
            self._wheel.put(link, now + (1 if soon else self._pause_of(link)))
        return None

    def _is_overdue(self, link: Link) -> bool:
        """Tell whether a client has had its time to finish the head of a request."""
        began = link.web.head_began if link.web is not None else 0.0
        return began > 0 and time.monotonic() >= began + self.limits.request_head
