"""Watches a program second by second: memory, descriptors and processor time of each of its processes."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from bench.process import Program, Reading

EVERY = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Sample:
    """What all processes of the program held at one moment, by name."""

    at: float  # seconds since the watch began
    phase: str
    processes: dict[str, Reading]


class Watch:
    """A thread that samples while the block runs. `phase` is what it writes beside each sample."""

    def __init__(self, program: Program, tell: Callable[[Sample], None]) -> None:
        self.phase = ""
        self.samples: list[Sample] = []
        self._program = program
        self._tell = tell
        self._names: dict[int, str] = {}
        self._began = time.monotonic()
        self._over = threading.Event()
        self._looking = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="watch")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def look(self) -> Sample:
        """Take a sample now."""
        with self._looking:
            readings = self._program.readings()
            processes = {self._name(pid): reading for pid, reading in readings.items()}
            sample = Sample(round(time.monotonic() - self._began, 3), self.phase, processes)
            self.samples.append(sample)
        return sample

    def _run(self) -> None:
        due = time.monotonic()
        while not self._over.wait(max(0.0, due - time.monotonic())):
            self._tell(self.look())
            due = max(due + EVERY, time.monotonic())

    def _name(self, pid: int) -> str:
        """Name a process when it is first seen; one that replaces another gets a name of its own."""
        if pid not in self._names:
            self._names[pid] = "supervisor" if not self._names else f"worker {len(self._names)}"
        return self._names[pid]
