"""Pods: all pods of this controller in memory, as the store has them.

What an owner asks for is stored first and then known here, so that a kill in between loses nothing that was answered.
What is seen of a pod is known here first, so that it is published at once, and stored after: it can be seen again.
The store is used in a thread, by one call at a time: a slow disk holds up no stream.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import TypeVar

import trio

from controller.model import Event, Pod, Status
from controller.pulse import Pulse
from controller.store.store import Store

_Answer = TypeVar("_Answer")


class UnknownPod(Exception):
    """There is no pod of this name."""


class Pods:
    """The pods by key and by name."""

    def __init__(self, store: Store, changed: Pulse, now: Callable[[], float] = time.time) -> None:
        self.touched: Callable[[str], None] = lambda _key: None  # told the key of a pod of which more is wanted
        self._changed = changed
        self._now = now
        self._store = store
        self._thread = trio.CapacityLimiter(1)
        self._changing = trio.Lock()  # from one look at a pod to the knowledge of what became of it
        self._pods: dict[str, Pod] = {}
        self._keys: dict[str, str] = {}

    def __iter__(self) -> Iterator[Pod]:
        return iter(list(self._pods.values()))

    def get(self, key: str) -> Pod | None:
        """Find a pod by its key."""
        return self._pods.get(key)

    def find(self, name: str) -> Pod | None:
        """Find a pod by its name."""
        return self._pods.get(self._keys.get(name, ""))

    def named(self, name: str) -> Pod:
        """Give the pod of this name. Raises UnknownPod."""
        pod = self.find(name)
        if pod is None:
            raise UnknownPod(name)
        return pod

    async def load(self) -> None:
        """Learn what the store has. Raises StoreFailure."""
        for pod in await self._call(self._store.pods):
            self._know(pod)

    async def create(self, pod: Pod) -> Pod:
        """Store a new pod and give it back with its number. Raises NameTaken and StoreFailure."""
        now = self._now()
        pod = replace(pod, created_at=now, status=Status(since=now))
        async with self._changing:
            created = await self._call(partial(self._store.create, pod, Event(now, "created", "")))
            self._know(created)
        self.touched(created.key)
        return self._pods[created.key]

    async def change(self, name: str, changed: Callable[[Pod], Pod], kind: str) -> Pod:
        """Store what is now wanted of a pod. Raises UnknownPod, StoreFailure and whatever `changed` raises."""
        async with self._changing:
            before = self.named(name)
            after = changed(before)
            if after == before:
                return before
            await self._call(partial(self._store.change, after, Event(self._now(), kind, "")))
            self._know(after)
        self.touched(after.key)
        return self._pods[after.key]

    def note(self, key: str, status: Status, generation: int) -> None:
        """Know a new status of a pod; `save` stores it."""
        self._pods[key] = replace(self._pods[key], status=status, generation=generation)
        self._changed.beat()

    async def save(self, key: str, events: Iterable[Event]) -> None:
        """Store the status of a pod as it is known now. Raises StoreFailure."""
        pod = self._pods[key]
        await self._call(partial(self._store.save_status, pod, tuple(events)))

    async def forget(self, key: str) -> None:
        """Let go of a pod of which nothing is left; its name is free after this. Raises StoreFailure."""
        async with self._changing:
            pod = self._pods[key]
            await self._call(partial(self._store.forget, pod))
            del self._pods[key], self._keys[pod.name]
        self._changed.beat()

    async def events(self, pod: Pod) -> list[Event]:
        """Give the events of a pod, newest last. Raises StoreFailure."""
        return await self._call(partial(self._store.events, pod))

    def _know(self, pod: Pod) -> None:
        self._pods[pod.key] = pod
        self._keys[pod.name] = pod.key
        self._changed.beat()

    async def _call(self, work: Callable[[], _Answer]) -> _Answer:
        return await trio.to_thread.run_sync(work, limiter=self._thread)
