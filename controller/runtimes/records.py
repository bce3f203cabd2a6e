"""A pod's directory, and the records in it from which a controller knows, after any crash, what is.

    pods/<key>/
        lock        locked as long as a shim is alive, whether or not it has written anything yet
        pod.json    the last launch: generation, number, upstreams, how to probe; written before its shim is started
        shim.json   written by the shim as its first act: its pid and start time
        ready.json  written when the pod answered its protocol
        stop.json   written when the pod was asked to end
        exit.json   written by the shim as its last act
        log, log.1  what the pod wrote
        template/   the template's files as they were at the last launch
        data/       the pod's own, kept until it is removed
        run/        the pod's own, emptied at each launch: sockets, temporary secrets

Every record names its generation; one of another generation is not there.
"""

import fcntl
import json
import os
import secrets
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from controller.runtimes import Observed, Stage
from controller.runtimes.readiness import Check
from controller.runtimes.shim import LOG_LIMIT, write_record

# struct flock (fcntl(2)): type, whence, start, length, pid. Locks of the open file description pass to a child with it.
_FLOCK = "hhqqi4x"
_WHOLE_FILE = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
_TAIL = 4096  # bytes of the log looked at for its last line
_LONGEST_LINE = 300  # characters of it shown


@dataclass(frozen=True, slots=True)
class Launched:
    """What pod.json holds."""

    generation: int
    number: int
    at: float
    user: int | None  # the uid its processes run as, if not our own
    ports: tuple[int, ...] = ()
    upstreams: dict[str, str] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()


