"""Latencies as the load programs tell them: quantiles in microseconds at fixed probabilities."""

from collections.abc import Sequence

# The same list as print_quantiles in load/load.h and as load/quantiles.lua.
PROBABILITIES = (*(i / 100 for i in range(100)), *(0.99 + i / 1000 for i in range(1, 10)), 0.9999, 1.0)

P50 = PROBABILITIES.index(0.5)
P90 = PROBABILITIES.index(0.9)
P99 = PROBABILITIES.index(0.99)


def quantiles(values: Sequence[float]) -> list[float]:
    """Give the quantiles of samples at those probabilities."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return [round(ordered[min(last, int(share * len(ordered)))], 2) for share in PROBABILITIES]
