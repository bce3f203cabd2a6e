"""Mending: what somebody deleted or changed by hand is applied again, while its pod runs.

Two ways lead here. A watch tells of an object that is not as it was applied (`drift`): that one is seen to at once, but
whoever undoes it over and over is not followed faster than once a second. And each pod has its turn, over and over: in
the first round of a controller's life for its NetworkPolicy and in the second for all else, since somebody may have
changed them while there was none; from then on, spread over half an hour, for its Secret, which is not watched. A pod's
StatefulSet is applied only at the version that was read, so that nothing that was stopped in between is started by it.

What is applied is what the controller knows of the pod now, and only where that is the generation that is there: else a
launch or a stop is on its way, and it alone says what is to be. A NetworkPolicy is put back in any case: without it
anybody in the cluster could reach the pod.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import trio

from controller.runtimes import Launch, RuntimeFailure
from controller.runtimes.kubernetes.client import Cluster, ClusterFailure
from controller.runtimes.kubernetes.drift import PARTS, STATEFUL_SET, Drift
from controller.runtimes.kubernetes.manifests import is_ours, stateful_set, volume_of
from controller.runtimes.kubernetes.mirror import Mirror
from controller.runtimes.kubernetes.order import Order, judge, key_of, object_name
from controller.runtimes.kubernetes.parts import Parts
from controller.runtimes.kubernetes.seeing import generation_of, is_going, is_wanted
from controller.runtimes.kubernetes.settings import ClusterSettings
from controller.templates import Template

JSON = Mapping[str, Any]

ROUND = 1800.0  # seconds in which each pod has its turn once
MOST_CALLS = 10.0  # a second in a round: so the first two, and that of more than 18,000 pods takes longer
MOST_AT_ONCE = 4  # pods that are mended
FIRST_PAUSE = 1.0  # seconds after mending a pod before it is mended again, doubled each time
LONGEST_PAUSE = 60.0
_CONFLICT = 409
_ALL = (*PARTS, STATEFUL_SET)

log = logging.getLogger(__name__)


def nobody(_key: str) -> Launch | None:
    """Know of no pod."""
    return None


@dataclass(frozen=True, slots=True)
class _Due:
    """What of a pod is to be applied."""

    launch: Launch
    found: dict[str, Any]  # its StatefulSet
    kinds: set[str]


@dataclass
class Mending:
    """Mends the pods that `launch_of` knows. `alone` is held while one is changed."""

    settings: ClusterSettings
    templates: Mapping[str, Template]
    mirror: Mirror
    drift: Drift
    parts: Parts
    alone: Callable[[str, str], AbstractAsyncContextManager[Cluster]]
    path: Callable[[str, str], str]
    launch_of: Callable[[str], Launch | None] = nobody
    _nursery: trio.Nursery | None = None
    _tended: set[str] = field(default_factory=set)  # keys of pods that are being seen to
    _told: dict[str, str] = field(default_factory=dict)  # by key: what was logged last
    _few: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(MOST_AT_ONCE))

    async def run(self) -> None:
        """Mend until cancelled; what was listed is known before this."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for key in self.mirror.seen:
                if self._due(key) is not None:
                    self._begin(key)
            await self._go_round()

    def doubt(self, name: str) -> None:
        """See to the pod whose objects have this name."""
        key = key_of(name)
        if key is not None:
            self._begin(key)

    def _begin(self, key: str) -> None:
        if self._nursery is not None and key not in self._tended:
            self._tended.add(key)
            self._nursery.start_soon(self._tend, key)

    async def _tend(self, key: str) -> None:
        pause = FIRST_PAUSE
        try:
            while self._due(key) is not None:
                async with self._few:
                    await self._mend(key)
                await trio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        finally:
            self._tended.discard(key)

    async def _go_round(self) -> None:
        """Give each running pod its turn, over and over."""
        await self._turn({"NetworkPolicy"}, 0.0)
        await self._turn(_ALL, 0.0)
        while True:
            await self._turn(_ALL, ROUND)

    async def _turn(self, kinds: Collection[str], seconds: float) -> None:
        """Have each running pod's objects of these kinds as they are to be, in so many seconds or more."""
        keys = [key for key in self.mirror.seen if _runs(self.mirror.stateful_set(key))]
        if not keys:
            await trio.sleep(seconds)
        for key in keys:
            calls = await self._mend(key, kinds)
            await trio.sleep(max(calls / MOST_CALLS, seconds / len(keys)))

    def _due(self, key: str, turn: Collection[str] = ()) -> _Due | None:
        """Tell what of a pod is to be applied, if anything; `turn` are the kinds whose turn it is."""
        launch, found = self.launch_of(key), self.mirror.stateful_set(key)
        if launch is None or found is None or is_going(found):
            return None
        name, template = object_name(key), self.templates.get(launch.template)
        expected = {kind for kind in PARTS if kind != "ConfigMap" or (template is not None and template.start)}
        if is_wanted(found):
            expected.add(STATEFUL_SET)
        kinds = self.drift.doubtful(name, expected)
        kinds |= (self.drift.unknown(name, expected) | {"Secret"}) & set(turn)
        if generation_of(found) != launch.generation:
            kinds &= {"NetworkPolicy"}
        foreign = {kind for kind in kinds if self.drift.is_foreign(kind, name, found["metadata"]["uid"])}
        for kind in sorted(foreign):
            self._note(key, self.parts.told(kind, name))
        return _Due(launch, dict(found), kinds - foreign) if kinds - foreign else None

    async def _mend(self, key: str, turn: Collection[str] = ()) -> int:
        """Apply what is to be, and tell how much that was; what goes wrong is logged, and done again later."""
        try:
            async with self.alone(key, "what was changed by hand could not be put right") as cluster:
                due = self._due(key, turn)  # whoever had it alone before may have seen to it
                if due is None:
                    return 0
                drifted = sorted(self.drift.doubtful(object_name(key), due.kinds))
                await due.launch.confirm()
                await self._apply(cluster, due)
        except RuntimeFailure as failure:
            self._note(key, str(failure))
            return 1
        except Exception:  # somebody's object that makes no sense is one pod's trouble
            log.exception("kubernetes: pod %s: what was changed by hand could not be put right", key)
            return 1
        self._told.pop(key, None)
        if drifted:
            log.warning("kubernetes: pod %s: put right what somebody had changed: %s", key, ", ".join(drifted))
        return len(due.kinds)

    async def _apply(self, cluster: Cluster, due: _Due) -> None:
        """Raises RuntimeFailure, ClusterFailure."""
        order, allowed = self._judged(due.launch)
        await self.parts.apply(cluster, order, due.found, due.kinds)
        if STATEFUL_SET in due.kinds:
            await self._apply_stateful_set(cluster, order, allowed=allowed)

    async def _apply_stateful_set(self, cluster: Cluster, order: Order, *, allowed: bool) -> None:
        """Apply it at the version that was read, unless it is to be stopped or another generation by now."""
        path, generation = self.path(STATEFUL_SET, order.name), order.pod.generation
        found = await cluster.get(path)
        if found is None or not is_ours(found, self.settings):
            return
        if is_going(found) or not is_wanted(found) or generation_of(found) != generation:
            return
        if allowed:
            document = stateful_set(order, volume_of(order, found), generation=generation)
            document["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"]
            self.drift.apply(STATEFUL_SET, order.name)
            try:
                found = await cluster.apply(path, document)
            except ClusterFailure as failure:
                if failure.status != _CONFLICT:
                    raise
                return
        self.drift.applied(STATEFUL_SET, order.name, found)

    def _judged(self, launch: Launch) -> tuple[Order, bool]:
        """Give the order of a pod that runs, and whether it would be allowed today: if not, what runs stays as it is,
        and so do its other objects. Raises RuntimeFailure.
        """
        try:
            return judge(launch, self.templates, self.settings), True
        except RuntimeFailure:
            return judge(launch, self.templates, self.settings, running=True), False

    def _note(self, key: str, problem: str) -> None:
        """Log a problem once, however often it comes again."""
        if self._told.get(key) != problem:
            log.error("kubernetes: pod %s: %s", key, problem)
        self._told[key] = problem


def _runs(found: JSON | None) -> bool:
    return found is not None and is_wanted(found) and not is_going(found)
