"""Random early drop of new connections, as sshd has it (sshd_config(5), MaxStartups `start:rate:full`).

The more connections are in their opening, the likelier a new one is turned away at once: none below `start`, `rate`
percent of them at `start`, from there on rising evenly to all of them at `full`. Who is let in finds a short queue, and
who is not hears so before any work was done for them, on either side.
"""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger("podgate.server")

PAUSE = 10.0  # seconds between two log lines
MOST = 1_000_000  # openings that `start` and `full` may name: far more than any limit of descriptors
_FORM = re.compile(r"(\d{1,7}):(\d{1,3}):(\d{1,7})", re.ASCII)


@dataclass(frozen=True, slots=True)
class EarlyDrop:
    """From how many openings on, with which chance in percent, and from how many on for certain."""

    start: int
    rate: int
    full: int

    @classmethod
    def parse(cls, text: str) -> "EarlyDrop":
        """Read `START:RATE:FULL`. Raises ValueError."""
        parts = _FORM.fullmatch(text)
        start, rate, full = map(int, parts.groups()) if parts else (0, 0, 0)
        if not 1 <= start <= full <= MOST or not 1 <= rate <= 100:
            raise ValueError(
                f"early drop: {text!r} is not START:RATE:FULL, two counts of openings and between them a percentage, "
                f"with 1 <= START <= FULL and 1 <= RATE <= 100; sshd's own is 10:30:100"
            )
        return cls(start, rate, full)

    def chance(self, openings: int) -> float:
        """Give how likely (0 to 1) a new connection is dropped while there are so many openings."""
        if openings < self.start:
            return 0.0
        if openings >= self.full:
            return 1.0
        risen = (100 - self.rate) * (openings - self.start) / (self.full - self.start)
        return (self.rate + risen) / 100

    def drops(self, openings: int, dice: float) -> bool:
        """Decide for one connection; `dice` is evenly distributed in [0, 1)."""
        return dice < self.chance(openings)

    def __str__(self) -> str:
        return f"{self.start}:{self.rate}:{self.full}"


class Dropping:
    """Decides for each new connection of a worker, and says now and then in the log how many were dropped."""

    def __init__(self, rule: EarlyDrop, throw: Callable[[], float]) -> None:
        """`throw` gives the dice."""
        self.dropped = 0
        self._rule = rule
        self._throw = throw
        self._seen = 0  # connections since the last line
        self._untold = 0  # of them dropped
        self._told = -PAUSE

    def drops(self, openings: int, now: float) -> bool:
        """Decide, count, and tell if it is time; `now` is of a clock that never goes back."""
        drop = self._rule.drops(openings, self._throw())
        self._seen += 1
        self.dropped += drop
        self._untold += drop
        if self._untold and now - self._told >= PAUSE:
            self._told = now
            self.tell(openings)
        return drop

    def tell(self, openings: int) -> None:
        """Say what was not said yet."""
        if self._untold:
            text = "early drop (%s): %d of %d new connections were dropped, %d are in their opening"
            log.warning(text, self._rule, self._untold, self._seen, openings)
        self._seen = self._untold = 0
