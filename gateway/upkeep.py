"""Upkeep: looking at each link now and then, for what no event tells: silence, and ends that are overdue.

A wheel of seconds has the links (`gateway.wheel`), so that a message costs nothing here.
"""

import math
import time
from functools import partial
from typing import TYPE_CHECKING

from gateway.link import Flow, Limits, Link
from gateway.loop import Loop
from gateway.wheel import Wheel

if TYPE_CHECKING:
    from gateway.relay import Relay


class Upkeep:
    """Looks at the links of a relay."""

    def __init__(self, relay: "Relay", loop: Loop, limits: Limits) -> None:
        self.limits = limits
        self._relay = relay
        self._loop = loop
        self._pause = max(1.0, min(limits.idle, limits.linger, limits.stall) / 2)
        self._wheel: Wheel[Link] = Wheel(loop, partial(relay.guard, self._look))

    def begin(self, link: Link) -> None:
        """Have a link looked at from now on."""
        self._wheel.put(link, self._loop.now + self._pause_of(link))

    def look_at(self, link: Link, when: float) -> None:
        """Have it looked at within two seconds after `when`, of the loop's clock."""
        self._wheel.put(link, when)

    def end(self, link: Link) -> None:
        """Look at it no more."""
        self._wheel.drop(link)

    def _pause_of(self, link: Link) -> float:
        if link.web is None:
            return self._pause
        timeout = link.web.route.web.idle_timeout or math.inf
        return max(1.0, min(self._pause, self.limits.keep_alive / 2, timeout / 2))

    def _look(self, link: Link) -> None:
        relay, now = self._relay, self._loop.now
        if link.client_lost and link.up_flow is Flow.ENDING and not link.up:
            relay.finish_up(link)
            relay.watch(link)
        if link.ends_at and now >= link.ends_at:
            relay.end(link, "client sent on after the end")
        if self._is_overdue(link):
            relay.end(link, "the head of a request did not come in time")
        limit, why = link.silence(self.limits)
        if now - link.active >= limit and not relay.web.end_idle(link):
            relay.end(link, why)
        elif not link.closed:
            soon = link.client_lost or link.ends_at
            self._wheel.put(link, now + (1 if soon else self._pause_of(link)))

    def _is_overdue(self, link: Link) -> bool:
        """Tell whether a client has had its time to finish the head of a request."""
        began = link.web.head_began if link.web is not None else 0.0
        return began > 0 and time.monotonic() >= began + self.limits.request_head
