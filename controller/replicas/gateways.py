"""Gateways of all replicas: each tells the others which follow it and what they run, so that every replica can tell
whether a pod is routed everywhere.

What happens while one telling is written goes with the next: a busy replica tells less often, and never late.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import trio

from controller.desk import Desk
from controller.feed import Feed
from controller.gateways import Gateway, NotPublished
from controller.pulse import Pulse
from controller.store.database import StoreFailure
from controller.store.presence import FRESH, Followed
from router.snapshot import Rejected, Version

TELL_AGAIN_AFTER = FRESH / 3  # seconds
log = logging.getLogger("controller.replicas")


class Gateways:
    """Tells, and listens."""

    def __init__(self, desk: Desk, feed: Feed, changed: Pulse, replica: str) -> None:
        self._desk = desk
        self._feed = feed
        self._changed = changed
        self._replica = replica
        self._elsewhere: list[Followed] = []
        self.leader = ""  # who led when this was asked last

    async def run(self) -> None:
        """Tell the others until cancelled."""
        told: list[Followed] | None = None
        told_at = 0.0
        while True:
            now = [_followed(gateway) for gateway in self._feed.gateways.values()]
            if now != told or (now and trio.current_time() >= told_at + TELL_AGAIN_AFTER):
                told, told_at = await self._tell(now, told), trio.current_time()
                continue
            with trio.move_on_at(told_at + TELL_AGAIN_AFTER):
                await self._changed.wait()
            if not now:
                told_at = trio.current_time()

    async def listen(self) -> None:
        """Learn which gateways follow other replicas, and who leads. Raises StoreFailure."""
        own, elsewhere, self.leader = await self._desk.do(partial(self._desk.store.followed, self._replica))
        for each in own:
            self._hear(each)
        if elsewhere != self._elsewhere:
            self._elsewhere = elsewhere
            self._feed.elsewhere = {each.replica: _gateway(each) for each in elsewhere}
            self._changed.beat()

    async def pass_on(self, replica: str, version: Version, rejected: Sequence[Rejected]) -> bool:
        """Take what a gateway acknowledges that follows another replica; tell whether one does. Raises StoreFailure."""
        return await self._desk.do(partial(self._desk.store.pass_on, replica, version, rejected))

    def _hear(self, told: Followed) -> None:
        """Take note of what a gateway that follows here acknowledged elsewhere."""
        gateway = self._feed.gateways.get(told.replica)
        if gateway is None:
            return
        known = _followed(gateway)
        if known.later(told) != known:
            rejected = [Rejected(host, reason) for host, _, reason in told.rejected]
            with suppress(NotPublished):  # of which another replica knows already, and this one at its next look
                self._feed.acknowledge(told.replica, Version(told.epoch, told.number), rejected)

    async def _tell(self, now: list[Followed], told: list[Followed] | None) -> list[Followed] | None:
        try:
            await self._desk.do(partial(self._desk.store.tell_followed, self._replica, now))
        except StoreFailure as failure:
            log.warning("replicas: the others are not told which gateways follow this one: %s", failure)
            await trio.sleep(1.0)
            return told
        return now


def _followed(gateway: Gateway) -> Followed:
    epoch, number = gateway.acknowledged
    rejected = tuple((host, version, reason) for host, (version, reason) in sorted(gateway.rejected.items()))
    return Followed(
        gateway.replica, gateway.workers, gateway.since, epoch, number, rejected, gateway.who, gateway.standing
    )


def _gateway(followed: Followed) -> Gateway:
    rejected = {host: (version, reason) for host, version, reason in followed.rejected}
    version = Version(followed.epoch, followed.number)
    return Gateway(
        followed.replica, followed.workers, followed.since, followed.who, followed.standing, version, rejected
    )
