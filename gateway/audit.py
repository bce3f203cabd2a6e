"""The audit trail: who connected to what, and who was told no. Each worker has one; it travels to the controller in
batches, by way of the supervisor.

Only callers who are known leave a trail, since everybody else could fill it; the log has those. Somebody who connects
to a pod again and again leaves one entry in `PAUSE`.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import httpx
import trio

from gateway.errors import Refusal
from gateway.web.visit import Visit
from router.access import Principal
from router.model import Route

log = logging.getLogger("podgate.supervisor")

MOST_ENTRIES = 1000  # kept while nobody takes them; the oldest go first
LONGEST_DETAIL = 300  # characters
PAUSE = 60.0  # seconds
MOST_REMEMBERED = 10_000  # callers of whom it is known when they last left an entry
MOST_TRAIL = 10_000  # entries kept for a source that is away
TRAIL_BATCH, TRAIL_PAUSE = 500, 5.0  # entries at once, and seconds until the next try


@dataclass(frozen=True, slots=True)
class Entry:
    """One event; `at` is in seconds since 1970, `pod` the pod's key."""

    at: float
    who: str
    what: str
    pod: str
    address: str
    outcome: str
    detail: str


class Trail:
    """Entries that wait to be taken. For the loop's thread, but for `take`."""

    def __init__(self, clock: Callable[[], float] = lambda: 0.0, news: Callable[[], object] = lambda: None) -> None:
        """`news` is called, in the loop's thread, when there is something to take."""
        self._entries: deque[Entry] = deque(maxlen=MOST_ENTRIES)
        self._seen: dict[tuple[str, str, str], float] = {}
        self._clock = clock
        self._news = news

    def allowed(self, visit: Visit, route: Route, principal: Principal | None) -> None:
        """Note that somebody known reached a pod."""
        if principal is not None:
            self._add(visit, route, principal, "allowed", principal.credential)

    def refused(self, visit: Visit, route: Route | None, principal: Principal | None, why: str) -> None:
        """Note that somebody known was told no."""
        if route is not None and principal is not None:
            self._add(visit, route, principal, "refused", why)

    @contextmanager
    def decision(self, visit: Visit, route: Route, principal: Principal | None) -> Iterator[None]:
        """Note what comes of the block: who gets a Refusal there was told no, who gets through it reached the pod."""
        try:
            yield
        except Refusal as refusal:
            self.refused(visit, route, principal, refusal.message)
            raise
        self.allowed(visit, route, principal)

    def _add(self, visit: Visit, route: Route, principal: Principal, outcome: str, detail: str) -> None:
        now, key = self._clock(), (str(principal), visit.host, outcome)
        if abs(now - self._seen.get(key, -PAUSE)) < PAUSE:
            return
        if len(self._seen) >= MOST_REMEMBERED:
            self._seen.clear()
        self._seen[key] = now
        what = f"connect to {visit.host} ({route.protocol})"
        self._entries.append(Entry(now, key[0], what, route.pod, visit.address, outcome, detail[:LONGEST_DETAIL]))
        self._news()

    def take(self) -> list[dict[str, Any]]:
        """Take what there is, oldest first, as documents."""
        taken = []
        while self._entries:
            taken.append(asdict(self._entries.popleft()))
        return taken


class Told(Protocol):
    """Who is told."""

    async def report(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Take note. Raises OSError and httpx.HTTPError."""


class Delivery:
    """The entries of all workers on their way to the source of the routes; while that is away the newest are kept."""

    def __init__(self, source: Told) -> None:
        self._source = source
        self._trail: deque[dict[str, Any]] = deque(maxlen=MOST_TRAIL)
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
                batch = [self._trail.popleft() for _ in range(min(len(self._trail), TRAIL_BATCH))]
                try:
                    await self._source.report(batch)
                except httpx.HTTPStatusError as error:  # it will not take these another time either
                    log.error("audit: %d entries are lost: %s", len(batch), error)
                except (OSError, httpx.HTTPError) as error:
                    log.warning("audit: %d entries could not be passed on yet: %s", len(batch), error)
                    self._trail.extendleft(reversed(batch))
                    await trio.sleep(TRAIL_PAUSE)
