"""What a backend adds to a query: the median of its differences to *direct* in the same round, and its standard error.

This is the one definition for every table and picture. The machine is faster in some minutes than in others, which
medians of all rounds take for a difference of backends; a round asks them all within one such time.

Medians of differences need not add up: that of Podgate to a peer may have another sign than what the two add makes
one expect. Then there is nothing to tell, and the verdict is *level*. Verdicts are made of figures rounded as the page
shows them, so that whoever reads it comes to the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from bench.paper.backends import PROXIES
from bench.peers.all import DIRECT
from bench.record import Question, Record
from bench.samples import deviation, median
from bench.targets import PODGATE

FEWEST = 5  # rounds, from which on two backends are compared
LIMIT = 2  # standard errors, within which a difference is none
MET, LEVEL, MISSED, TOO_FEW = "met", "level", "**missed**", "too few runs"


@dataclass(frozen=True, slots=True)
class Difference:
    """How much longer one backend took than another in the same round, in seconds, rounded as it is shown."""

    middle: float
    error: float | None  # None: of too few rounds to be known


@dataclass(frozen=True, slots=True)
class Comparison:
    """Podgate beside the best peer: who adds least of the others."""

    peer: str
    ours: Difference  # to direct
    theirs: Difference  # to direct
    apart: Difference  # Podgate's to the peer

    @property
    def verdict(self) -> str:
        """Whether Podgate adds no more."""
        middle, error = self.apart.middle, self.apart.error
        if error is None:
            return TOO_FEW
        over = self.ours.middle - self.theirs.middle
        if middle <= 0 and over <= 0:
            return MET
        return MISSED if middle > LIMIT * error and over > 0 else LEVEL


def difference(record: Record, asked: Question, name: str, other: str) -> Difference | None:
    """Compare two backends round by round; None if they had no round together."""
    both = zip(record.values(asked, name), record.values(asked, other), strict=False)  # one may have failed later
    found = [round(one - another, 9) for one, another in both]  # to what the clock can tell
    if not found:
        return None
    return Difference(_shown(median(found)), _shown(_uncertainty(found)) if len(found) >= FEWEST else None)


def added(record: Record, asked: Question, name: str) -> Difference | None:
    """Give what a backend adds; None for direct itself, and where direct was not asked."""
    return None if name == DIRECT else difference(record, asked, name, DIRECT)


def compared(record: Record, asked: Question) -> Comparison | None:
    """Compare Podgate with the best of the other proxies; None if there is nothing to compare."""
    found = {name: one for name in PROXIES if (one := added(record, asked, name))}
    ours = found.pop(PODGATE, None)
    if ours is None or not found:
        return None
    best = min(found, key=lambda name: found[name].middle)
    apart = difference(record, asked, PODGATE, best)
    return Comparison(best, ours, found[best], apart) if apart else None


def _uncertainty(values: Sequence[float]) -> float:
    """Give the standard error of a median: 1.2533 sigma / sqrt(n), and 1.4826 MAD estimates sigma."""
    return 1.4826 * 1.2533 * deviation(values) / sqrt(len(values))


def _shown(value: float) -> float:
    return float(f"{value:.3g}")
