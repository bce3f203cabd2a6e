"""A leader that ends at any step of what it does, before or after it: the next one goes on, and every pod is there
once, or not at all when it is to be gone.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import pytest
import trio
from sqlalchemy import URL

from controller.model import Phase, Pod, deleted
from controller.names import new_key
from controller.pods import Pods
from controller.pulse import Pulse
from controller.reconcile import Reconciler
from controller.replicas.desk import SharedDesk
from controller.runtimes import Launch, Stage
from controller.store.store import Store
from router.access import AccessLevel
from tests.controller.fakes import TEMPLATES, FakeRuntime
from tests.databases import lead

PATIENCE = 60.0  # seconds
_Answer = TypeVar("_Answer")


@dataclass
class Life:
    """Counts the steps of one life of a leader, and ends it at one of them."""

    last: int
    steps: int = 0
    over: trio.Event = field(default_factory=trio.Event)

    async def step(self) -> None:
        self.steps += 1
        if self.steps == self.last:
            self.over.set()
            await trio.sleep_forever()


@dataclass
class Machine(FakeRuntime):
    """Where pods run, whoever leads: a pod of a generation is started once, as every runtime promises."""

    started: Counter[str] = field(default_factory=Counter)

    async def launch(self, pod: Launch) -> None:
        seen = self.pods.get(pod.key)
        if seen is None or seen.generation < pod.generation:
            assert seen is None or seen.stage is Stage.EXITED, "two of one pod"
            self.started[pod.key] += 1
            await super().launch(pod)


class Mortal:
    """The machine as a leader uses it that may end before and after each act."""

    def __init__(self, machine: Machine, life: Life) -> None:
        self._machine = machine
        self._life = life
        self.changed, self.observe, self.run, self.logs = machine.changed, machine.observe, machine.run, machine.logs
        self.know = machine.know

    async def launch(self, pod: Launch) -> None:
        await self._act(partial(self._machine.launch, pod))

    async def stop(self, key: str, grace: float) -> None:
        await self._act(partial(self._machine.stop, key, grace))

    async def remove(self, key: str) -> None:
        await self._act(partial(self._machine.remove, key))

    async def _act(self, act: Callable[[], object]) -> None:
        await self._life.step()
        await act()  # type: ignore[misc]
        await self._life.step()


class MortalDesk(SharedDesk):
    """The store as such a leader uses it."""

    def __init__(self, store: Store, life: Life) -> None:
        super().__init__(store)
        self._life = life

    async def do(self, work: Callable[[], _Answer]) -> _Answer:
        if work == self.store.end:  # by which the server would take a dead one's turn back
            return await super().do(work)
        await self._life.step()
        answer = await super().do(work)
        await self._life.step()
        return answer


async def live(store: Store, name: str, machine: Machine, life: Life, done: Callable[[Pods], bool]) -> None:
    """Lead until what is to be done is done, or this life is over."""
    changed, desk = Pulse(), MortalDesk(store, life)
    pods = Pods(desk, changed)
    desk.learn = lambda news: pods.learn(news.pods, everything=news.everything)
    desk.known = store.state().number
    lead(store, name)
    pods.stored = lambda _key: changed.beat()

    async def work() -> None:
        await pods.load()
        await nursery.start(Reconciler(pods, Mortal(machine, life), None, TEMPLATES, "pods.localhost").run)
        while not done(pods):
            await changed.wait()
        life.over.set()

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            await life.over.wait()
            nursery.cancel_scope.cancel()


def is_available(store: Store, key: str, _pods: Pods) -> bool:
    return any(pod.status.phase is Phase.AVAILABLE for pod in store.pods() if pod.key == key)


def is_gone(store: Store, key: str, pods: Pods) -> bool:
    return pods.get(key) is None and all(pod.key != key for pod in store.pods())


@pytest.mark.parametrize("begins", ["to be started", "to be deleted"])
async def test_a_leader_that_ends_at_any_step_leaves_no_pod_twice_and_none_behind(database: URL, begins: str) -> None:
    machine, last = Machine(), 0
    with Store(database) as one, Store(database) as other, Store(database) as api:
        steps = last
        while steps >= last:  # until a leader comes to its end by itself
            last += 1
            pod = await Pods(SharedDesk(api), Pulse()).create(new_pod(f"pod-{last}"))
            if begins == "to be deleted":
                await live(other, "other", machine, Life(0), partial(is_available, api, pod.key))
                await change(api, pod, deleted)
            done = partial(is_gone if begins == "to be deleted" else is_available, api, pod.key)
            mortal = Life(last)
            await live(one, "one", machine, mortal, done)
            steps = mortal.steps
            await live(other, "other", machine, Life(0), done)
            assert machine.started[pod.key] == 1
            if begins == "to be started":
                assert machine.pods[pod.key].stage is Stage.READY
                await change(api, pod, deleted)
                await live(other, "other", machine, Life(0), partial(is_gone, api, pod.key))
            assert (machine.pods, api.pods()) == ({}, [])
    assert last > 10


async def change(store: Store, pod: Pod, changed: Callable[[Pod], Pod]) -> None:
    pods = Pods(SharedDesk(store), Pulse())
    await pods.load()
    await pods.change(pod.name, changed, "changed")


def new_pod(name: str) -> Pod:
    return Pod(0, new_key(name), name, "db", AccessLevel.WRITE, 0.0)
