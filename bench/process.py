"""A program under test: started fresh on its core, its clock and memory read from the kernel, and stopped again."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STOPPING = 10.0  # seconds a program gets to end by itself
BETWEEN = 0.05  # seconds between two questions whether it serves


class Died(Exception):
    """A program ended before it was told to; the text says which, and the last it said."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the kernel says of one process at one moment."""

    memory: int  # KiB (PSS)
    descriptors: int
    cpu: float  # seconds so far


@dataclass(frozen=True, slots=True)
class Program:
    """A running program with all its processes: masters and supervisors count like workers."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def cpu_seconds(self) -> float:
        """Processor time used so far by all its processes and threads, to the nanosecond, ended threads included."""
        return sum(time.clock_gettime_ns(_process_clock(pid)) for pid in self._family()) / 1e9

    def resident_kib(self) -> int:
        """Give the memory that belongs to its processes alone or is shared among them (PSS)."""
        return sum(_pss_kib(pid) for pid in self._family())

    def descriptors(self) -> dict[int, int]:
        """Count the open descriptors of each of its processes."""
        return {pid: _descriptors(pid) for pid in self._family()}

    def readings(self) -> dict[int, Reading]:
        """Read all its processes, in the order they were started; one that ends meanwhile is left out."""
        found = {}
        for pid in self._family():
            try:
                cpu = time.clock_gettime_ns(_process_clock(pid)) / 1e9
                found[pid] = Reading(_pss_kib(pid), _descriptors(pid), cpu)
            except OSError:
                continue  # it is ending
        return found

    def check(self) -> None:
        """Raise Died if it ended."""
        if self.process.poll() is not None:
            raise Died(f"ended with status {self.process.returncode}: {last_words(self.log)}")

    def comes_to(self, serve: Callable[[], bool], patience: float) -> bool:
        """Ask whether it serves until it does, or that takes too long: a program of others tells nobody. Raises Died as
        soon as it ends.
        """
        self.check()
        deadline = time.monotonic() + patience
        with _end_of(self.process.pid) as end:
            while not serve():
                if end.poll(BETWEEN * 1000):
                    self.process.wait()
                self.check()
                if time.monotonic() > deadline:
                    return False
        return True

    def _family(self) -> list[int]:
        children = _children()
        found = [self.process.pid]
        for pid in found:
            found += sorted(children.get(pid, ()))
        return found


@contextmanager
def _end_of(pid: int) -> Iterator[select.poll]:
    """Give what waits for the end of a child, which need not be waited for otherwise."""
    descriptor = os.pidfd_open(pid)
    try:
        end = select.poll()
        end.register(descriptor, select.POLLIN)
        yield end
    finally:
        os.close(descriptor)


@contextmanager
def running(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Iterator[Program]:
    """Run a program in a session of its own while the block runs; nothing of it is left afterwards."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
            cwd=log.parent,
            start_new_session=True,
        )
    program = Program(process, log)
    try:
        yield program
    finally:
        _stop(process)


def last_words(log: Path) -> str:
    """Give the last line of a log that says something."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOPPING)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    try:
        os.killpg(process.pid, signal.SIGKILL)  # its own session: whatever it left behind
    except ProcessLookupError:
        return  # nothing was left


def _process_clock(pid: int) -> int:
    """Give the id of a process's processor clock (linux/include/linux/posix-timers_types.h: CPUCLOCK_SCHED)."""
    return (~pid << 3) | 2


def _children() -> dict[int, list[int]]:
    """Give every process's children: the parent is the second field after the name in stat (proc(5))."""
    found: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        found.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    return found


def _descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def _pss_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0
