"""Lines of a log with the times that Kubernetes writes before them, and which of them were given. Pure.

A log is taken up again by a time, of which the API knows seconds only. So the lines of the last second, and of the one
before it since what a container writes in two ways may come out of order, come again: they are known by their times,
to a nanosecond. Where none of them does, the log has been replaced by a newer file, and what was between is gone.
"""

import re
from collections import Counter

LONGEST_LINE = 1024 * 1024  # bytes that are kept until their line ends; what is longer is given in pieces
MOST_TIMES = 50_000  # lines of a second that are known again; more of them would be repeated
_SECONDS = 2  # kept
_TIME = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,9})?(Z|[+-]\d\d:\d\d) ?")
MISSING = b"podgate: lines may be missing here: they were written while the log could not be read\n"


class Stamped:
    """One start of one container, as far as its log was given."""

    def __init__(self) -> None:
        self._times: dict[bytes, Counter[bytes]] = {}  # by second: of the lines that were given
        self._expected: Counter[bytes] = Counter()  # that come again
        self._met = True  # any of them
        self._rest = b""  # a line that has not ended
        self._inside = False  # of a line that is longer than any, whose beginning was dealt with
        self._wanted = True  # it is to be given

    def since(self) -> str | None:
        """Take it that the log is read anew; give the time from which, None if nothing of it was given."""
        self._rest, self._inside = b"", False
        self._expected = sum(self._times.values(), Counter())
        self._met = not self._expected
        return min(self._times).decode() if self._times else None

    def take(self, chunk: bytes) -> bytes:
        """Give what is new in what came, whole lines without their times."""
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        new = b"".join([self._new(line + b"\n") for line in whole])
        if len(self._rest) > LONGEST_LINE:
            new += self._new(self._rest)
            self._rest, self._inside = b"", True
        return new

    def end(self) -> bytes:
        """Give the last line, which has no end, of a log that has one."""
        rest, self._rest = self._rest, b""
        return self._new(rest) if rest else b""

    def _new(self, line: bytes) -> bytes:
        if self._inside:
            self._inside = not line.endswith(b"\n")
            return line if self._wanted else b""
        found, self._wanted = _TIME.match(line), True
        if found is None:
            return line
        time = found[0]
        if self._expected[time] > 0:
            self._expected[time] -= 1
            self._met, self._wanted = True, False
            return b""
        self._keep(found[1] + found[2], time)
        lost, self._met = not self._met, True
        return (MISSING if lost else b"") + line[found.end() :]

    def _keep(self, second: bytes, time: bytes) -> None:
        times = self._times.get(second)
        if times is None:
            if len(self._times) == _SECONDS:
                oldest = min(self._times)
                if second < oldest:
                    return
                del self._times[oldest]
            times = self._times[second] = Counter()
        if len(times) < MOST_TIMES:
            times[time] += 1
