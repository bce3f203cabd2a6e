"""What is said of samples: the middle, the spread, the tail."""

import statistics
from collections.abc import Sequence


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def deviation(values: Sequence[float]) -> float:
    """The median of the absolute deviations from the median (MAD)."""
    middle = statistics.median(values)
    return statistics.median(abs(value - middle) for value in values)


def percentile(values: Sequence[float], share: float) -> float:
    """The least sample that `share` (0 to 1) of the samples do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
