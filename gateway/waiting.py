"""What an opening may wait for. It is written as one coroutine; `gateway.loop` drives it, and nothing else may be
awaited in it. Each awaitable here hands the loop a function that arranges for the task to be woken.
"""

import errno
import select
import socket
import threading
import types
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

if TYPE_CHECKING:
    from gateway.loop import Task, Timer

Arrange = Callable[["Task"], None]
Result = TypeVar("Result")
Waiting = Generator[Arrange, Any, Any]
MOST_THREADS = 64  # at work for openings at once, in this process
_threads = threading.BoundedSemaphore(MOST_THREADS)
READ, WRITE = select.EPOLLIN, select.EPOLLOUT
TROUBLE = select.EPOLLHUP | select.EPOLLERR


class _Running(threading.local):
    task: "Task"


running = _Running()  # the task this thread's loop is running, if it is


class TooSlow(Exception):
    """A time limit ran out."""


class Cancelled(BaseException):
    """The gateway ends what is being opened. Nobody but the loop catches this."""


@types.coroutine
def readable(connection: socket.socket) -> Waiting:
    """Wait until there is something to read, an end or an error included."""
    descriptor = connection.fileno()
    yield lambda task: task.watch(descriptor, READ)


@types.coroutine
def writable(connection: socket.socket) -> Waiting:
    """Wait until there is room to write, or an error."""
    descriptor = connection.fileno()
    yield lambda task: task.watch(descriptor, WRITE)


@types.coroutine
def pause(seconds: float) -> Waiting:
    """Wait for a time."""
    yield lambda task: task.sleep(seconds)


@types.coroutine
def told(ask: Callable[[Callable[[], None]], None]) -> Waiting:
    """Wait for somebody's word: `ask` is given a function that wakes the task and may be called from any thread."""
    yield lambda task: task.await_word(ask)


async def in_thread(work: Callable[[], Result]) -> Result:
    """Do blocking work in a thread of its own, which does not outlive the process.

    Raises what `work` raises, and OSError where `MOST_THREADS` are at work already: whoever waits may give up before
    its thread does.
    """
    done: list[Callable[[], Result]] = []

    def run(wake: Callable[[], None]) -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001  # raised again where it is waited for
            failure = error
            done.append(lambda: _raise(failure))
        else:
            done.append(lambda: result)
        _threads.release()
        wake()

    if not _threads.acquire(blocking=False):
        raise OSError(errno.EAGAIN, f"{MOST_THREADS} names are being looked up already, and none is answered")
    await told(lambda wake: threading.Thread(target=run, args=(wake,), daemon=True).start())
    return done[0]()


def _raise(error: Exception) -> NoReturn:
    raise error


class time_limit:  # noqa: N801  # used as a statement
    """`with time_limit(seconds):` raises TooSlow where what the block waits for took too long."""

    __slots__ = ("seconds", "task", "timer")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.task: Task
        self.timer: Timer

    def __enter__(self) -> None:
        self.task = running.task
        self.timer = self.task.begin(self)

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self.task.end(self.timer)
        if isinstance(error, Expired) and error.limit is self:
            raise TooSlow(f"not done within {self.seconds:g} s") from None


class Expired(BaseException):
    """Thrown into a task whose time limit ran out; on its way out of that block it becomes TooSlow."""

    def __init__(self, limit: time_limit) -> None:
        super().__init__(limit)
        self.limit = limit
