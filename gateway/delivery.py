"""Delivery: the audit trails of a replica's workers on their way from the supervisor to the source of its routes."""

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import httpx
import trio

log = logging.getLogger("podgate.supervisor")

MOST_ENTRIES = 10_000  # kept for a source that is away; the oldest go first
BATCH, PAUSE = 500, 5.0  # entries at once, and seconds until the next try


class Told(Protocol):
    """Who is told."""

    async def report(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Take note. Raises OSError and httpx.HTTPError."""


class Delivery:
    """The entries of all workers on their way to the source of the routes; while that is away the newest are kept."""

    def __init__(self, source: Told) -> None:
        self._source = source
        self._trail: deque[dict[str, Any]] = deque(maxlen=MOST_ENTRIES)
        self._trailed = trio.Event()

    def take(self, entries: list[dict[str, Any]]) -> None:
        """Take what a worker tells."""
        self._trail.extend(entries)
        self._trailed.set()

    async def run(self) -> None:
        """Pass on what comes."""
        while True:
            await self._trailed.wait()
            self._trailed = trio.Event()
            while self._trail:
                batch = [self._trail.popleft() for _ in range(min(len(self._trail), BATCH))]
                try:
                    await self._source.report(batch)
                except httpx.HTTPStatusError as error:  # it will not take these another time either
                    log.error("audit: %d entries are lost: %s", len(batch), error)
                except (OSError, httpx.HTTPError) as error:
                    log.warning("audit: %d entries could not be passed on yet: %s", len(batch), error)
                    self._trail.extendleft(reversed(batch))
                    await trio.sleep(PAUSE)
