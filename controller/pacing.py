"""Pacing: how soon a gateway is told what changed after it was told something. Pure.

What changes in between travels together: each piece costs the controller a write and an acknowledgement for every
gateway. So the pieces to all gateways have a rate; and who takes long to acknowledge one has as long again before the
next, whether that is a gateway or the controller itself, which then has the time for what it is behind with.
"""

import math
from dataclasses import dataclass

PIECES_A_SECOND = 200.0  # to all gateways together
LONGEST_GATHERING = 0.25  # seconds that a change waits for others, however many gateways there are


@dataclass(slots=True)
class Pace:
    """When a gateway was told last, and how long it took to acknowledge; times are of one clock, in seconds."""

    told_at: float = -math.inf
    took: float = 0.0
    owed: int = 0  # the version it was told last, until it acknowledges it

    def told(self, number: int, now: float) -> None:
        """Note that it is told a version now."""
        self.told_at, self.owed = now, number

    def acknowledged(self, number: int, now: float) -> None:
        """Note that it runs a version now."""
        if self.owed and number >= self.owed:
            self.took, self.owed = now - self.told_at, 0

    def due(self, now: float, gateways: int) -> float:
        """Give when it may be told more, by what is known now; `gateways`: how many are told."""
        took = now - self.told_at if self.owed else self.took
        return self.told_at + min(max(gateways / PIECES_A_SECOND, 2 * took), LONGEST_GATHERING)
