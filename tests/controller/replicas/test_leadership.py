"""Who leads, by a real PostgreSQL: one at a time, and another soon after the one before is gone."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import psycopg
import pytest
import trio
from sqlalchemy import URL

from controller.model import Pod
from controller.replicas import leadership
from controller.replicas.leadership import Leadership, LedKeeper, LedRuntime
from controller.rolekeeper import KeepFailed
from controller.runtimes import Launch, RuntimeFailure
from controller.store.postgres import connect
from controller.store.store import Store
from controller.store.turns import LEADER_LOCK
from router.access import AccessLevel
from tests.controller.fakes import TEMPLATES, FakeKeeper, FakeRuntime

PATIENCE = 60.0  # seconds


@dataclass
class Candidate:
    """A replica that would lead; its terms are counted, and `leading` is set while it does."""

    url: URL
    name: str = "one"
    place: str = ""
    terms: list[int] = field(default_factory=list)
    leading: trio.Event = field(default_factory=trio.Event)
    ended: trio.Event = field(default_factory=trio.Event)
    changing: trio.Lock = field(default_factory=trio.Lock)

    def __post_init__(self) -> None:
        with Store(self.url):  # which makes the tables
            self.leadership = Leadership(self.url, self.name, self.changing, self.terms.append, self.place)

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

    async def locks(self) -> None:
        """Wait until it holds the lock, though its term may not have begun."""
        with trio.fail_after(PATIENCE), connect(self.url) as connection:
            while not connection.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'").fetchone():
                await trio.lowlevel.checkpoint()

    async def is_over(self) -> None:
        with trio.fail_after(PATIENCE):
            await self.ended.wait()


def end_sessions(url: URL, holding: str = "SELECT pid FROM pg_locks WHERE locktype = 'advisory'") -> None:
    with connect(url) as connection:
        connection.execute(f"SELECT pg_terminate_backend(pid) FROM ({holding}) AS held".encode())


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the server end a silent session sooner, and leaders speak as much more often."""
    monkeypatch.setattr(leadership, "SILENCE", 2)
    monkeypatch.setattr(leadership, "BEAT", 0.2)


async def test_one_leads_and_another_when_it_ends(database: URL, nursery: trio.Nursery) -> None:
    one, other = Candidate(database), Candidate(database, "other")
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
    assert one.terms == [1, 2]
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
    impatient(monkeypatch)
    one = Candidate(database)
    with connect(database, idle_session_timeout="1s") as asleep:
        assert asleep.execute("SELECT pg_try_advisory_lock(%s)", (LEADER_LOCK,)).fetchone() == (True,)
        scope = await nursery.start(one.run)
        await one.leads()
        with pytest.raises(psycopg.OperationalError):
            asleep.execute("SELECT 1")
    scope.cancel()


async def test_who_loses_the_lock_before_its_term_ends_nobody_elses(
    database: URL, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch)
    late, other = Candidate(database, "late"), Candidate(database, "other")
    async with late.changing:  # a change of its own takes so long that the server ends its session
        first = await nursery.start(late.run)
        await late.locks()
        second = await nursery.start(other.run)
        await other.leads()
    first.cancel()
    await other.leadership.confirm()
    assert (late.terms, other.terms) == ([], [1])
    second.cancel()


async def test_who_leads_by_another_store_begins_anew(database: URL, nursery: trio.Nursery) -> None:
    one = Candidate(database)
    scope = await nursery.start(one.run)
    await one.leads()
    with connect(database) as copy:  # put back, or of a server that took over and had not heard of the term
        copy.execute("UPDATE state SET term = 7, leader = 'somebody'")
        with pytest.raises(RuntimeFailure, match="does not lead"):
            await one.leadership.confirm()
    await one.is_over()
    one.leading = trio.Event()
    await one.leads()
    assert one.terms == [1, 8]
    scope.cancel()


async def test_who_leads_no_more_sets_no_passwords(database: URL) -> None:
    keeper = LedKeeper(FakeKeeper(), Candidate(database).leadership.confirm)
    pod, template = Pod(1, "a-23456789", "a", "db", AccessLevel.WRITE, 0.0), TEMPLATES["db"]
    with pytest.raises(KeepFailed, match="does not lead"):
        await keeper.keep(pod, template, "127.0.0.1:1", {"owner": "old"})
    with pytest.raises(KeepFailed, match="does not lead"):
        await keeper.restore(pod, template, "127.0.0.1:1", "old")


async def test_which_replica_leads_is_known_as_long_as_it_does(database: URL, nursery: trio.Nursery) -> None:
    one = Candidate(database)
    with Store(database) as store:
        assert store.followed("one").leader == ""
        scope = await nursery.start(one.run)
        await one.leads()
        assert store.followed("one").leader == "one"
        end_sessions(database)
        assert store.followed("one").leader == ""
    scope.cancel()
