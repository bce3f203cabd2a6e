"""A timing wheel: many things that are each to be looked at in some second, at a constant cost for each."""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from gateway.loop import Loop

TURN = 1.0  # seconds


class Due(Protocol):
    """What can be put on a wheel."""

    due: int  # its place, kept by the wheel; 0: not on it


Item = TypeVar("Item", bound=Due)


class Wheel(Generic[Item]):
    """Has a function called with each item when its second has come; an item has one place at most."""

    def __init__(self, loop: Loop, look: Callable[[Item], None]) -> None:
        self._loop = loop
        self._look = look
        self._places: dict[int, set[Item]] = {}  # by the second of the loop's clock
        self._turned = 0  # up to this second everything was looked at
        self._turning = False

    def put(self, item: Item, when: float) -> None:
        """Have `item` looked at within two seconds after `when` (of the loop's clock) instead of whenever before."""
        self.drop(item)
        if not self._turning:
            self._turning, self._turned = True, int(self._loop.now)
            self._loop.after(TURN, self._turn)
        item.due = max(int(when), self._turned) + 1
        self._places.setdefault(item.due, set()).add(item)

    def drop(self, item: Item) -> None:
        """Forget an item, and let go of it."""
        place = self._places.get(item.due)
        if place is not None:
            place.discard(item)
            if not place:
                del self._places[item.due]
        item.due = 0

    def _turn(self) -> None:
        now = int(self._loop.now)
        for second in range(self._turned + 1, now + 1):
            place = self._places.get(second, ())
            while place:
                item = place.pop()
                item.due = 0
                self._look(item)
            self._places.pop(second, None)
        self._turned = now
        self._turning = bool(self._places)
        if self._turning:
            self._loop.after(TURN, self._turn)
