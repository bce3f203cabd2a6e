"""Who leads, by a real PostgreSQL: one at a time, and another soon after the one before is gone."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import psycopg
import pytest
import trio
from sqlalchemy import URL

from controller.replicas import leadership
from controller.replicas.leadership import LOCK, Leadership, LedRuntime, connect
from controller.runtimes import Launch, RuntimeFailure
from controller.store.database import StoreFailure
from tests.controller.fakes import FakeRuntime

PATIENCE = 20.0  # seconds


@dataclass
class Candidate:
    """A replica that would lead; its terms are counted, and `leading` is set while it does."""

    url: URL
    began: int = 0
    leading: trio.Event = field(default_factory=trio.Event)
    ended: trio.Event = field(default_factory=trio.Event)
    refused: bool = False

    def __post_init__(self) -> None:
        self.leadership = Leadership(self.url, self._term)

    async def _term(self) -> int:
        if self.refused:
            self.refused = False
            raise StoreFailure("store: not now")
        self.began += 1
        return self.began

    async def work(self) -> None:
        self.leading.set()
        try:
            await trio.sleep_forever()
        finally:
            self.ended.set()

    async def run(self, *, task_status: trio.TaskStatus[trio.CancelScope] = trio.TASK_STATUS_IGNORED) -> None:
        with trio.CancelScope() as scope:
            task_status.started(scope)
            await self.leadership.run(self.work)

    async def leads(self) -> None:
        with trio.fail_after(PATIENCE):
            await self.leading.wait()

    async def is_over(self) -> None:
        with trio.fail_after(PATIENCE):
            await self.ended.wait()


def end_sessions(url: URL, holding: str = "SELECT pid FROM pg_locks WHERE locktype = 'advisory'") -> None:
    with connect(url) as connection:
        connection.execute(f"SELECT pg_terminate_backend(pid) FROM ({holding}) AS held".encode())


async def test_one_leads_and_another_when_it_ends(database: URL, nursery: trio.Nursery) -> None:
    one, other = Candidate(database), Candidate(database)
    first = await nursery.start(one.run)
    await one.leads()
    second = await nursery.start(other.run)
    await one.leadership.confirm()
    with pytest.raises(RuntimeFailure, match="does not lead"):
        await other.leadership.confirm()
    first.cancel()
    await other.leads()
    assert (one.leadership.leads, other.leadership.leads) == (False, True)
    second.cancel()


async def test_who_loses_its_session_leads_no_more_at_once(database: URL, nursery: trio.Nursery) -> None:
    one = Candidate(database)
    scope = await nursery.start(one.run)
    await one.leads()
    end_sessions(database)
    await one.is_over()
    one.leading = trio.Event()
    await one.leads()
    assert one.began == 2
    scope.cancel()


async def test_who_has_lost_its_session_learns_it_before_it_acts(database: URL, nursery: trio.Nursery) -> None:
    one, runtime = Candidate(database), FakeRuntime()
    scope = await nursery.start(one.run)
    await one.leads()
    led = LedRuntime(lambda: runtime, one.leadership.confirm)
    await led.launch(Launch("a-23456789", 1, "a", "db", 1))
    end_sessions(database)  # which nobody here had a moment to see
    acts: list[Callable[[], Awaitable[None]]] = [
        lambda: led.launch(Launch("b-23456789", 2, "b", "db", 1)),
        lambda: led.stop("a-23456789", 1.0),
        lambda: led.remove("a-23456789"),
    ]
    for act in acts:
        with pytest.raises(RuntimeFailure, match="does not lead"):
            await act()
    assert runtime.calls == [("launch", "a")]
    scope.cancel()


async def test_a_session_that_says_nothing_is_ended_by_the_server(
    database: URL, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leadership, "SILENCE", 1)
    with connect(database, idle_session_timeout="1s") as asleep:
        assert asleep.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,)).fetchone() == (True,)
        one = Candidate(database)
        scope = await nursery.start(one.run)
        await one.leads()
        with pytest.raises(psycopg.OperationalError):
            asleep.execute("SELECT 1")
    scope.cancel()


async def test_a_store_that_gives_no_term_is_asked_again(database: URL, nursery: trio.Nursery) -> None:
    one = Candidate(database, refused=True)
    scope = await nursery.start(one.run)
    await one.leads()
    assert one.began == 1
    scope.cancel()
