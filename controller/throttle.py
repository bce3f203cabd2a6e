"""Throttle: after ten failures each further attempt waits, twice as long each time, for the address and for the name.

An attempt counts as a failure when it begins, so that many at once gain nothing; one that succeeds is taken back. What
is remembered is bounded: who has not failed for longest is forgotten first.
"""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from controller.identity import LOCAL, Throttled

FREE_FAILURES = 10
LONGEST_PAUSE = 300.0  # seconds
FORGOTTEN_AFTER = 3600.0  # seconds without a failure
MOST_REMEMBERED = 20_000


@dataclass(slots=True)
class _Failures:
    count: int
    last: float


class Throttle:
    """Counts failures by key, such as `address:…` and `user:…`."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def begin(self, keys: Iterable[str]) -> None:
        """Let an attempt begin and count it. Raises Throttled; it is not counted then."""
        now, keys = self._now(), list(keys)
        wait = max((self._wait(key, now) for key in keys), default=0.0)
        if wait > 0:
            raise Throttled(max(1.0, wait))
        for key in keys:
            failures = self._failures.pop(key, None) or _Failures(0, now)
            self._failures[key] = _Failures(failures.count + 1, now)
        while len(self._failures) > MOST_REMEMBERED:
            self._failures.popitem(last=False)

    def forgive(self, keys: Iterable[str], forget: Iterable[str] = ()) -> None:
        """Take an attempt back that succeeded, and forget all failures of `forget`."""
        for key in keys:
            if key in self._failures:
                self._failures[key].count -= 1
        for key in forget:
            self._failures.pop(key, None)

    def _wait(self, key: str, now: float) -> float:
        failures = self._failures.get(key)
        if failures is None or failures.count < FREE_FAILURES:
            return 0.0
        if now - failures.last > FORGOTTEN_AFTER:
            del self._failures[key]
            return 0.0
        pause = min(2.0 ** min(failures.count - FREE_FAILURES, 16), LONGEST_PAUSE)
        return min(failures.last + pause - now, pause)  # a clock that was set back makes no longer pause


def address_keys(address: str) -> list[str]:
    """Give the key of an address: IPv6 by its network, of which one subscriber has all; our own socket has none."""
    if address in ("", LOCAL):
        return []
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ["address:unknown"]
    if parsed.version == 6:
        return [f"address:{ipaddress.ip_network((parsed, 64), strict=False)}"]
    return [f"address:{parsed}"]
