"""The loop of a worker: one epoll in one thread, for everything that happens on descriptors.

Theory of operation. Each watched descriptor has a handler, called with its events. Handlers are for what is quick: the
relay's links, which move a batch at a time. What takes long, such as a handshake's arithmetic, is a `Task`: a coroutine
that waits for what `gateway.waiting` offers. A woken task is not run at once but queued, and of the queue each turn
of the loop takes `TURN` seconds' worth, so a crowd of new connections delays bytes of open ones by no more than that.
The other way round, every turn runs at least one task, however busy the links are.

A turn calls all handlers before it runs tasks and calls, and only these two open descriptors: so an event never
reaches the successor of a descriptor closed earlier in the turn.

A handler's interest in a descriptor stays until it is changed. A task's is for one event (EPOLLONESHOT): while it runs
nothing is looked for on its behalf, so it may close what it likes and tell nobody, and its next wait costs one system
call. What the kernel knows of a descriptor may therefore have ended with an earlier one of the same number.
"""

import collections
import contextlib
import heapq
import itertools
import logging
import os
import select
import threading
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from gateway.spinning import SPIN, Spinner
from gateway.waiting import READ, Cancelled, Expired, running, time_limit

log = logging.getLogger("podgate.loop")

Handler = Callable[[int], object]

EVENTS = 256  # taken from the kernel at once
TURN = 0.0005  # seconds of tasks before the links have their turn again
ONCE = select.EPOLLONESHOT
CROWD = 16  # queued tasks from which on no new ones are begun


class Loop:
    """Handlers, tasks and timers of one thread. `call`, `stop` and `start` may be used from any; nothing else may."""

    def __init__(self) -> None:
        self.now = time.monotonic()  # when this turn began
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._interest: dict[int, int] = {}  # by descriptor, as the kernel has it
        self._woken: collections.deque[Task] = collections.deque()
        self._tasks: set[Task] = set()
        self._timers: list[tuple[float, int, Timer]] = []  # a heap: when, its number, what
        self._cancelled = 0  # timers among these that wait for nothing any more
        self._numbers = itertools.count()
        self._calls: collections.deque[Callable[[], object]] = collections.deque()
        self._calling = threading.Lock()  # between `call` and the end of the loop
        self._wakeup = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stopped = False
        self.is_stopping = False  # nothing that takes time can be begun any more
        self._spinner = Spinner()
        self._after_handlers: Callable[[], object] = lambda: None
        self.handle(self._wakeup, lambda _events: os.eventfd_read(self._wakeup))
        self.watch(self._wakeup, READ)

    # ---- from any thread

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Have a function called in the loop; forgotten if the loop has ended."""
        with self._calling:
            if not self._stopped:
                self._calls.append(partial(function, *arguments))
                os.eventfd_write(self._wakeup, 1)

    def stop(self, last: Callable[[], object] = lambda: None) -> None:
        """End the tasks, call `last`, and end the loop."""
        self.call(self._stop, last)

    def start(self) -> threading.Thread:
        """Run the loop in a thread of its own."""
        thread = threading.Thread(target=self._run_or_end, name="loop")
        thread.start()
        return thread

    # ---- from the loop's own thread

    def handle(self, descriptor: int, handler: Handler) -> None:
        """Have `handler` called with the events that are looked for; it replaces the one there was."""
        self._handlers[descriptor] = handler

    def watch(self, descriptor: int, events: int) -> None:
        """Have `events` looked for until further notice; 0: none."""
        if events:
            self._tell_kernel(descriptor, events)
        elif self._interest.pop(descriptor, 0):  # EPOLLHUP and EPOLLERR would be reported even for an empty mask
            with contextlib.suppress(FileNotFoundError):  # it was an earlier one of that number
                self._epoll.unregister(descriptor)

    def watch_once(self, descriptor: int, events: int, handler: Handler) -> None:
        """Have `handler` called with the first of `events`."""
        self._handlers[descriptor] = handler
        self._tell_kernel(descriptor, events | ONCE)

    def forget(self, descriptor: int) -> None:
        """Drop what is known of a descriptor that is closed next, which ends the kernel's part of it."""
        self._interest.pop(descriptor, None)
        self._handlers.pop(descriptor, None)

    def _tell_kernel(self, descriptor: int, events: int) -> None:
        known, self._interest[descriptor] = self._interest.get(descriptor, 0), events
        if known:
            try:
                return self._epoll.modify(descriptor, events)
            except FileNotFoundError:
                pass  # that was an earlier one
        return self._epoll.register(descriptor, events)

    def spawn(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """Run a coroutine as a task, from a later point of this turn on."""
        task = Task(self, coroutine)
        self._tasks.add(task)
        task.wake()

    def after_handlers(self, function: Callable[[], object]) -> None:
        """Have a function called in each turn, between the handlers and the tasks."""
        self._after_handlers = function

    def after(self, seconds: float, function: Callable[[], object]) -> "Timer":
        """Have a function called once, after a time."""
        timer = Timer(function)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), timer))
        return timer

    def cancel(self, timer: "Timer") -> None:
        """Have it not called after all. What is cancelled never makes up more than half of the heap."""
        if timer.function is not None:
            timer.function = None
            self._cancelled += 1
            if self._cancelled * 2 > len(self._timers):
                self._timers = [kept for kept in self._timers if kept[2].function is not None]
                heapq.heapify(self._timers)
                self._cancelled = 0

    def cancel_tasks(self) -> None:
        """End all tasks where they wait."""
        for task in tuple(self._tasks):
            task.throw(Cancelled())

    @property
    def is_crowded(self) -> bool:
        """Whether so many tasks are queued that none should be begun."""
        return len(self._woken) >= CROWD

    # ---- for tasks

    def wake(self, task: "Task") -> None:
        """Queue a task."""
        self._woken.append(task)

    def finished(self, task: "Task") -> None:
        """Forget a task."""
        self._tasks.discard(task)

    # ---- the loop itself

    def _run_or_end(self) -> None:
        try:
            self.run()
        except BaseException:
            log.exception("loop: ended by a fault; this worker ends, and its supervisor makes another")
            logging.shutdown()
            os._exit(70)  # EX_SOFTWARE: without its loop a worker would only collect connections

    def run(self) -> None:
        """Run until `stop`."""
        handler_of, calls, woken = self._handlers.get, self._calls, self._woken
        while not self._stopped:
            events = self._wait()
            self._spinner.listen(events)
            self.now = now = time.monotonic()
            for descriptor, event in events:
                handler = handler_of(descriptor)
                if handler is not None:
                    handler(event)
            self._after_handlers()
            while calls:
                calls.popleft()()
            while self._timers and self._timers[0][0] <= now:
                self._ring(heapq.heappop(self._timers)[2])
            if woken:
                self._run_tasks()
        with self._calling:
            self._epoll.close()
            os.close(self._wakeup)

    def _wait(self) -> list[tuple[int, int]]:
        """Wait for events, for the next timer at the longest, and not at all while tasks are queued."""
        poll, spinner = self._epoll.poll, self._spinner
        if self._woken:
            return poll(0, EVENTS)
        if spinner.is_worth_it():
            until = time.monotonic() + SPIN
            while time.monotonic() < until:
                if events := poll(0, EVENTS):
                    spinner.met()
                    return events
                os.sched_yield()  # somebody else may have use for the processor
            spinner.missed()
        began = time.monotonic()
        patience = max(0, self._timers[0][0] - began) if self._timers else -1
        events = poll(patience, EVENTS)
        spinner.slept(time.monotonic() - began)
        return events

    def _run_tasks(self) -> None:
        until = time.monotonic() + TURN
        while self._woken:
            self._woken.popleft().step()
            if time.monotonic() >= until:
                return

    def _ring(self, timer: "Timer") -> None:
        function, timer.function = timer.function, None
        if function is None:
            self._cancelled -= 1
        else:
            function()

    def _stop(self, last: Callable[[], object]) -> None:
        self.is_stopping = True
        self.cancel_tasks()
        while self._woken:
            self._woken.popleft().step()
        last()
        self._stopped = True


