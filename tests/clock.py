"""Time in a test's hand."""

from dataclasses import dataclass


@dataclass
class Clock:
    """A clock that stands until it is told; seconds."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now
