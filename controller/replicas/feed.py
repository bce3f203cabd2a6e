"""Routes in versions that mean the same at every replica: the epoch is the store's, the number that of its last change.

A version holds at least what the store had at its number, so a gateway may go from one replica to another: it says what
it runs, and gets no table from before that. What has no number of its own, such as the keys of an identity provider,
waits for the next.
"""

import trio

from controller.feed import REMEMBERED_DELTAS, Feed, Told
from controller.pulse import Pulse
from router.snapshot import Version

REACH_LIMIT = 5.0  # seconds that a gateway waits for this replica to know what it runs already
_NOT_YET = 2**62  # the number of what has none yet: nobody runs it


class SharedFeed(Feed):
    """The published routes, in versions of the store."""

    def __init__(self, changed: Pulse, at: Version) -> None:
        super().__init__(changed)
        self._version = at
        self._waiting = Told()

    @property
    def pending(self) -> bool:
        """Tell whether something waits for a number."""
        return bool(self._waiting.routes or self._waiting.records)

    def reach(self, number: int) -> None:
        """Publish what has come together, as the versions up to `number`: the first has all of it."""
        steps = number - self._version.number
        if steps <= 0:
            return
        told, self._waiting = self._waiting, Told()
        self._mark(told, number)
        if steps > REMEMBERED_DELTAS:
            self._skip(number - 1)
        self._publish(told)
        for _ in range(number - self._version.number):
            self._publish(Told())

    def _tell(self, told: Told) -> None:
        self._mark(told, _NOT_YET)
        waiting = self._waiting
        self._waiting = Told({**waiting.routes, **told.routes}, {**waiting.records, **told.records})

    async def _reached(self, version: Version) -> None:
        """Wait until this publishes what a gateway runs already. After a while it is told what there is all the same:
        a store that was put back from a copy never gets there.
        """
        with trio.move_on_after(REACH_LIMIT):
            while version.epoch == self._version.epoch and self._version.number < version.number:
                await self._published.wait()
