"""The reconciler with a runtime that does what a test says, in virtual time."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from controller.feed import Feed
from controller.model import Event, Phase, Pod, deleted, restarted, started, stopped
from controller.names import new_key
from controller.plan import FAILURES_TO_GIVE_UP_HOPE
from controller.pods import Pods
from controller.pulse import Pulse
from controller.reconcile import ACTION_LIMIT, Reconciler
from controller.runtimes import Stage
from controller.store.database import StoreFailure
from controller.store.store import Store
from router.access import AccessLevel
from router.model import RouteState
from router.snapshot import Routes, advance, snapshot_document
from tests.controller.fakes import TEMPLATES, DeskInVirtualTime, FakeRuntime

CREATED = Event(0.0, "created", "")


@dataclass
class Life:
    """One life of a controller, without its API."""

    runtime: FakeRuntime
    pods: Pods
    feed: Feed
    changed: Pulse

    async def create(self, name: str) -> Pod:
        return await self.pods.create(Pod(0, new_key(name), name, "db", AccessLevel.OWNER, 0.0))

    async def until(self, reached: Callable[[], bool], seconds: float = 600.0) -> None:
        with trio.fail_after(seconds):
            while not reached():
                await self.changed.wait()

    def phase(self, name: str) -> Phase | None:
        pod = self.pods.find(name)
        return pod.status.phase if pod else None

    async def phased(self, name: str, phase: Phase) -> Pod:
        await self.until(lambda: self.phase(name) is phase)
        return self.pods.named(name)

    def states(self) -> dict[str, RouteState]:
        routes = (route for routes in self.feed._routes.values() for route in routes)
        document = snapshot_document(self.feed.version, routes)
        return {route.host.partition(".")[0]: route.state for route in advance(Routes(), document).table}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "controller.sqlite") as opened:
        yield opened


@asynccontextmanager
async def living(store: Store, runtime: FakeRuntime | None = None) -> AsyncIterator[Life]:
    now = trio.current_time
    changed = Pulse()
    runtime = runtime or FakeRuntime(now)
    runtime.now = now
    life = Life(runtime, Pods(DeskInVirtualTime(store), changed, now), Feed(changed, now), changed)
    await life.pods.load()
    reconciler = Reconciler(life.pods, runtime, life.feed, TEMPLATES, "pods.localhost", now)
    async with trio.open_nursery() as nursery:
        await nursery.start(reconciler.run)
        yield life
        nursery.cancel_scope.cancel()


async def test_a_pod_is_launched_published_and_stored(store: Store, autojump_clock: MockClock) -> None:
    async with living(store) as life:
        await life.create("db")
        assert life.states() == {"db": RouteState.STARTING, "db--metrics": RouteState.STARTING}
        await life.phased("db", Phase.AVAILABLE)
        assert life.states() == {"db": RouteState.AVAILABLE, "db--metrics": RouteState.AVAILABLE}
        await wait_all_tasks_blocked()
        (stored,) = store.pods()
        assert stored.status.phase is Phase.AVAILABLE
        assert [event.kind for event in store.events(stored)] == ["created", "starting", "available"]
        assert life.runtime.launched[stored.key].generation == 1


async def test_ready_is_published_before_it_is_stored(
    store: Store, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with living(store) as life:
        life.runtime.launches = Stage.STARTING
        pod = await life.create("db")
        await wait_all_tasks_blocked()
        seen: list[RouteState] = []
        save = life.pods.save

        async def watched(key: str, events: object) -> None:
            seen.append(life.states()["db"])
            await save(key, ())

        monkeypatch.setattr(life.pods, "save", watched)
        life.runtime.show(pod.key, Stage.READY)
        await wait_all_tasks_blocked()
        assert seen == [RouteState.AVAILABLE]


async def test_a_stop_is_routed_at_once_and_keeps_the_data(store: Store, autojump_clock: MockClock) -> None:
    async with living(store) as life:
        await life.create("db")
        await life.phased("db", Phase.AVAILABLE)
        await life.pods.change("db", stopped, "stop")
        assert life.states()["db"] is RouteState.STOPPED
        pod = await life.phased("db", Phase.STOPPED)
        assert life.runtime.pods[pod.key].stage is Stage.EXITED
        await life.pods.change("db", started, "start")
        await life.phased("db", Phase.AVAILABLE)
        assert life.runtime.calls == [("launch", "db"), ("stop", "db"), ("launch", "db")]


async def test_of_many_pods_only_the_one_that_changed_is_looked_at(store: Store, autojump_clock: MockClock) -> None:
    async with living(store) as life:
        pods = [await life.create(f"db{number}") for number in range(5)]
        await wait_all_tasks_blocked()
        life.runtime.looks.clear()
        life.runtime.show(pods[2].key, Stage.EXITED)
        await wait_all_tasks_blocked()
        assert life.phase("db2") is Phase.AVAILABLE, "started again"
        assert set(life.runtime.looks) == {1}


async def test_what_a_look_missed_is_found_by_looking_at_all(
    store: Store, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with living(store) as life:
        pods = [await life.create(f"db{number}") for number in range(2)]
        await wait_all_tasks_blocked()
        with monkeypatch.context() as broken:
            broken.setattr(life.runtime, "observe", None)
            life.runtime.show(pods[0].key, Stage.STARTING)
            await wait_all_tasks_blocked()
        life.runtime.show(pods[1].key, Stage.STARTING)
        await life.phased("db1", Phase.STARTING)
        assert life.phase("db0") is Phase.STARTING


async def test_a_start_of_a_running_pod_does_nothing(store: Store, autojump_clock: MockClock) -> None:
    async with living(store) as life:
        await life.create("db")
        before = await life.phased("db", Phase.AVAILABLE)
        assert await life.pods.change("db", started, "start") == before
        await wait_all_tasks_blocked()
        assert life.runtime.calls == [("launch", "db")]


async def test_a_restart_is_a_stop_and_a_launch_of_the_next_generation(store: Store, autojump_clock: MockClock) -> None:
    async with living(store) as life:
        pod = await life.create("db")
        await life.phased("db", Phase.AVAILABLE)
        answered = await life.pods.change("db", restarted, "restart")
        assert answered.status.phase is Phase.STOPPING, "the answer never tells of what was before"
        assert life.states()["db"] is RouteState.STARTING
        await life.until(lambda: life.runtime.launched[pod.key].generation == 2)
        await life.phased("db", Phase.AVAILABLE)
        assert life.runtime.calls == [("launch", "db"), ("stop", "db"), ("launch", "db")]


async def test_a_deleted_pod_is_stopped_removed_and_forgotten(store: Store, autojump_clock: MockClock) -> None:
    async with living(store) as life:
        pod = await life.create("db")
        await life.phased("db", Phase.AVAILABLE)
        await life.pods.change("db", deleted, "delete")
        await life.until(lambda: life.phase("db") is None)
        assert (life.runtime.pods, store.pods(), life.states()) == ({}, [], {})
        assert life.runtime.calls == [("launch", "db"), ("stop", "db"), ("remove", "db")]
        assert (await life.create("db")).key != pod.key
        await life.phased("db", Phase.AVAILABLE)


async def test_deleted_while_it_starts(store: Store, autojump_clock: MockClock) -> None:
    async with living(store) as life:
        life.runtime.launches = Stage.STARTING
        await life.create("db")
        await life.pods.change("db", deleted, "delete")
        await life.until(lambda: life.phase("db") is None)
        assert life.runtime.pods == {}


async def test_stopped_while_it_is_launched_it_is_not_told_stopped_before_it_is(
    store: Store, autojump_clock: MockClock
) -> None:
    async with living(store, FakeRuntime(hanging={"db"})) as life:
        await life.create("db")
        await wait_all_tasks_blocked()
        assert (await life.pods.change("db", stopped, "stop")).status.phase is Phase.STOPPING
        await life.phased("db", Phase.STOPPED)
        assert life.runtime.calls == [("launch", "db")]


async def test_a_pod_that_ends_is_started_again_ever_more_rarely(store: Store, autojump_clock: MockClock) -> None:
    async with living(store) as life:
        pod = await life.create("db")
        await life.phased("db", Phase.AVAILABLE)
        waits = []
        for _ in range(9):
            begun, launches = trio.current_time(), len(life.runtime.calls)
            life.runtime.show(pod.key, Stage.EXITED, message="exit status 1")
            await life.until(lambda launches=launches: len(life.runtime.calls) > launches)  # type: ignore[misc]
            await wait_all_tasks_blocked()
            waits.append(round(trio.current_time() - begun, 6))
            assert life.phase("db") is Phase.AVAILABLE
        assert waits == [0, 1, 2, 4, 8, 16, 32, 60, 60]
        await trio.sleep(61)
        again = life.pods.find("db")
        assert again is not None
        assert (again.status.failures, again.status.restarts) == (0, 9)


async def test_a_pod_that_never_becomes_ready_fails_and_a_start_tries_again_at_once(
    store: Store, autojump_clock: MockClock
) -> None:
    async with living(store) as life:
        life.runtime.launches, life.runtime.last_words = Stage.EXITED, "exit status 1: no such table"
        await life.create("db")
        failed = await life.phased("db", Phase.FAILED)
        assert failed.status.message == "exit status 1: no such table"
        assert life.states()["db"] is RouteState.FAILED
        assert len(life.runtime.calls) == FAILURES_TO_GIVE_UP_HOPE
        life.runtime.launches, life.runtime.last_words = Stage.READY, ""
        begun = trio.current_time()
        await life.pods.change("db", started, "start")
        await life.phased("db", Phase.AVAILABLE)
        assert trio.current_time() == begun


async def test_a_launch_that_fails_is_told_and_tried_again(store: Store, autojump_clock: MockClock) -> None:
    runtime = FakeRuntime(refusals={"launch": "no postgres here; install it"})
    async with living(store, runtime) as life:
        await life.create("db")
        failed = await life.phased("db", Phase.FAILED)
        assert failed.status.message == "no postgres here; install it"
        assert life.runtime.calls == [("launch", "db")] * FAILURES_TO_GIVE_UP_HOPE
        del runtime.refusals["launch"]
        await life.phased("db", Phase.AVAILABLE)
        await wait_all_tasks_blocked()
        assert "problem" in [event.kind for event in store.events(failed)]


async def test_a_removal_that_fails_keeps_the_pod_and_is_tried_again(store: Store, autojump_clock: MockClock) -> None:
    async with living(store) as life:
        await life.create("db")
        await life.phased("db", Phase.AVAILABLE)
        life.runtime.refusals["remove"] = "directory busy"
        await life.pods.change("db", deleted, "delete")
        await life.until(lambda: life.runtime.calls.count(("remove", "db")) == 3)
        assert life.pods.named("db").status.message == "directory busy"
        del life.runtime.refusals["remove"]
        await life.until(lambda: life.phase("db") is None)


async def test_a_pod_whose_launch_hangs_holds_up_no_other(store: Store, autojump_clock: MockClock) -> None:
    async with living(store, FakeRuntime(hanging={"stuck"})) as life:
        begun = trio.current_time()
        await life.create("stuck")
        await life.create("db")
        await life.phased("db", Phase.AVAILABLE)
        assert trio.current_time() == begun
        await life.until(lambda: life.pods.named("stuck").status.failures > 0)
        assert trio.current_time() - begun == ACTION_LIMIT
        assert "within 60 seconds" in life.pods.named("stuck").status.message


async def test_the_next_life_adopts_what_runs(store: Store, autojump_clock: MockClock) -> None:
    runtime = FakeRuntime()
    async with living(store, runtime) as life:
        for name in ("one", "two", "off"):
            await life.create(name)
            await life.phased(name, Phase.AVAILABLE)
        await life.pods.change("off", stopped, "stop")
        gone = (await life.phased("two", Phase.AVAILABLE)).key
        await life.phased("off", Phase.STOPPED)
        calls = list(runtime.calls)
    runtime.show(gone, Stage.EXITED, message="killed meanwhile")
    async with living(store, runtime) as life:
        assert life.states()["one"] is RouteState.AVAILABLE, "published with the first look"
        await life.phased("two", Phase.AVAILABLE)
        await wait_all_tasks_blocked()
        assert runtime.calls == [*calls, ("launch", "two")]


@pytest.mark.parametrize("stage", Stage)
async def test_every_stage_a_dead_life_left_leads_to_what_is_wanted(
    store: Store, stage: Stage, autojump_clock: MockClock
) -> None:
    runtime = FakeRuntime(trio.current_time)
    kept = store.create(Pod(0, "kept-1", "kept", "db", AccessLevel.OWNER, 0.0), CREATED)
    doomed = deleted(store.create(Pod(0, "doomed-1", "doomed", "db", AccessLevel.OWNER, 0.0), CREATED))
    store.change(doomed, CREATED)
    for pod in (kept, doomed):
        runtime.show(pod.key, stage, 1)
    async with living(store, runtime) as life:
        if stage is Stage.STOPPING:
            await wait_all_tasks_blocked()
            for pod in (kept, doomed):
                runtime.show(pod.key, Stage.EXITED)
        elif stage is Stage.STARTING:
            runtime.show(kept.key, Stage.READY)
        await life.phased("kept", Phase.AVAILABLE)
        await life.until(lambda: life.phase("doomed") is None)


async def test_what_no_pod_of_the_store_owns_is_left_alone(
    store: Store, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    runtime = FakeRuntime(trio.current_time)
    runtime.show("stranger-1", Stage.READY, 1)
    async with living(store, runtime) as life:
        await life.create("db")
        await life.phased("db", Phase.AVAILABLE)
        assert runtime.calls == [("launch", "db")]
    assert caplog.text.count("stranger-1 belongs to no pod") == 1


async def test_a_store_that_cannot_be_written_holds_up_no_pod(
    store: Store, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with living(store) as life:
        full = True
        save = store.save_status

        def refuse(*given: object) -> None:
            if full:
                raise StoreFailure("no space left", full=True)
            save(*given)  # type: ignore[arg-type]

        monkeypatch.setattr(store, "save_status", refuse)
        await life.create("db")
        await life.phased("db", Phase.AVAILABLE)
        assert store.pods()[0].status.phase is Phase.REQUESTED
        full = False
        await trio.sleep(6)
        assert store.pods()[0].status.phase is Phase.AVAILABLE


async def test_a_fault_of_the_runtime_is_told_logged_and_tried_again(
    store: Store, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with living(store) as life:
        with monkeypatch.context() as patch:
            patch.setattr(life.runtime, "launch", lambda _pod: 1 / 0)
            await life.create("db")
            failed = await life.phased("db", Phase.FAILED)
        assert "controller's log tells more" in failed.status.message
        assert "ZeroDivisionError" in caplog.text
        await life.phased("db", Phase.AVAILABLE)


async def test_a_runtime_that_does_not_tell_is_asked_again(
    store: Store, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with living(store) as life:
        pod = await life.create("db")
        await life.phased("db", Phase.AVAILABLE)
        with monkeypatch.context() as patch:
            patch.setattr(life.runtime, "observe", lambda: 1 / 0)
            life.runtime.show(pod.key, Stage.EXITED)
            await wait_all_tasks_blocked()
        life.runtime.show(pod.key, Stage.EXITED)
        await life.until(lambda: life.pods.named("db").status.restarts == 1)
        assert "asking again" in caplog.text


async def test_a_pod_of_a_template_that_is_no_more_can_still_be_deleted(
    store: Store, autojump_clock: MockClock
) -> None:
    store.create(Pod(0, "old-1", "old", "oracle", AccessLevel.OWNER, 0.0), CREATED)
    async with living(store) as life:
        await life.phased("old", Phase.AVAILABLE)
        assert life.states() == {}
        await life.pods.change("old", deleted, "delete")
        await life.until(lambda: life.phase("old") is None)
