"""Watches, and how they read what comes; what may befall them is in test_watch_failures.py."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from controller.runtimes.kubernetes import watching
from controller.runtimes.kubernetes.client import ClusterFailure
from controller.runtimes.kubernetes.watching import LONGEST_EVENT, lines
from tests.controller.runtimes.kubernetes.answering import Fault
from tests.controller.runtimes.kubernetes.watched import LISTS, WATCHES, World, error, new_world


@pytest.fixture
async def world(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A watch that has begun with the pod `a`."""
    async with new_world(monkeypatch) as world:
        world.put("a", "first")
        world.nursery.start_soon(world.run)
        await world.told.until(lambda told: told.things == {"a": "first"})
        yield world


async def test_what_is_made_changed_and_deleted_is_told(autojump_clock: MockClock, world: World) -> None:
    world.put("b", "second")
    await world.told.until(lambda told: told.things == {"a": "first", "b": "second"})
    world.put("a", "changed")
    await world.told.until(lambda told: told.things["a"] == "changed")
    world.api.drop("pods", "a")
    await world.told.until(lambda told: told.things == {"b": "second"})
    assert world.told.lists == 1


async def test_what_is_long_and_says_nothing_is_left_out(autojump_clock: MockClock, world: World) -> None:
    spec = {"replicas": 1, "template": {"spec": {"containers": []}}}
    world.api.put("pods", {"metadata": {"name": "b", "managedFields": [{}]}, "spec": spec})
    await world.told.until(lambda told: "b" in told.things)
    kept: object = world.told.things["b"]
    assert kept == {"replicas": 1}


async def test_what_went_while_nobody_watched_is_told_gone(autojump_clock: MockClock, world: World) -> None:
    world.put("b", "second")
    await world.told.until(lambda told: "b" in told.things)
    world.api.faults.append(Fault(part=WATCHES, body=error(410)))
    await world.api.end_streams()
    world.api.drop("pods", "b")
    world.api.forget()
    await world.told.until(lambda told: told.lists == 2)
    assert world.told.things == {"a": "first"}


async def test_a_watch_that_ended_goes_on_where_it_was(autojump_clock: MockClock, world: World) -> None:
    version = world.api.version
    await world.api.end_streams()
    world.put("c", "third")
    await world.told.until(lambda told: "c" in told.things)
    assert world.told.lists == 1
    assert f"resourceVersion={version}&" in world.api.requests[-1]


async def test_a_bookmark_keeps_a_quiet_watch_young(autojump_clock: MockClock, world: World) -> None:
    world.api.put("configmaps", {"metadata": {"name": "elsewhere"}})  # moves the version; nobody tells this watch
    world.api.bookmark()
    await wait_all_tasks_blocked()
    world.api.forget()
    await world.api.end_streams()
    world.put("b", "second")
    await world.told.until(lambda told: "b" in told.things)
    assert world.told.lists == 1


async def test_a_long_list_comes_in_pages(
    autojump_clock: MockClock, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "PAGE", 3)
    for number in range(9):
        world.put(f"p{number}", "")
    world.api.requests.clear()
    world.api.faults.append(Fault(part=WATCHES, status=410))
    await world.api.end_streams()
    await world.told.until(lambda told: told.lists == 2)
    assert len(world.told.things) == 10
    assert len([request for request in world.api.requests if LISTS in request]) == 4


async def test_a_cluster_with_too_many_objects_is_refused(
    autojump_clock: MockClock, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MOST_OBJECTS", 2)
    world.put("b", "")
    world.put("c", "")
    with pytest.raises(ClusterFailure, match="more than 2 objects; give Podgate its own namespace"):
        await world.watch._list()


class CancelAt(trio.abc.Instrument):
    """Cancels a scope when its task has been run so often."""

    def __init__(self, scope: trio.CancelScope, steps: int) -> None:
        self.task: trio.lowlevel.Task | None = None
        self.left = steps
        self._scope = scope

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self.task:
            self.left -= 1
            if self.left == 0:
                self._scope.cancel()


# httpx leaves the generator of an empty request body to the garbage collector, if it is cancelled as it sends it.
@pytest.mark.filterwarnings("ignore:Async generator 'httpx._content.ByteStream:ResourceWarning")
async def test_a_watch_can_be_cancelled_wherever_it_waits(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a list in pages, a 429, a watch, its end, a 410 and another list: one step further each time."""
    monkeypatch.setattr(watching, "PAGE", 2)
    for steps in range(1, 1000):
        async with new_world(monkeypatch) as world:
            for name in "abc":
                world.put(name, "")
            world.api.faults += [
                Fault(429, headers={"Retry-After": "1"}, part="continue="),
                Fault(part=WATCHES, body=b""),
                Fault(part=WATCHES, status=503),
                Fault(part=WATCHES, body=error(410)),
            ]
            if await cancelled_at(world, steps) > 0:
                break
            assert world.told.things in ({}, world.truth)
            await wait_all_tasks_blocked()
            assert world.wire.left_open() == 0
    else:
        pytest.fail("it never came to its end")
    assert steps > 30
    assert world.told.lists == 2


async def cancelled_at(world: World, steps: int) -> int:
    """Run a watch, cancel it at its n-th step, and tell how many were left when it had been told all twice."""
    with trio.CancelScope() as scope:
        instrument = CancelAt(scope, steps)

        async def run() -> None:
            instrument.task = trio.lowlevel.current_task()
            await world.run()

        trio.lowlevel.add_instrument(instrument)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await world.told.until(lambda told: told.lists == 2)
            nursery.cancel_scope.cancel()
    trio.lowlevel.remove_instrument(instrument)
    return instrument.left


async def pieces(*parts: bytes) -> AsyncGenerator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
async def test_lines_are_whole_however_they_come(size: int) -> None:
    data = b"one\n\ntwo\r\n three \nbroken off"
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    assert [line async for line in lines(pieces(*parts))] == [b"one", b"two\r", b" three "]


async def test_a_line_longer_than_any_event_is_refused() -> None:
    assert [len(line) async for line in lines(pieces(b"x" * LONGEST_EVENT, b"\n"))] == [LONGEST_EVENT]
    async with aclosing(pieces(b"x" * LONGEST_EVENT, b"x")) as long:
        with pytest.raises(ClusterFailure, match="longer"):
            [line async for line in lines(long)]


async def test_a_long_line_in_one_piece_with_others_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LONGEST_EVENT", 5)
    assert [line async for line in lines(pieces(b"12345\n12345\n1234", b"5\n"))] == [b"12345"] * 3
    async with aclosing(pieces(b"12345\n123456\n")) as long:
        with pytest.raises(ClusterFailure, match="longer than 5 bytes"):
            [line async for line in lines(long)]