class PodDirectory:
    """The directory of one pod. Nothing here waits or keeps anything in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.key = path.name
        self.data = path / "data"
        self.run = path / "run"
        self.template = path / "template"

    def launched(self) -> Launched | None:
        """Read the last launch; None if there never was one."""
        content = self._read("pod.json")
        if content is None:
            return None
        try:
            checks = tuple(Check(**item) for item in content.pop("checks"))
            return Launched(**{**content, "ports": tuple(content["ports"]), "checks": checks})
        except (KeyError, TypeError):  # of another version, or damaged: one pod's trouble, not everybody's
            return None

    def shim(self, generation: int) -> tuple[int, int] | None:
        """Read the shim's pid and start time."""
        content = self._record("shim.json", generation)
        return (content["pid"], content["start"]) if content else None

    def write(self, name: str, generation: int, **content: object) -> None:
        """Write one of our own records."""
        with self._opened() as directory:
            write_record(directory, name, {"generation": generation, **content})

    def write_launched(self, launched: Launched) -> None:
        """Write pod.json."""
        with self._opened() as directory:
            write_record(directory, "pod.json", asdict(launched))

    def write_log(self, data: bytes) -> None:
        """Add to the log why no shim was started, which else writes it, within the limit the shim keeps."""
        descriptor = os.open(self.path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "ab", buffering=0) as log:
            if log.tell() < LOG_LIMIT:
                log.write(data)

    def lock(self) -> int | None:
        """Lock the pod for a new shim and give the descriptor to pass on; None if a shim is alive."""
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _WHOLE_FILE)
        except (BlockingIOError, PermissionError):  # either, says fcntl(2)
            os.close(descriptor)
            return None
        return descriptor

    def alive(self) -> bool:
        """Tell whether a shim is alive, without touching its lock."""
        try:
            descriptor = os.open(self.path / "lock", os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        try:
            found = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _WHOLE_FILE)
        finally:
            os.close(descriptor)
        kind: int = struct.unpack(_FLOCK, found)[0]
        return kind != fcntl.F_UNLCK

    def make(self, user: int | None) -> None:
        """Make what a pod needs to start; `data` and `run` for its own user alone, who may pass through the rest."""
        self.path.mkdir(mode=0o711, parents=True, exist_ok=True)
        self.path.chmod(0o711)
        if self.run.exists():
            remove_tree(self.run)
        for directory in (self.data, self.run):
            directory.mkdir(mode=0o700, exist_ok=True)
            if user is not None:
                os.chown(directory, user, user, follow_symlinks=False)

    def started(self, generation: int) -> bool:
        """Tell whether a shim was ever started for this generation."""
        return self._record("shim.json", generation) is not None

    def ended(self, generation: int) -> bool:
        """Tell whether the shim of this generation left an exit record: then it left nobody behind."""
        return self._record("exit.json", generation) is not None

    def observe(self, launched: Launched | None) -> Observed:
        """Tell how the pod is now."""
        if launched is None:
            return Observed(Stage.EXITED, 0, self.path.stat().st_mtime, message="was never started")
        if not self.alive():
            return self._observe_exited(launched)
        for name, stage in (("stop.json", Stage.STOPPING), ("ready.json", Stage.READY)):
            record = self._record(name, launched.generation)
            if record is not None:
                return Observed(stage, launched.generation, record["at"], launched.upstreams)
        waits = " and ".join(sorted({check.protocol for check in launched.checks}))
        message = f"waits until it answers by {waits}"
        return Observed(Stage.STARTING, launched.generation, launched.at, launched.upstreams, message)

    def _observe_exited(self, launched: Launched) -> Observed:
        generation, at = launched.generation, launched.at
        record = self._record("exit.json", generation)
        if record is not None:
            message, at = "stopped" if record["stopped"] else self._reason(record), record["at"]
        elif self._record("stop.json", generation) is not None:
            message = "stopped"
        elif self.started(generation):
            message = "its shim was killed, or the machine was restarted"
        else:  # its controller died before there was one, or told why not: this generation is still to be started
            generation, message = 0, "its shim was not started"
        return Observed(Stage.EXITED, generation, at, launched.upstreams, message)

    def _reason(self, record: dict[str, Any]) -> str:
        step = "" if record["step"] == "start" else f"{record['step']}: "
        how = f"killed by signal {record['signal']}" if record["signal"] else f"exit status {record['status']}"
        line = self._last_line()
        return f"{step}{how}: {line}" if line else f"{step}{how}"

    def _last_line(self) -> str:
        try:
            descriptor = os.open(self.path / "log", os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return ""
        with os.fdopen(descriptor, "rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL))
            lines = [line.strip() for line in log.read(_TAIL).decode(errors="replace").splitlines()]
        last = next((line for line in reversed(lines) if line), "")
        return "".join(letter for letter in last if letter.isprintable())[:_LONGEST_LINE]

    def _record(self, name: str, generation: int) -> dict[str, Any] | None:
        content = self._read(name)
        return content if content is not None and content.get("generation") == generation else None

    def _read(self, name: str) -> dict[str, Any] | None:
        """Read a record; one that cannot be read is not there (they are replaced whole, so it is not ours)."""
        try:
            content = json.loads((self.path / name).read_bytes())
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    @contextmanager
    def _opened(self) -> Iterator[int]:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def remove_tree(path: Path) -> None:
    """Remove a directory and all in it, also where its owner took the right to write away; links are not followed.

    However deep it is: directories found are moved to the top and emptied there, so that neither the stack, nor open
    files, nor a path grow with what a pod made. Raises OSError.
    """
    top = _opened_to_empty(path, None)
    try:
        moved = _emptied(top, top)
        while moved:
            name = moved.pop()
            directory = _opened_to_empty(name, top)
            try:
                moved += _emptied(directory, top)
            finally:
                os.close(directory)
            os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    path.rmdir()


def _emptied(directory: int, top: int) -> list[str]:
    """Delete the files of an open directory and move its directories to `top`; give their names there."""
    moved = []
    with os.scandir(directory) as found:
        entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
    for name, is_directory in entries:
        if is_directory:
            moved.append(f".removing-{secrets.token_hex(12)}")
            _own(name, directory)
            os.rename(name, moved[-1], src_dir_fd=directory, dst_dir_fd=top)
        else:
            os.unlink(name, dir_fd=directory)
    return moved


def _own(name: str, directory: int) -> None:
    """Let ourselves move a directory, which needs the right to write it; root has that anyway."""
    if os.geteuid() != 0:
        os.chmod(name, 0o700, dir_fd=directory)


def _opened_to_empty(name: Path | str, directory: int | None) -> int:
    if isinstance(name, Path) and os.geteuid() != 0:
        name.chmod(0o700)
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
