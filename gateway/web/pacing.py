"""Pacing: how many requests a caller may make in a time, by a bucket of tokens for each. One pacer a worker.

A bucket holds `burst` + 1 tokens at the most, gets `rate` a second, and each request takes one.
"""

from collections import OrderedDict
from dataclasses import dataclass

MOST_BUCKETS = 20_000  # of one worker; the one unused longest goes first, and would be full or nearly so


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float  # when it had so many


class Pacer:
    """Buckets by caller."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[tuple[str, str], _Bucket] = OrderedDict()

    def take(self, key: tuple[str, str], rate: float, burst: int, now: float) -> float:
        """Take one request; 0: it may be made, otherwise the seconds until one may. `now` is of a steady clock."""
        bucket = self._filled(key, rate, burst, now)
        if bucket.tokens >= 1.0:
            bucket.tokens -= 1.0
            return 0.0
        return (1.0 - bucket.tokens) / rate

    def wait(self, key: tuple[str, str], rate: float, burst: int, now: float) -> float:
        """Tell the same without taking any."""
        return max(0.0, 1.0 - self._filled(key, rate, burst, now).tokens) / rate if key in self._buckets else 0.0

    def charge(self, key: tuple[str, str], rate: float, burst: int, now: float) -> None:
        """Take one request that was made already; what is taken beyond the last token is owed, and delays the next."""
        self._filled(key, rate, burst, now).tokens -= 1.0

    def _filled(self, key: tuple[str, str], rate: float, burst: int, now: float) -> _Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(burst + 1.0, now)
            if len(self._buckets) > MOST_BUCKETS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        bucket.tokens = min(burst + 1.0, bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        return bucket
