"""Reading what a pod wrote while its shim goes on writing and rotating: log is the newer file, log.1 the older."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

import trio

_CHUNK = 65536  # bytes
_FOLLOW_INTERVAL = 0.1  # seconds between two looks for something new


async def read_log(directory: Path, tail: int, follow: bool) -> AsyncIterator[bytes]:
    """Give the last `tail` lines, then, if told to follow, what is written until the pod is removed."""
    files = [file for file in (_open(directory / "log.1"), _open(directory / "log")) if file is not None]
    current: BinaryIO | None = files[-1] if files else None
    try:
        for data in _last_lines(files, tail):
            yield data
        while follow and _exists(directory):
            if current is not None:
                while data := current.read(_CHUNK):
                    yield data
            successor = _successor(directory, current)
            if successor is None:
                await trio.sleep(_FOLLOW_INTERVAL)
                continue
            if current is not None:
                while data := current.read(_CHUNK):  # written between the last read and the rotation
                    yield data
            files.append(successor)
            current = successor
    finally:
        for file in files:
            file.close()


def _open(path: Path) -> BinaryIO | None:
    try:
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb", buffering=0)
    except FileNotFoundError:
        return None


def _successor(directory: Path, current: BinaryIO | None) -> BinaryIO | None:
    """Open the file that follows `current`; None if it is still the newest."""
    newest, older = _identity(directory / "log"), _identity(directory / "log.1")
    here = os.fstat(current.fileno()) if current is not None else None
    if newest is None or (here is not None and newest == (here.st_dev, here.st_ino)):
        return None
    missed = here is not None and older is not None and older != (here.st_dev, here.st_ino)
    return _open(directory / ("log.1" if missed else "log"))


def _exists(path: Path) -> bool:
    return path.exists()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _last_lines(files: list[BinaryIO], tail: int) -> Iterator[bytes]:
    """Give the last `tail` lines of the files taken as one, and leave each file at its end."""
    wanted, at_end = tail, True
    for file in reversed(files):
        wanted, at_end = _seek_lines(file, wanted, at_end)
    for file in files:
        while data := file.read(_CHUNK):
            yield data


def _seek_lines(file: BinaryIO, wanted: int, at_end: bool) -> tuple[int, bool]:
    """Go to where the last `wanted` lines begin; give how many begin before this file, and if its end is the end.

    A line begins after each newline but one at the very end, and a line may begin in one file and end in the next.
    """
    end = position = file.seek(0, os.SEEK_END)
    while wanted > 0 and position > 0:
        size = min(_CHUNK, position)
        position -= size
        file.seek(position)
        block = file.read(size)
        at = size
        while wanted > 0 and (at := block.rfind(b"\n", 0, at)) >= 0:
            if not (at_end and position + at + 1 == end):
                wanted -= 1
                if wanted == 0:
                    file.seek(position + at + 1)
                    return 0, False
    file.seek(position)
    return wanted, at_end and end == 0
