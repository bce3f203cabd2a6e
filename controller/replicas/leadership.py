"""Who leads: the replica whose session holds an advisory lock of the database.

The lock goes with its session, and the session of a replica that is killed goes at once. One that is asleep or cut off
says nothing, and the server ends a session that says nothing for `SILENCE` seconds. The leader therefore says something
every second; an end of its connection it sees at once, for it waits for the socket in between.

That alone would not do: a leader that slept can go on in the middle of what it did before it knows that it was
followed. So it asks on that same session before each act of the runtime (`confirm`), and the store asks for its term.
"""

import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import psycopg
import trio
from sqlalchemy import URL

from controller.runtimes import Launch, Observed, Runtime, RuntimeFailure
from controller.store.database import StoreFailure
from controller.store.postgres import arguments, failure_of, name_of

LOCK = 0x706F646C656164  # `podlead`: of this database alone
BEAT = 1.0  # seconds between two words of a leader, and between two tries of the others
BEAT_LIMIT = 3.0  # seconds that the database may take to answer one
SILENCE = 5  # seconds without one after which the server ends the session

log = logging.getLogger("controller.leader")
_Connection = psycopg.Connection[tuple[object, ...]]


class Leadership:
    """Tries to lead, and does what a leader does for as long as it does lead."""

    def __init__(self, url: URL, begin_term: Callable[[], Awaitable[int]]) -> None:
        self._url = url
        self._begin_term = begin_term
        self._session: _Connection | None = None
        self._thread = trio.CapacityLimiter(1)
        self._failure = ""  # the last one that was told
        self.leads = False

    async def run(self, work: Callable[[], Awaitable[object]]) -> None:
        """Whenever this replica leads, do `work` from its beginning, until it leads no more; until cancelled."""
        try:
            while True:
                if await self._try():
                    await self._lead(work)
                await trio.sleep(BEAT)
        finally:
            await self._leave()

    async def confirm(self) -> None:
        """Ask whether this replica leads at this moment. Raises RuntimeFailure if not."""
        if not self.leads or not await self._beat():
            raise RuntimeFailure("this controller does not lead any more; the leader does what is to be done")

    async def _try(self) -> bool:
        try:
            with trio.fail_after(BEAT_LIMIT):
                return await self._in_thread(self._locked)
        except psycopg.Error as error:
            self._tell(str(failure_of(error, name_of(self._url))))
        except trio.TooSlowError:
            self._tell(f"{name_of(self._url)} does not answer in time")
        await self._leave()
        return False

    async def _lead(self, work: Callable[[], Awaitable[object]]) -> None:
        try:
            term = await self._begin_term()
            log.info("leader: this replica leads, in term %d", term)
            self.leads, self._failure = True, ""
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hold, nursery.cancel_scope)
                await work()
                nursery.cancel_scope.cancel()
        except* StoreFailure as failures:
            self._tell(str(failures.exceptions[0]))
        finally:
            await self._leave()
        log.warning("leader: this replica does not lead any more")

    async def _hold(self, leading: trio.CancelScope) -> None:
        """Say something every second, and see at once when nobody listens."""
        while self.leads and await self._beat():
            session = self._session
            if session is None:
                break
            with suppress(OSError, psycopg.Error), trio.move_on_after(BEAT):  # closed already: the next word tells
                await trio.lowlevel.wait_readable(session.fileno())  # nothing is to come but its end
        self.leads = False
        leading.cancel()

    async def _beat(self) -> bool:
        try:
            with trio.fail_after(BEAT_LIMIT):
                await self._in_thread(self._word)
        except (psycopg.Error, OSError, trio.TooSlowError):
            self.leads = False
            return False
        return True

    async def _in_thread(self, work: Callable[[], bool]) -> bool:
        return await trio.to_thread.run_sync(work, limiter=self._thread, abandon_on_cancel=True)

    def _locked(self) -> bool:
        if self._session is None or self._session.closed:
            self._session = connect(self._url, idle_session_timeout=f"{SILENCE}s")
        row = self._session.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,)).fetchone()
        return bool(row and row[0])

    def _word(self) -> bool:
        if self._session is None:
            raise psycopg.OperationalError("there is no session")
        self._session.execute("SELECT 1")
        return True

    async def _leave(self) -> None:
        """Give the session up, also one on which a thread waits for an answer."""
        session, self._session, self.leads = self._session, None, False
        if session is None:
            return
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(session.fileno())) as stream:
            stream.shutdown(socket.SHUT_RDWR)
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(session.close, limiter=self._thread)

    def _tell(self, failure: str) -> None:
        if failure != self._failure:
            log.warning("leader: this replica cannot lead now: %s", failure)
        self._failure = failure


class LedRuntime:
    """A runtime that only the leader drives; every replica may read logs. Each term begins with a new one."""

    def __init__(self, make: Callable[[], Runtime], confirm: Callable[[], Awaitable[None]]) -> None:
        self._make = make
        self._confirm = confirm
        self._runtime = make()

    def renew(self) -> None:
        """Forget what was seen in an earlier term."""
        self._runtime = self._make()

    async def run(self) -> None:
        """Watch the pods until cancelled."""
        await self._runtime.run()

    async def changed(self) -> None:
        """Wait until the answer of `observe` may have changed."""
        await self._runtime.changed()

    async def observe(self) -> Mapping[str, Observed]:
        """Tell of every pod that has anything here."""
        return await self._runtime.observe()

    async def launch(self, pod: Launch) -> None:
        """Start a pod. Raises RuntimeFailure."""
        await self._confirm()
        await self._runtime.launch(pod)

    async def stop(self, key: str, grace: float) -> None:
        """Ask a pod to end. Raises RuntimeFailure."""
        await self._confirm()
        await self._runtime.stop(key, grace)

    async def remove(self, key: str) -> None:
        """Forget an exited pod. Raises RuntimeFailure."""
        await self._confirm()
        await self._runtime.remove(key)

    def logs(self, key: str, tail: int, follow: bool) -> AsyncIterator[bytes]:
        """Give what a pod wrote."""
        return self._runtime.logs(key, tail, follow)


def connect(url: URL, **settings: object) -> _Connection:
    """Make a connection of our own to the store's server, each statement a transaction. Raises psycopg.Error."""
    facts: dict[str, Any] = url.translate_connect_args(username="user", database="dbname")
    return psycopg.connect(**{**url.query, **facts, **arguments(**settings)}, autocommit=True)
