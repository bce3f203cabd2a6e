"""Changes that are made together: what each sees, and what becomes of those whose neighbours fail or leave."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from controller.desk import MOST_TOGETHER, Decision, Desk
from controller.store.database import StoreFailure
from controller.store.store import Store


class Slow(Desk):
    """A desk whose store answers when it is told to; it does what it is given without a thread."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.batches: list[int] = []
        self.answer = trio.Event()
        self.failure: Exception | None = None

    async def do(self, work: Callable[[], object]) -> object:  # type: ignore[override]
        with trio.CancelScope(shield=True):
            await self.answer.wait()
        if self.failure:
            raise self.failure
        answers = work()
        assert isinstance(answers, list)
        self.batches.append(len(answers))
        return answers


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Slow]:
    with Store(tmp_path / "store") as store:
        yield Slow(store)


class Counter:
    """Numbers by key, changed one at a time."""

    def __init__(self, desk: Slow) -> None:
        self._desk = desk
        self.known: dict[str, int] = {}
        self.answers: list[str] = []

    async def add(self, key: str, *, fail: bool = False, alone: bool = False) -> None:
        def decide() -> Decision[int]:
            after = self.known.get(key, 0) + 1

            def work() -> int:
                if fail:
                    raise StoreFailure(key)
                return after

            return work, lambda answer: self.known.setdefault(key, 0) + self._know(key, answer)

        try:
            await self._desk.change(key, decide, alone=alone)
            self.answers.append(key)
        except StoreFailure as failure:
            self.answers.append(f"not {failure}")

    def _know(self, key: str, answer: int) -> int:
        self.known[key] = answer
        return answer


async def test_changes_that_wait_are_made_together_but_no_two_of_one_pod(desk: Slow, nursery: trio.Nursery) -> None:
    counter = Counter(desk)
    for key in ("a", "b", "c", "b", "d", "b"):  # the first has begun when the others come
        nursery.start_soon(counter.add, key)
        await wait_all_tasks_blocked()
    desk.answer.set()
    await wait_all_tasks_blocked()
    assert counter.known == {"a": 1, "b": 3, "c": 1, "d": 1}
    assert desk.batches == [1, 3, 1, 1]
    assert sorted(counter.answers) == ["a", "b", "b", "b", "c", "d"]


async def test_one_that_fails_harms_no_other(desk: Slow, nursery: trio.Nursery) -> None:
    counter = Counter(desk)
    for key, fails in (("a", False), ("b", False), ("c", True), ("d", False)):
        nursery.start_soon(partial(counter.add, key, fail=fails))
        await wait_all_tasks_blocked()
    desk.answer.set()
    await wait_all_tasks_blocked()
    assert counter.known == {"a": 1, "b": 1, "d": 1}
    assert sorted(counter.answers) == ["a", "b", "d", "not c"]


async def test_where_nothing_is_stored_everybody_is_told(desk: Slow, nursery: trio.Nursery) -> None:
    counter = Counter(desk)
    desk.failure = StoreFailure("any")
    for key in "abc":
        nursery.start_soon(counter.add, key)
        await wait_all_tasks_blocked()
    desk.answer.set()
    await wait_all_tasks_blocked()
    assert (counter.known, counter.answers) == ({}, ["not any"] * 3)
    desk.failure = None
    await counter.add("a")
    assert counter.known == {"a": 1}


async def test_who_leaves_takes_nobody_along(desk: Slow, nursery: trio.Nursery) -> None:
    counter = Counter(desk)
    scopes = {}
    for key in "abcd":

        async def cancellable(key: str = key) -> None:
            with trio.CancelScope() as scopes[key]:
                await counter.add(key)

        nursery.start_soon(cancellable)
        await wait_all_tasks_blocked()
    scopes["b"].cancel()  # which was to make the next ones
    await wait_all_tasks_blocked()
    desk.answer.set()
    scopes["a"].cancel()  # whose change is under way
    await wait_all_tasks_blocked()
    assert counter.known == {"a": 1, "c": 1, "d": 1}
    await counter.add("b")
    assert counter.known["b"] == 1


async def test_one_that_was_chosen_to_go_on_and_leaves_lets_the_next_go_on(desk: Slow, nursery: trio.Nursery) -> None:
    counter = Counter(desk)
    async with desk.changing:
        with trio.CancelScope() as first:
            async with trio.open_nursery() as own:
                own.start_soon(counter.add, "a")
                await wait_all_tasks_blocked()
                nursery.start_soon(counter.add, "b")
                await wait_all_tasks_blocked()
                first.cancel()
    desk.answer.set()
    await wait_all_tasks_blocked()
    assert counter.known == {"b": 1}


async def test_who_leave_at_once_leave_the_way_free(desk: Slow, nursery: trio.Nursery) -> None:
    counter = Counter(desk)
    async with desk.changing, trio.open_nursery() as own:
        for key in "abc":
            own.start_soon(counter.add, key)
            await wait_all_tasks_blocked()
        own.cancel_scope.cancel()
    desk.answer.set()
    nursery.start_soon(counter.add, "d")
    await wait_all_tasks_blocked()
    assert counter.known == {"d": 1}


class NoTurn:
    """A store at which it is nobody's turn, after a while."""

    def __init__(self) -> None:
        self.asked = 0
        self.refused = trio.Event()

    async def __aenter__(self) -> None:
        self.asked += 1
        await self.refused.wait()
        raise StoreFailure("nobody's turn")

    async def __aexit__(self, *_: object) -> None:
        raise AssertionError("it was nobody's turn")


async def test_where_no_turn_comes_who_waits_is_told_with_the_first(desk: Slow, nursery: trio.Nursery) -> None:
    counter, desk.changing = Counter(desk), (turns := NoTurn())
    for key in "abc":
        nursery.start_soon(counter.add, key)
        await wait_all_tasks_blocked()
    turns.refused.set()
    await wait_all_tasks_blocked()
    assert (counter.answers, turns.asked) == (["not nobody's turn"] * 3, 1)


async def test_one_that_looks_at_others_is_made_alone(desk: Slow, nursery: trio.Nursery) -> None:
    counter = Counter(desk)
    for key, alone in (("a", False), ("b", True), ("c", False), ("d", True), ("e", False)):
        nursery.start_soon(partial(counter.add, key, alone=alone))
        await wait_all_tasks_blocked()
    desk.answer.set()
    await wait_all_tasks_blocked()
    assert desk.batches == [1, 1, 2, 1]


async def test_how_many_are_made_together_is_bounded(desk: Slow, nursery: trio.Nursery) -> None:
    counter = Counter(desk)
    for number in range(MOST_TOGETHER + 2):
        nursery.start_soon(counter.add, f"pod-{number}")
        await wait_all_tasks_blocked()
    desk.answer.set()
    await wait_all_tasks_blocked()
    assert desk.batches == [1, MOST_TOGETHER, 1]
