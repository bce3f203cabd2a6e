"""How a replica stands: what its source is told of it, now and then while it changes and at once when it drains."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import httpx
import trio

TELL_PAUSE = 1.0  # seconds between two reports: people look at them, nothing waits for them
# Seconds after which even what did not change is told: a balancer that keeps a client with one of several controllers
# (`sessionAffinity` of Kubernetes) forgets it where it makes no connection for long, and reports would go to another
# than is followed.
TELL_ANYWAY = 600.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What changes while a replica serves."""

    workers: int  # that accept connections
    links: int
    openings: int
    draining: bool
    addresses: tuple[str, ...]  # HOST:PORT at which it listens

    def to_document(self) -> dict[str, Any]:
        """Give the JSON form."""
        return {**asdict(self), "addresses": list(self.addresses)}


class Told(Protocol):
    """Who is told."""

    async def tell(self, standing: Standing) -> None:
        """Take note. Raises OSError and httpx.HTTPError."""


class Reporter:
    """Tells a source how its replica stands."""

    def __init__(self, source: Told, look: Callable[[], Standing]) -> None:
        """`look` gives how it stands now."""
        self._source = source
        self._look = look
        self._told: Standing | None = None
        self._told_at = 0.0  # of trio's clock
        self._urgent = trio.Event()

    def tell_again(self) -> None:
        """Tell all of it once more: the source has forgotten, or never knew."""
        self._told = None

    def tell_now(self) -> None:
        """Do not wait until it is time."""
        self._urgent.set()

    async def run(self) -> None:
        """Tell what changes. A source that is away, or does not know the replica yet, is told another time."""
        while True:
            self._urgent = trio.Event()
            standing, now = self._look(), trio.current_time()
            if standing != self._told or now - self._told_at >= TELL_ANYWAY:
                self._told, self._told_at = standing, now
                try:
                    await self._source.tell(standing)
                except (OSError, httpx.HTTPError):
                    self._told = None
            with trio.move_on_after(TELL_PAUSE):
                await self._urgent.wait()
