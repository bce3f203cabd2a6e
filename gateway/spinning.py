"""When a loop should go on looking for events for a moment before it sleeps.

To be woken takes longer, and on virtual machines costs more, than to look a hundred times: where one client and one
upstream converse and nobody else does anything, not sleeping halves the time of an answer and costs no more cpu. With
more going on, or one side only, there is little to be gained and cpu to be lost. So it is worth it while two
descriptors take turns in having something to say, one at a time, as long as the next event mostly comes within `SPIN`.
"""

from collections.abc import Sequence

from gateway.waiting import READ

SPIN = 0.0001  # seconds of looking for the next event
SHORT = 2 * SPIN  # seconds of a sleep in place of which spinning might have met the event; being woken is part of them
MOST_TRUST = 8
MISS = 4  # trust lost by spinning in vain: where it always is, it is done one time in four


class Spinner:
    """Decides whether to spin. It only counts; looking, sleeping and the clock are its owner's."""

    __slots__ = ("_before", "_conversing", "_latest", "_trust")

    def __init__(self) -> None:
        self._conversing = False  # whether two descriptors take turns, these:
        self._latest = self._before = -1
        self._trust = 0

    def listen(self, events: Sequence[tuple[int, int]]) -> None:
        """Be told the events (descriptor, mask) that came at once."""
        descriptor, event = events[0] if len(events) == 1 else (-1, 0)
        self._conversing = event == READ and self._latest != descriptor == self._before
        self._before, self._latest = self._latest, descriptor

    def is_worth_it(self) -> bool:
        """Tell whether to spin before sleeping."""
        return self._conversing and self._trust > 0

    def met(self) -> None:
        """Be told that spinning has met an event."""
        if self._trust < MOST_TRUST:
            self._trust += 1

    def missed(self) -> None:
        """Be told that it has not."""
        self._trust -= MISS

    def slept(self, seconds: float) -> None:
        """Be told for how long an event was slept for."""
        if seconds >= SHORT:
            self._trust = min(self._trust, 0)
        elif self._trust <= 0:
            self._trust += 1
