"""Who leads: the replica whose session holds an advisory lock of the database.

The lock goes with its session, and the session of a replica that is killed goes at once. One that is asleep or cut off
says nothing, and the server ends a session that says nothing for `SILENCE` seconds. The leader therefore says something
every second; an end of its connection it sees at once, for it waits for the socket in between.

That alone would not do: a leader that slept can go on in the middle of what it did before it knows that it was
followed. So it asks on that same session before each act (`confirm`), and the store asks for its term.

A term begins on that session too: whoever lost the lock in the meantime cannot begin one, and put an end to that of who
has it. Each word asks for the term, so that a leader whose store was exchanged for another begins anew.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from typing import TypeVar

import psycopg
import trio
from sqlalchemy import URL

from controller.keeping import Keeper
from controller.model import Pod
from controller.rolekeeper import KeepFailed, Kept
from controller.runtimes import Launch, Observed, Runtime, RuntimeFailure
from controller.store.database import StoreFailure
from controller.store.postgres import LOCK_LIMIT, connect, cut, failure_of, name_of
from controller.store.turns import BEGIN_TERM, CHANNEL, LEADER_LOCK, SAME_TERM
from controller.templates import Template

BEAT = 1.0  # seconds between two words of a leader, and between two tries of the others
BEAT_LIMIT = 3.0  # seconds that the database may take to answer one
TERM_LIMIT = LOCK_LIMIT + BEAT_LIMIT  # seconds until a term begins: somebody may be in the middle of a change
SILENCE = 5  # seconds without one after which the server ends the session

log = logging.getLogger("controller.leader")
_Connection = psycopg.Connection[tuple[object, ...]]
_Answer = TypeVar("_Answer")


class Leadership:
    """Tries to lead, and does what a leader does for as long as it does lead."""

    def __init__(
        self,
        url: URL,
        replica: str,
        changing: AbstractAsyncContextManager[object],
        began: Callable[[int], None],
        place: str = "",
    ) -> None:
        """`changing` is held while a term begins, for that would wait for a change of our own in vain; `began` is told
        its number; `place` is where this replica runs pods: it leads if that is where they are.
        """
        self._url = url
        self._replica = replica
        self._place = place
        self._changing = changing
        self._began = began
        self._term = 0
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
        """Take the lock and begin a term, if nobody else leads."""
        try:
            with trio.fail_after(BEAT_LIMIT):
                if not await self._in_thread(self._locked):
                    return False
            with trio.fail_after(TERM_LIMIT):
                async with self._changing:
                    self._term = await self._in_thread(self._begun)
            if self._term:
                return True
            self._tell(f"pods of {name_of(self._url)} run elsewhere by now; end this replica")
        except psycopg.Error as error:
            self._tell(str(failure_of(error, name_of(self._url))))
        except trio.TooSlowError:
            self._tell(f"{name_of(self._url)} does not answer in time")
        await self._leave()
        return False

    async def _lead(self, work: Callable[[], Awaitable[object]]) -> None:
        try:
            self._began(self._term)
            log.info("leader: this replica leads, in term %d", self._term)
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
                self.leads = await self._in_thread(self._word) and self.leads
        except (psycopg.Error, OSError, trio.TooSlowError):
            self.leads = False
        return self.leads

    async def _in_thread(self, work: Callable[[], _Answer]) -> _Answer:
        return await trio.to_thread.run_sync(work, limiter=self._thread, abandon_on_cancel=True)

    def _locked(self) -> bool:
        if self._session is None or self._session.closed:
            self._session = connect(self._url, idle_session_timeout=f"{SILENCE}s")
        row = self._session.execute("SELECT pg_try_advisory_lock(%s)", (LEADER_LOCK,)).fetchone()
        return bool(row and row[0])

    def _begun(self) -> int:
        """Begin a term and give its number; 0 if pods run elsewhere."""
        (term, _told) = self._ask(BEGIN_TERM, (self._replica, self._place, CHANNEL)) or (0, None)
        return int(str(term))

    def _word(self) -> bool:
        return self._ask(SAME_TERM, (self._term, self._replica)) is not None

    def _ask(self, question: str, facts: tuple[object, ...]) -> tuple[object, ...] | None:
        if self._session is None:
            raise psycopg.OperationalError("there is no session")
        return self._session.execute(question.encode(), facts).fetchone()

    async def _leave(self) -> None:
        """Give the session up, also one on which a thread waits for an answer."""
        session, self._session, self.leads = self._session, None, False
        if session is None:
            return
        cut(session)
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

    async def changed(self) -> Collection[str] | None:
        """Wait until the answer of `observe` may have changed; give the keys of the pods of which it may."""
        return await self._runtime.changed()

    async def observe(self, keys: Collection[str] | None = None) -> Mapping[str, Observed]:
        """Tell of every pod that has anything here, or of those of `keys`."""
        return await self._runtime.observe(keys)

    def know(self, launch_of: Callable[[str], Launch | None]) -> None:
        """Learn how to ask what a pod is to be like; who puts that right asks first whether it leads."""

        def confirmed(key: str) -> Launch | None:
            launch = launch_of(key)
            return None if launch is None else replace(launch, confirm=self._confirm)

        self._runtime.know(confirmed)

    async def launch(self, pod: Launch) -> None:
        """Start a pod. Raises RuntimeFailure."""
        await self._confirm()
        await self._runtime.launch(replace(pod, confirm=self._confirm))

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


class LedKeeper:
    """A keeper of passwords that only the leader uses: a password that was replaced meanwhile must not come back."""

    def __init__(self, keeper: Keeper, confirm: Callable[[], Awaitable[None]]) -> None:
        self._keeper = keeper
        self._confirm = confirm

    async def keep(
        self, pod: Pod, template: Template, address: str, passwords: Mapping[str, str], repeated: Collection[str] = ()
    ) -> Kept:
        """Set passwords by level. Raises KeepFailed."""
        await self._led()
        return await self._keeper.keep(pod, template, address, passwords, repeated)

    async def restore(self, pod: Pod, template: Template, address: str, password: str) -> None:
        """Give the levels what the owner makes from now on. Raises KeepFailed."""
        await self._led()
        await self._keeper.restore(pod, template, address, password)

    async def _led(self) -> None:
        try:
            await self._confirm()
        except RuntimeFailure as failure:
            raise KeepFailed(str(failure)) from failure
