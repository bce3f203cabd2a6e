"""Audit: who did what to what, from where, and whether they might. Never a secret.

A change is written in the same transaction as what it changes; what changes nothing is written by itself.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from controller.desk import Desk
from controller.identity import LOCAL, By, Entry, Outcome
from controller.store.database import StoreFailure
from controller.store.journal import Question

LONGEST_DETAIL = 500  # characters
PAUSE = 60.0  # seconds between two entries about the same refusal
MOST_REMEMBERED = 10_000  # refusals of which it is known when they were last written
log = logging.getLogger(__name__)


class Audit:
    """Writes and reads the log."""

    def __init__(self, desk: Desk, now: Callable[[], float] = time.time) -> None:
        self._desk = desk
        self._now = now
        self._refused: dict[tuple[str, str, str], float] = {}  # when that was last written

    def entry(self, by: By, what: str, *, pod: str = "", outcome: Outcome = Outcome.CHANGED, detail: str = "") -> Entry:
        """Make an entry of something that happens now, for a transaction that is about to be written."""
        return Entry(self._now(), by.who, what, pod, by.address, outcome, detail[:LONGEST_DETAIL])

    async def record(
        self, who: str, what: str, *, pod: str = "", address: str = LOCAL, outcome: str = "changed", detail: str = ""
    ) -> None:
        """Write one entry; `pod` is a pod's key. Raises StoreFailure."""
        await self.write([self.entry(By(who, address), what, pod=pod, outcome=Outcome(outcome), detail=detail)])

    async def write(self, entries: Sequence[Entry]) -> None:
        """Write entries. Raises StoreFailure."""
        await self._desk.do(partial(self._desk.store.note, entries))

    async def take(self, entries: Sequence[Entry]) -> None:
        """Write what others tell. None is later than now: it would hide all that happens until then."""
        now = self._now()
        await self.write([replace(entry, at=min(entry.at, now)) for entry in entries])

    async def refused(self, by: By, what: str, *, pod: str = "", detail: str = "") -> None:
        """Write that somebody was refused: of what they try again and again, once in `PAUSE`, or they could push out
        everything else. They are refused also if that cannot be written; the log then says so.
        """
        key, now = (by.who, what, pod), self._now()
        if abs(now - self._refused.get(key, -PAUSE)) < PAUSE:
            return
        if len(self._refused) >= MOST_REMEMBERED:
            self._refused.clear()
        self._refused[key] = now
        try:
            await self.write([self.entry(by, what, pod=pod, outcome=Outcome.REFUSED, detail=detail)])
        except StoreFailure as failure:
            log.error("audit: a refusal of %r is not stored: %s", by.who, failure)

    async def ask(self, question: Question) -> list[Entry]:
        """Give the newest entries that fit, newest first. Raises StoreFailure."""
        return await self._desk.do(partial(self._desk.store.entries, question))

    async def trim(self) -> None:
        """Let go of what is too old. Raises StoreFailure."""
        await self._desk.do(partial(self._desk.store.trim_entries, self._now()))


def names(given: Iterable[str]) -> str:
    """Write names into a detail."""
    return ", ".join(sorted(given))
