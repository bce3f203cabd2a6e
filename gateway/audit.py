"""The audit trail: who connected to what, and who was told no. Each worker has one; it travels to the controller in
batches, by way of the supervisor (`gateway.delivery`).

Only callers who are known leave a trail, since everybody else could fill it; the log has those. Somebody who connects
to a pod again and again leaves one entry in `PAUSE`.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from gateway.errors import Refusal
from gateway.web.visit import Visit
from router.access import Principal
from router.model import Route

MOST_ENTRIES = 1000  # kept while nobody takes them; the oldest go first
LONGEST_DETAIL = 300  # characters
PAUSE = 60.0  # seconds
MOST_REMEMBERED = 10_000  # callers of whom it is known when they last left an entry


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
