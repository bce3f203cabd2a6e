"""Gateways of all replicas: each tells the others which follow it and what they run, so that every replica can tell
whether a pod is routed everywhere.

What happens while one telling is written goes with the next: a busy replica tells less often, and never late.
"""

import logging
from functools import partial

import trio

from controller.desk import Desk
from controller.feed import Feed, Gateway
from controller.pulse import Pulse
from controller.store.database import StoreFailure
from controller.store.presence import FRESH, Followed
from router.snapshot import Version

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
        found, self.leader = await self._desk.do(partial(self._desk.store.followed, self._replica))
        if found != self._elsewhere:
            self._elsewhere = found
            self._feed.elsewhere = {each.replica: _gateway(each) for each in found}
            self._changed.beat()

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
    return Followed(gateway.replica, gateway.workers, gateway.since, epoch, number, rejected)


def _gateway(followed: Followed) -> Gateway:
    rejected = {host: (version, reason) for host, version, reason in followed.rejected}
    version = Version(followed.epoch, followed.number)
    return Gateway(followed.replica, followed.workers, followed.since, version, rejected)
