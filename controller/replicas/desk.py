"""Turns at the store: whoever changes something first learns what other replicas changed, and nobody else changes
anything until that is done. In between, replicas are told of changes by the database, and look every few seconds too.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Self, TypeVar

import psycopg
import trio
from sqlalchemy import URL

from controller.desk import Desk
from controller.replicas.hearing import Session, hearing
from controller.store.database import StoreFailure
from controller.store.postgres import failure_of, name_of
from controller.store.store import News, Store

LOOK_EVERY = 2.0  # seconds, should a word of the database be lost
TURN_LIMIT = 10.0  # seconds that a change waits for those before it
ANSWER_LIMIT = 30.0  # seconds that the store may take for anything
TRY_AGAIN_AFTER = 1.0  # seconds after the database did not answer

_Answer = TypeVar("_Answer")
log = logging.getLogger("controller.replicas")


class SharedDesk(Desk):
    """Takes work to a store that other replicas write to."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.changing = _Turn(self)
        self.lock = trio.Lock()
        self.known = 0  # the number of the last change that memory has
        self.trouble = ""  # why memory does not follow the database now; empty: it does
        self._working_since: float | None = None
        self.learn: Callable[[News], None] = lambda _news: None  # told what others changed
        self.reached: Callable[[int], None] = lambda _number: None  # told how far memory is

    async def do(self, work: Callable[[], _Answer]) -> _Answer:
        """Do work with the store. Raises StoreFailure and whatever `work` raises."""

        def timed() -> _Answer:
            self._working_since = time.monotonic()
            try:
                return work()
            finally:
                self._working_since = None

        return await super().do(timed)

    async def guard(self) -> None:
        """Let work fail that takes too long, until cancelled: a server that is stopped keeps its connections open, and
        says nothing.
        """
        while True:
            await trio.sleep(ANSWER_LIMIT / 10)
            since = self._working_since
            if since is not None and time.monotonic() > since + ANSWER_LIMIT:
                self.store.cut()

    async def begin_turn(self) -> None:
        """Learn what others changed, and let nobody change anything. Raises StoreFailure."""
        self._take(await self.do(partial(self.store.begin, self.known)))

    async def end_turn(self) -> None:
        """Let others change things again; what was changed here is known here."""
        await self.do(self.store.end)
        self._reach(self.store.last)

    async def catch_up(self) -> None:
        """Learn what others changed. Raises StoreFailure."""
        async with self.lock:
            self._take(await self.do(partial(self.store.since, self.known)))

    def _take(self, news: News | None) -> None:
        if news is not None:
            self.known = min(self.known, news.state.number)  # lower: the store was put back from a copy
            self.learn(news)
            self._reach(news.state.number)

    def _reach(self, number: int) -> None:
        if number > self.known:
            self.known = number
            self.reached(number)


class _Turn:
    """`async with` it, a change is decided and made."""

    def __init__(self, desk: SharedDesk) -> None:
        self._desk = desk

    async def __aenter__(self) -> Self:
        with trio.move_on_after(TURN_LIMIT) as waiting:
            await self._desk.lock.acquire()
        if waiting.cancelled_caught:
            raise StoreFailure(f"store: {self._desk.store.name} is too slow for all that is to be changed; try again")
        try:
            await self._desk.begin_turn()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    async def _end(self) -> None:
        try:
            with trio.CancelScope(shield=True):
                await self._desk.end_turn()
        finally:
            self._desk.lock.release()


async def keep_up(
    desk: SharedDesk, url: URL, replica: str, first: Session, told: Callable[[], Awaitable[object]],
    pending: Callable[[], bool],
) -> None:  # fmt: skip
    """Learn what other replicas change when they do, until cancelled; `first` is the session to hear of it by. `told`
    is called whenever the database tells that something changed; while there is something `pending`, a change of
    nothing gives it a number.
    """
    hear = partial(trio.to_thread.run_sync, hearing, url, replica, abandon_on_cancel=True)
    while True:
        try:
            with first if not first.closed else await hear() as session:
                while True:
                    await desk.catch_up()
                    await told()
                    desk.trouble = ""
                    if pending():
                        async with desk.changing:
                            await desk.do(desk.store.tick)
                    await _word_of(session)
        except (psycopg.Error, StoreFailure) as error:
            failure = str(failure_of(error, name_of(url))) if isinstance(error, psycopg.Error) else str(error)
            if failure != desk.trouble:
                log.error("replicas: this one goes on with what it knows: %s", failure)
            desk.trouble = failure
        await trio.sleep(TRY_AGAIN_AFTER)


async def _word_of(session: Session) -> None:
    """Wait for a word of the database, or for the time to look without one. Raises psycopg.Error if it is gone."""
    with trio.move_on_after(LOOK_EVERY):
        await trio.lowlevel.wait_readable(session.fileno())
    session.pgconn.consume_input()
    while session.pgconn.notifies() is not None:
        pass