class Timer:
    """A function that is to be called at some time."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[[], object]) -> None:
        self.function: Callable[[], object] | None = function  # None: called, or cancelled


class Task:
    """A coroutine under way."""

    __slots__ = ("_coroutine", "_error", "_loop", "_queued", "_waits", "_watched")

    def __init__(self, loop: Loop, coroutine: Coroutine[Any, Any, object]) -> None:
        self._loop = loop
        self._coroutine = coroutine
        self._error: BaseException | None = None  # to be thrown at the next step
        self._queued = False
        self._waits = 0  # counts them: a wake-up meant for an earlier wait is not taken for this one's
        self._watched = -1  # the descriptor it waits for

    def step(self) -> None:
        """Run on to the next wait, or to the end."""
        self._queued = False
        self._waits += 1
        error, self._error = self._error, None
        if error is not None and self._watched >= 0:  # it may not have been woken by the event it was to have
            self._loop.watch(self._watched, 0)
        self._watched = -1
        running.task = self
        try:
            if error is not None and self._waits == 1:  # not begun: only its own code lets go of things
                self._coroutine.send(None)
            arrange = self._coroutine.send(None) if error is None else self._coroutine.throw(error)
            arrange(self)
        except (StopIteration, Cancelled):
            self._loop.finished(self)
        except BaseException:
            self._loop.finished(self)
            log.exception("loop: fault in a task")

    def wake(self) -> None:
        """Go on soon."""
        if not self._queued:
            self._queued = True
            self._loop.wake(self)

    def throw(self, error: BaseException) -> None:
        """Go on soon, with an error."""
        self._error = error
        self.wake()

    # ---- what `gateway.waiting` arranges

    def watch(self, descriptor: int, events: int) -> None:
        """Wake when the descriptor has one of `events`."""
        self._watched = descriptor
        self._loop.watch_once(descriptor, events, self._event)

    def sleep(self, seconds: float) -> None:
        """Wake after a time."""
        self._loop.after(seconds, partial(self._wake_from, self._waits))

    def await_word(self, ask: Callable[[Callable[[], None]], None]) -> None:
        """Wake when the function given to `ask` is called, from whatever thread."""
        ask(partial(self._loop.call, self._wake_from, self._waits))

    def begin(self, limit: time_limit) -> Timer:
        """Begin a time limit."""
        return self._loop.after(limit.seconds, partial(self._expire, limit))

    def end(self, timer: Timer) -> None:
        """End a time limit."""
        self._loop.cancel(timer)

    def _event(self, _events: int) -> None:
        self._watched = -1
        self.wake()

    def _wake_from(self, wait: int) -> None:
        if self._waits == wait:
            self.wake()

    def _expire(self, limit: time_limit) -> None:
        if self._error is None:
            self.throw(Expired(limit))
        else:  # one thing at a time: an inner limit's end must not hide an outer one's
            limit.timer = self._loop.after(0, partial(self._expire, limit))
