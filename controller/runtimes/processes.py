"""Processes by number and start time, and those nobody minds any more, because a pod's shim was killed.

With its own user a pod cannot hide: what runs as that user is the pod's, unless it says that it is another home's (two
homes may have chosen the same users). Without one, its processes are those of our own user that say they are the pod's.
They say it by the variable POD_RUN in their environment, which names the pod's own directory.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

from controller.runtimes.shim import processes, stat_of

_INTERVAL = 0.02  # seconds between two rounds of killing


@contextmanager
def opened(known: tuple[int, int] | None) -> Iterator[int | None]:
    """Give a pidfd of the process that has this number and start time; None if it has ended, or is not known."""
    if known is None:
        yield None
        return
    pid, start = known
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    try:
        stat = stat_of(pid)  # after opening: if it began then, the descriptor is its own
        yield descriptor if stat is not None and stat[1] == start else None
    finally:
        os.close(descriptor)


async def end_leftovers(user: int | None, run: Path) -> None:
    """Kill what is left of a pod whose shim is gone, until nobody is left."""
    while found := [pid for pid in processes() if _belongs(pid, user, os.fsencode(run))]:
        for pid in found:
            _kill(pid)
        await trio.sleep(_INTERVAL)


def _belongs(pid: int, user: int | None, run: bytes) -> bool:
    """Tell whether a process is the pod's, and more than an entry that waits for its parent."""
    try:
        lines = Path(f"/proc/{pid}/status").read_bytes().splitlines()
        fields = {name: value.split() for name, _colon, value in (line.partition(b":") for line in lines)}
        if fields[b"State"][0] in b"ZX" or str(os.geteuid() if user is None else user).encode() not in fields[b"Uid"]:
            return False
        said = [entry for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if entry[:8] == b"POD_RUN="]
    except OSError:
        return False
    if said == [b"POD_RUN=" + run]:
        return True
    return user is not None and not any(_is_anothers(entry[8:], user, run) for entry in said)


def _is_anothers(said: bytes, user: int, run: bytes) -> bool:
    """Tell whether a variable a pod could have set itself names another home's pod: one only root could have made."""
    try:
        place, ours = Path(os.fsdecode(said)), Path(os.fsdecode(run))
        own, pod = place.lstat(), place.parent.lstat()
        is_ours = ours.exists() and place.samefile(ours)
    except (OSError, ValueError):
        return False
    made_by_root = pod.st_uid == 0 and not pod.st_mode & 0o022
    return place.name == "run" and made_by_root and own.st_uid == user and not is_ours


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
