"""The shim: the parent of one pod's processes, which outlives the controller that started it.

It runs by itself (`python -I -S shim.py`: small, and one file, since it finds nothing but the standard library) and is
told everything on its standard input, one JSON document, so that no secret is ever a process argument:

    directory   the pod's directory: log, log.1, shim.json, exit.json, stop.json stand here
    lock        a descriptor the controller locked and passed on: as long as it is locked, a shim is alive
    generation  goes into every record, so that a record of an earlier start is never taken for one of this
    steps       [{name, argv, env}]: run one after the other, each must end with status 0; the last is the pod itself
    user        the uid and gid the pod runs as, null: our own
    cwd, stop_signal, most_processes (null: no limit of ours)

Theory of operation. The process the controller starts forks, and its child is the shim proper: the first goes as soon
as the second has written shim.json, so a failed start is an exit status and a text on standard error, and the shim is
nobody's child to be waited for. The shim is a subreaper: whatever the pod forks, however it detaches, becomes its child
when its own parent dies. So "the pod has ended" means "no child is left", and only then exit.json is written. SIGTERM
means: read the time of grace from stop.json, send the stop signal to the pod's process group, and after the grace kill
all of the tree. When the first process dies by itself, what it left gets `LEFTOVER_TIME` and is then killed.
If the shim itself is killed, the kernel kills the pod's first process (PDEATHSIG); the controller looks for the rest.
"""

import ctypes
import errno
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator

LOG_LIMIT = 8 * 1024 * 1024  # bytes of one of the two log files; what is older is dropped
LEFTOVER_TIME = 1.0  # seconds: a Postgres backend that lost its postmaster needs milliseconds to notice
USUAL_GRACE = 10.0  # seconds, when stop.json cannot be read
KILL_INTERVAL = 0.05  # seconds between two rounds of killing: a tree may fork while it is being killed

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 36, 38  # linux/prctl.h
_libc = ctypes.CDLL(None, use_errno=True)


def stat_of(pid: int) -> tuple[int, int] | None:
    """Give a process's parent and start time (fields 4 and 22 of /proc/PID/stat); None if there is no such process."""
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except OSError:
        return None
    try:
        content = os.read(descriptor, 4096)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    fields = content[content.rindex(b")") + 2 :].split()  # the command before it may hold spaces and brackets
    return int(fields[1]), int(fields[19])


def processes() -> Iterator[int]:
    """Give the numbers of all processes there are."""
    with os.scandir("/proc") as entries:
        yield from (int(entry.name) for entry in entries if entry.name.isdigit())


