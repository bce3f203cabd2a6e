"""Pods: all pods of this controller in memory, as the store has them.

What an owner asks for is stored first and then known here, so that a kill in between loses nothing that was answered.
What is seen of a pod is known here first, so that it is published at once, and stored after: it can be seen again.
`controller.desk` takes that to the store.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from controller.desk import Decision, Desk
from controller.identity import Entry
from controller.model import Event, Link, Pod, Status
from controller.names import name_of
from controller.pulse import Pulse


class Seen(NamedTuple):
    """What is seen of a pod, and what came of it."""

    status: Status
    generation: int
    upstreams: Mapping[str, str]


class UnknownPod(Exception):
    """There is no pod of this name."""


class Pods:
    """The pods by key and by name."""

    def __init__(self, desk: Desk, changed: Pulse, now: Callable[[], float] = time.time) -> None:
        self.touched: Callable[[str], None] = lambda _key: None  # told the key of a pod of which more is wanted
        self.shared: Callable[[str], None] = lambda _key: None  # told the key of a pod whose routes are others now
        self.gone: Callable[[str], None] = lambda _key: None  # told the key of a pod that was forgotten
        self.known: Callable[[str], None] = lambda _key: None  # told the key of a pod of which something else is known
        self.stored: Callable[[str], None] = lambda _key: None  # told the key of a pod of which the store has more
        self._changed = changed
        self._now = now
        self._desk = desk
        self._pods: dict[str, Pod] = {}
        self._keys: dict[str, str] = {}
        self._stored: dict[str, Seen] = {}  # what the store has of what was seen
        self._links: dict[str, tuple[str, str]] = {}  # by the hash of the secret: the pod's key, the link's id

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
        for pod in await self._desk.do(self._desk.store.pods):
            self._stored[pod.key] = _seen(pod)
            self._know(pod)

    async def create(self, pod: Pod, entries: Sequence[Entry] = (), check: Callable[[], None] = lambda: None) -> Pod:
        """Store a new pod and give it back with its number. Raises NameTaken, StoreFailure and whatever `check` does:
        from then on nobody but this changes anything.
        """
        now = self._now()
        pod = replace(pod, created_at=now, status=Status(since=now))

        def decide() -> Decision[Pod]:
            check()
            work = partial(self._desk.store.create, pod, Event(now, "created", ""), entries)
            return work, self._know_stored

        created = await self._desk.change(pod.key, decide)
        self.touched(created.key)
        return self._pods[created.key]

    async def change(self, name: str, changed: Callable[[Pod], Pod], kind: str, entries: Sequence[Entry] = ()) -> Pod:
        """Store what is now wanted of a pod. Raises UnknownPod, StoreFailure and whatever `changed` raises."""
        key = self.named(name).key  # a pod that gets this name meanwhile is not meant

        def decide() -> Decision[tuple[Pod, bool]]:
            before = self._known(key)
            after = changed(before)
            if after == before:
                return None, lambda _none: (before, False)
            work = partial(self._desk.store.change, after, Event(self._now(), kind, ""), entries)
            return work, lambda _none: (self._know_stored(after), True)

        after, is_other = await self._desk.change(key, decide)
        if is_other:
            self.touched(key)
        return self._pods.get(key, after)

    async def share(
        self, key: str, changed: Callable[[Pod], tuple[Pod, Sequence[Entry]]], *, alone: bool = False
    ) -> Pod:
        """Store whose a pod is and who may use it how, and publish that, without doing anything to the pod.

        `alone`: `changed` looks at other pods too. Raises UnknownPod, StoreFailure and whatever `changed` raises.
        """

        def decide() -> Decision[Pod]:
            after, entries = changed(self._known(key))
            return partial(self._desk.store.share, after, entries), lambda _none: self._share(after)

        return await self._desk.change(key, decide, alone=alone)

    async def set_secrets(
        self,
        key: str,
        changed: Callable[[Pod], Pod],
        kind: str = "",
        entries: Sequence[Entry] = (),
        *,
        as_leader: bool = False,
    ) -> Pod:
        """Store the secrets of a pod, those it has and those it is to get, and publish them; nothing is done to it.

        Raises UnknownPod, StoreFailure and whatever `changed` raises.
        """

        def decide() -> Decision[Pod]:
            after = changed(self._known(key))
            events = (Event(self._now(), kind, ""),) if kind else ()
            store = self._desk.store
            work = partial(store.set_secrets, after, events, entries, as_leader=as_leader)
            return work, lambda _none: self._know_secrets(after)

        return await self._desk.change(key, decide)

    def ungrant(self, grantee: str) -> None:
        """Know that a grantee is no more; whoever took it out of the store holds `changing`."""
        for pod in self:
            if grantee in pod.grants:
                grants = {to: level for to, level in pod.grants.items() if to != grantee}
                self._share(replace(pod, grants=grants))

    def link(self, hashed: str) -> tuple[Pod, Link] | None:
        """Find a share link, and the pod it leads to, by the hash of its secret."""
        key, id_ = self._links.get(hashed, ("", ""))
        pod = self._pods.get(key)
        return next(((pod, link) for link in pod.links if link.id == id_), None) if pod else None

    def note(self, key: str, status: Status, generation: int, upstreams: Mapping[str, str] | None = None) -> None:
        """Know what is seen of a pod now; `save` stores it. Without `upstreams` it is where it was."""
        before = self._pods[key]
        upstreams = before.upstreams if upstreams is None else upstreams
        self._pods[key] = replace(before, status=status, generation=generation, upstreams=upstreams)
        self.known(key)
        self._changed.beat()

    async def save(self, key: str, events: Iterable[Event]) -> None:
        """Store what is seen of a pod as it is known then. Raises StoreFailure."""
        events = tuple(events)

        def decide() -> Decision[None]:
            pod = self._pods.get(key)
            if pod is None:
                return None, lambda _none: None
            return partial(self._desk.store.save_status, pod, events), lambda _none: self._saved(pod)

        await self._desk.change(key, decide)

    async def forget(self, key: str) -> None:
        """Let go of a pod of which nothing is left; its name is free after this. Raises StoreFailure."""

        def decide() -> Decision[None]:
            pod = self._pods[key]
            return partial(self._desk.store.forget, pod), lambda _none: self._forget(pod)

        await self._desk.change(key, decide)

    def learn(self, found: Mapping[str, Pod | None], *, everything: bool) -> None:
        """Know what other replicas changed; `everything`: of pods that are not named there is nothing left.

        What was seen here and is not stored yet is kept, unless another replica wrote what is to begin from.
        """
        gone = [key for key, pod in self._pods.items() if found.get(key, None if everything else pod) is None]
        for key in gone:
            self._forget(self._pods[key])
        for pod in found.values():
            if pod is None:
                continue
            before, stored = self._pods.get(pod.key), self._stored.get(pod.key)
            self._stored[pod.key] = _seen(pod)
            after = _with_seen(pod, _seen(before)) if before is not None and stored == _seen(pod) else pod
            if after != before:
                for link in before.links if before is not None else ():
                    self._links.pop(link.hash, None)
                self._know(after)
                self.touched(pod.key)

    def take_back(self) -> None:
        """Know of no pod more than what is stored: who leads now sees what it sees."""
        for key, seen in self._stored.items():
            if key in self._pods:
                self._know(_with_seen(self._pods[key], seen))

    async def events(self, pod: Pod) -> list[Event]:
        """Give the events of a pod, newest last. Raises StoreFailure."""
        return await self._desk.do(partial(self._desk.store.events, pod))

    def _known(self, key: str) -> Pod:
        pod = self._pods.get(key)
        if pod is None:
            raise UnknownPod(name_of(key))
        return pod

    def _saved(self, pod: Pod) -> None:
        """Know that what is seen of a pod is stored."""
        self._stored[pod.key] = _seen(pod)
        self.stored(pod.key)

    def _forget(self, pod: Pod) -> None:
        del self._pods[pod.key]
        self._stored.pop(pod.key, None)
        if self._keys.get(pod.name) == pod.key:
            del self._keys[pod.name]
        for link in pod.links:
            self._links.pop(link.hash, None)
        self.gone(pod.key)
        self.stored(pod.key)
        self._changed.beat()

    def _know_stored(self, pod: Pod) -> Pod:
        self._stored[pod.key] = _seen(pod)
        self._know(pod)
        return pod

    def _know_secrets(self, after: Pod) -> Pod:
        now = replace(self._pods[after.key], secrets=after.secrets, pending=after.pending)
        self._know(now)
        self.shared(now.key)
        return now

    def _know(self, pod: Pod) -> None:
        self._pods[pod.key] = pod
        self._keys[pod.name] = pod.key
        self._links |= {link.hash: (pod.key, link.id) for link in pod.links}
        self.known(pod.key)
        self.stored(pod.key)
        self._changed.beat()

    def _share(self, after: Pod) -> Pod:
        """Know what is stored now of who may use a pod; of what was seen of it meanwhile nothing is taken back."""
        before = self._pods[after.key]
        for link in before.links:
            self._links.pop(link.hash, None)
        shared = replace(before, owner=after.owner, grants=after.grants, links=after.links, endpoints=after.endpoints)
        self._know(shared)
        self.shared(after.key)
        return shared


def _seen(pod: Pod) -> Seen:
    return Seen(pod.status, pod.generation, pod.upstreams)


def _with_seen(pod: Pod, seen: Seen) -> Pod:
    return replace(pod, status=seen.status, generation=seen.generation, upstreams=seen.upstreams)
