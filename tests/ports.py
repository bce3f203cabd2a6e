"""Ports of loopback for programs that have to be told theirs.

A port that the kernel chose and took back may be somebody else's a moment later: the tests run in two halves side by
side, and each asks the kernel for thousands. So ours are of another range than the kernel's, which begins at 32768, and
a lock on one byte of a file claims each of them for as long as this process lives.
"""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

FIRST, LAST = 11_000, 20_000  # no browser avoids any of them, and the benchmarks' begin where they end


class Ports:
    """The ports that are given out here, each once."""

    def __init__(self) -> None:
        self._claims = os.open(
            Path(tempfile.gettempdir()) / f"podgate-ports-{os.geteuid()}", os.O_RDWR | os.O_CREAT, 0o600
        )
        self._last = random.randrange(FIRST, LAST)

    def give(self) -> int:
        """Give the next port that nobody has. Raises OSError when there is none."""
        for _ in range(FIRST, LAST):
            self._last = self._last + 1 if self._last + 1 < LAST else FIRST
            if self._claim(self._last) and _is_free(self._last):
                return self._last
        raise OSError(f"no free port between {FIRST} and {LAST}")

    def _claim(self, port: int) -> bool:
        try:
            fcntl.lockf(self._claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False  # another process has
        return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


free_port = Ports().give