def write_record(directory: int, name: str, content: object) -> None:
    """Replace a small JSON file in the open directory, so that after any crash it is whole: the old or the new one."""
    written = f".{name}.{os.getpid()}"
    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600, dir_fd=directory)
    try:
        data = json.dumps(content).encode()
        if os.write(descriptor, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(written, name, src_dir_fd=directory, dst_dir_fd=directory)
    os.fsync(directory)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


class Log:
    """What the pod writes: two files at most, the newer called log. Bytes that cannot be written are dropped."""

    def __init__(self, directory: int) -> None:
        self._directory = directory
        self._file = -1
        self._size = 0

    def write(self, data: bytes) -> None:
        """Append; a full disk must end neither the pod nor the shim."""
        try:
            if self._file < 0:
                self._open()
            while data:
                written = os.write(self._file, data)
                self._size += written
                data = data[written:]
            if self._size >= LOG_LIMIT:
                self._rotate()
        except OSError:
            return

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        self._file = os.open("log", flags, 0o600, dir_fd=self._directory)
        self._size = os.fstat(self._file).st_size

    def _rotate(self) -> None:
        os.replace("log", "log.1", src_dir_fd=self._directory, dst_dir_fd=self._directory)
        os.close(self._file)
        self._file = -1
        self._open()


class Shim:
    """Runs the steps, keeps the log, heeds SIGTERM, and leaves nobody behind."""

    def __init__(self, spec: dict[str, object], directory: int) -> None:
        self.spec = spec
        self.directory = directory
        self.log = Log(directory)
        self.first = 0  # the process of the current step
        self.alive = False
        self.status = 0  # how it ended, as wait tells
        self.stop_asked = False  # by a SIGTERM not yet heeded
        self.stopping = False
        self.deadline = float("inf")  # of the grace, monotonic
        self.output, self.pod_output = os.pipe2(os.O_CLOEXEC)
        self.wakes, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(self.output, False)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._ask_stop)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # whoever started us may have blocked what ends a pod

    def run(self, steps: list[dict[str, object]]) -> None:
        """Run the steps to their end and write down how it came."""
        if self._grace(None) is not None:  # asked to stop before we could be signalled
            signal.raise_signal(signal.SIGTERM)
        name: object = ""
        for step in steps:
            name = step["name"]
            self._run_step(step)
            self._end_tree()
            if self.status != 0 or self.stopping:
                break
        self._save_output()
        self._write_exit(name)

    def _run_step(self, step: dict[str, object]) -> None:
        self.first, self.alive = self._fork(step), True
        while self.alive:
            self._turn(self.deadline - time.monotonic())
            if time.monotonic() >= self.deadline:
                self._signal_tree(signal.SIGKILL)
                self.deadline = time.monotonic() + KILL_INTERVAL

    def _turn(self, timeout: float) -> None:
        """Wait for something to happen and deal with it."""
        select.select([self.wakes, self.output], [], [], max(0.0, min(timeout, 3600.0)))
        self._clear_wakes()
        self._save_output()
        if self.stop_asked:
            self._heed_stop()
        self._reap()

    def _clear_wakes(self) -> None:
        try:
            os.read(self.wakes, 4096)
        except BlockingIOError:
            return

    def _save_output(self) -> None:
        """Move what the pod wrote into the log, at most one log's worth before looking at anything else."""
        try:
            for _ in range(64):
                data = os.read(self.output, 65536)
                self.log.write(data)
        except BlockingIOError:
            return

    def _reap(self) -> bool:
        """Take in children that died; tell whether any is left."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return True
                if pid == self.first:
                    self.alive, self.status = False, status
        except ChildProcessError:
            return False

    def _ask_stop(self, *_: object) -> None:
        self.stop_asked = True

    def _heed_stop(self) -> None:
        self.stop_asked, self.stopping = False, True
        self.deadline = min(self.deadline, time.monotonic() + (self._grace(USUAL_GRACE) or 0.0))
        number = int(str(self.spec["stop_signal"]))
        if self.alive:
            try:
                os.killpg(self.first, number)
            except ProcessLookupError:  # forked this moment, and not yet the leader of its group
                os.kill(self.first, number)

    def _grace(self, otherwise: float | None) -> float | None:
        """Read the time of grace this start was given to end in."""
        try:
            descriptor = os.open("stop.json", os.O_RDONLY | os.O_NOFOLLOW, dir_fd=self.directory)
        except OSError:
            return otherwise
        with os.fdopen(descriptor, "rb") as file:
            content = json.load(file)
        return float(content["grace"]) if content["generation"] == self.spec["generation"] else otherwise

    def _end_tree(self) -> None:
        """End what the first process left behind: ask, give it a short time, then kill until nobody is left."""
        deadline = min(self.deadline, time.monotonic() + LEFTOVER_TIME)
        if self._reap():
            self._signal_tree(signal.SIGTERM)
        while self._reap():
            if time.monotonic() >= deadline:
                self._signal_tree(signal.SIGKILL)
                deadline = time.monotonic() + KILL_INTERVAL
            self._turn(deadline - time.monotonic())

    def _signal_tree(self, number: int) -> None:
        children: dict[int, list[int]] = {}
        for pid in processes():
            stat = stat_of(pid)
            if stat is not None:
                children.setdefault(stat[0], []).append(pid)
        waiting = children.get(os.getpid(), [])
        while waiting:
            pid = waiting.pop()
            waiting += children.get(pid, [])
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def _write_exit(self, step: object) -> None:
        status = self.status
        try:
            write_record(
                self.directory,
                "exit.json",
                {
                    "generation": self.spec["generation"],
                    "step": step,
                    "status": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
                    "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
                    "stopped": self.stopping,
                    "at": time.time(),
                },
            )
        except OSError as error:  # a full disk: the freed lock still tells that the pod has ended
            self.log.write(f"podgate: exit record: {error}\n".encode())

    def _fork(self, step: dict[str, object]) -> int:
        """Start a step's process; signals wait meanwhile, so that none is lost between fork and exec."""
        everything = signal.valid_signals()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, everything)
        shim = os.getpid()
        try:
            pid = os.fork()
            if pid == 0:
                self._become(shim, step)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pid

    def _become(self, shim: int, step: dict[str, object]) -> None:
        """Turn this forked process into the pod's; never returns."""
        try:
            os.setsid()
            self._take_descriptors()
            self._restrain()
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # after the change of user, which clears it
            if os.getppid() != shim:
                os._exit(127)
            os.chdir(str(self.spec["cwd"]))
            _default_signals()
            argv, env = step["argv"], step["env"]
            if isinstance(argv, list) and isinstance(env, dict):
                os.execve(argv[0], argv, env)
        except (OSError, ValueError) as error:
            os.write(2, f"podgate: start: {error}\n".encode())
        finally:
            os._exit(127)

    def _take_descriptors(self) -> None:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(self.pod_output, 1)
        os.dup2(self.pod_output, 2)
        os.closerange(3, 65536)

    def _restrain(self) -> None:
        """Give up what a pod does not need. No limit on address space: a JVM reserves far more than it uses."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        most = self.spec["most_processes"]
        if isinstance(most, int):
            resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
        user = self.spec["user"]
        if isinstance(user, int):
            os.fchown(1, user, user)  # so that the pod may open /dev/stdout and /dev/stderr
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        os.umask(0o077)


def _default_signals() -> None:
    """Undo what Python and we set, then let waiting signals in."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            signal.signal(number, signal.SIG_DFL)
        except OSError:  # kept by the C library for itself
            continue
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _serve(spec: dict[str, object], directory: int, started: Callable[[], None]) -> None:
    steps = spec.pop("steps")
    os.setsid()
    os.umask(0o077)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    shim = Shim(spec, directory)
    stat = stat_of(os.getpid())
    record = {"generation": spec["generation"], "pid": os.getpid(), "start": stat[1] if stat else 0}
    write_record(directory, "shim.json", record)
    started()
    if isinstance(steps, list):
        shim.run(steps)


def main() -> int:
    """Fork the shim proper, wait until it has written its record, and tell whether it has."""
    spec = json.load(sys.stdin.buffer)
    os.set_inheritable(spec["lock"], False)
    directory = os.open(spec["directory"], os.O_RDONLY | os.O_DIRECTORY)
    reads, writes = os.pipe2(os.O_CLOEXEC)
    if os.fork():
        os.close(writes)
        return 0 if os.read(reads, 1) else 1

    def started() -> None:
        os.write(writes, b"+")
        os.close(writes)
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)

    _serve(spec, directory, started)
    return 0


if __name__ == "__main__":
    sys.exit(main())
