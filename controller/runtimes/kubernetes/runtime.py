"""The Kubernetes runtime: the protocol of controller.runtimes over a cluster's API. Its theory of operation is in the
package's docstring.

Calls decide by what the API says at that moment; `observe` answers from the mirror. A call that changed something
returns when the mirror shows it, so that whoever looks next is not told what was before.
"""

import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio

from controller.runtimes import Launch, Observed, RuntimeFailure
from controller.runtimes.kubernetes.access import Access
from controller.runtimes.kubernetes.client import Cluster, ClusterFailure
from controller.runtimes.kubernetes.drift import PARTS, STATEFUL_SET, WATCHED, Drift
from controller.runtimes.kubernetes.logs import read_logs
from controller.runtimes.kubernetes.manifests import (
    STOPPED,
    claim_name,
    is_ours,
    pod_name,
    selector,
    stateful_set,
    volume_of,
)
from controller.runtimes.kubernetes.mending import Mending
from controller.runtimes.kubernetes.mirror import Kind, Mirror
from controller.runtimes.kubernetes.order import Order, judge, object_name, offered
from controller.runtimes.kubernetes.parts import Parts
from controller.runtimes.kubernetes.seeing import generation_of, is_going, is_over, is_wanted
from controller.runtimes.kubernetes.settings import ClusterSettings
from controller.runtimes.kubernetes.sinks import Beside, Seen
from controller.runtimes.kubernetes.watching import Watching
from controller.templates import Template

JSON = dict[str, Any]

MIRROR_LIMIT = 2.0  # seconds a call waits for the mirror: after that it is told what was before, and nothing is lost
PARTS_LIMIT = 10.0  # seconds until all goes on without a list of Services, ConfigMaps and NetworkPolicies
MOST_READERS = 32  # logs that are read at once: half the connections (client.py)
SHORTEST_GRACE = 1  # second: 0 would take the pod out of the API while its processes may still run

_PLURALS = {
    "Service": ("api/v1", "services"),
    "Secret": ("api/v1", "secrets"),
    "ConfigMap": ("api/v1", "configmaps"),
    "NetworkPolicy": ("apis/networking.k8s.io/v1", "networkpolicies"),
}

log = logging.getLogger(__name__)


class KubernetesRuntime:
    """Runs pods in a Kubernetes cluster. See controller.runtimes.Runtime."""

    def __init__(self, settings: ClusterSettings, templates: Mapping[str, Template], access: Access) -> None:
        self._settings = settings
        self._templates = offered(templates)
        self._access = access
        self._waiting: dict[str, trio.Event] = {}  # by key: set when the mirror takes an object of that pod
        self._drift = Drift(settings, lambda name: self._mending.doubt(name))
        self._mirror = Mirror(self._notice, self._taken, self._drift.left)
        self._parts = Parts(settings, self._drift, self._path)
        self._mending = Mending(
            settings, self._templates, self._mirror, self._drift, self._parts, self._alone, self._path
        )
        self._changed = trio.Event()
        self._moved: set[str] = set()  # keys of pods of which something else is seen
        self._ready = trio.Event()  # the mirror has been told everything once
        self._opened: Cluster | None = None
        self._readers = 0
        self._busy: dict[str, trio.Lock] = {}

    async def run(self) -> None:
        """Watch the cluster until cancelled."""
        async with Cluster(self._access) as cluster, trio.open_nursery() as nursery:
            self._opened = cluster
            watches = [self._watching(cluster, kind) for kind in Kind]
            beside = [self._watching_beside(cluster, kind) for kind in WATCHED]
            for watch in (*watches, *beside):
                nursery.start_soon(watch.run)
            for kind, watch in zip(Kind, watches, strict=True):
                if kind is not Kind.WARNING:  # they only explain
                    await watch.listed.wait()
            with trio.move_on_after(PARTS_LIMIT) as waiting:
                for watch in beside:
                    await watch.listed.wait()
            if waiting.cancelled_caught:
                log.error(
                    "kubernetes: what is deleted or changed by hand is not seen: %s",
                    "; ".join(filter(None, (watch.problem for watch in beside))) or "the cluster gives no list",
                )
            log.info("kubernetes: %d pods in namespace %s", len(self._mirror.seen), self._settings.namespace)
            self._ready.set()
            self._changed.set()
            nursery.start_soon(self._mending.run)

    def know(self, launch_of: Callable[[str], Launch | None]) -> None:
        """Learn how to ask what a pod is to be like: what somebody changed by hand is mended by it."""
        self._mending.launch_of = launch_of

    async def changed(self) -> Collection[str]:
        """Wait until the answer of `observe` may have changed since the last call of `changed` returned; give the keys
        of the pods of which it has: of ten thousand usually one.
        """
        await self._changed.wait()
        self._changed = trio.Event()
        moved, self._moved = self._moved, set()
        return moved

    async def observe(self, keys: Collection[str] | None = None) -> Mapping[str, Observed]:
        """Tell of every pod that has anything in the cluster, or of some, as soon as everything was listed once."""
        await self._ready.wait()
        if keys is None:
            return self._mirror.seen
        return {key: seen for key in keys if (seen := self._mirror.sight(key)) is not None}

    async def launch(self, pod: Launch) -> None:
        """Start a pod that is not running; nothing happens if this generation was started before."""
        order = judge(pod, self._templates, self._settings)
        async with self._alone(pod.key, f"{pod.name} could not be started") as cluster:
            await self._launch(cluster, order)
            await self._until(pod.key, lambda: _has_come(self._mirror.stateful_set(pod.key), pod.generation))

    async def stop(self, key: str, grace: float) -> None:
        """Take a pod's replica away. What has ended already stays as it is."""
        name = object_name(key)
        async with self._alone(key, "the pod could not be stopped") as cluster:
            found, pod = await self._look(cluster, name)
            if pod is not None:  # first: who asks second may only shorten the grace, and a StatefulSet asks for 30 s
                await self._end(cluster, pod, grace)
            if found is not None and (is_wanted(found) or pod is not None):
                stopped = {"metadata": {"annotations": {STOPPED: f"{time.time():.3f}"}}, "spec": {"replicas": 0}}
                self._drift.apply(STATEFUL_SET, name)
                answer = await cluster.merge(self._path("StatefulSet", name), stopped)
                if answer is not None:
                    self._drift.applied(STATEFUL_SET, name, answer)
            await self._until(key, lambda: not _runs(self._mirror.stateful_set(key), self._mirror.pod(key)))

    async def remove(self, key: str) -> None:
        """Delete all that an exited pod has here; it is seen until the cluster has done so."""
        name = object_name(key)
        async with self._alone(key, "the pod could not be removed") as cluster:
            found, pod = await self._look(cluster, name)
            runs = is_wanted(found) and not is_going(found) if pod is None and found is not None else pod is not None
            if runs and not (pod is not None and is_over(pod)):
                raise RuntimeFailure("the pod still runs; stop it before it is removed")
            if await self._get(cluster, "PersistentVolumeClaim", claim_name(name)) is not None:
                await cluster.delete(self._path("PersistentVolumeClaim", claim_name(name)))
            # Gone when all it owns is gone: until then it is seen.
            await cluster.delete(self._path("StatefulSet", name), {"propagationPolicy": "Foreground"})
            if found is None:  # somebody deleted it and kept what it owned
                await self._parts.release(cluster, name)
            self._drift.forget(name)
            if self._mirror.stateful_set(key) is not None:
                await self._until(key, lambda: _is_leaving(self._mirror.stateful_set(key)))

    def logs(self, key: str, tail: int, follow: bool) -> AsyncIterator[bytes]:
        """Give the last `tail` lines of a pod's last start, then, if told so, what it writes until it is removed.

        What a stopped pod wrote is gone: Kubernetes keeps no log of a pod that is no more.
        """
        path = self._path("Pod", pod_name(object_name(key)))
        another = partial(self._next, key)
        return read_logs(self._reading, path, partial(self._mirror.pod, key), another, tail, follow)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Cluster]:
        """Keep logs that are read from taking the connections that all else needs. Raises RuntimeFailure."""
        cluster = await self._cluster()
        if self._readers >= MOST_READERS:
            raise RuntimeFailure(f"{MOST_READERS} logs are being read already; try again when another was closed")
        self._readers += 1
        try:
            yield cluster
        finally:
            self._readers -= 1

    async def _next(self, key: str) -> bool:
        """Wait until an object of this pod changed; tell whether it still is there."""
        if self._mirror.sight(key) is not None:
            await self._take(key)
        return self._mirror.sight(key) is not None

    async def _cluster(self) -> Cluster:
        await self._ready.wait()
        if self._opened is None:
            raise RuntimeFailure("the runtime is not running")
        return self._opened

    @asynccontextmanager
    async def _alone(self, key: str, what: str) -> AsyncIterator[Cluster]:
        """Do one thing at a time with a pod; what the cluster says against it is for its owner."""
        cluster = await self._cluster()
        lock = self._busy.setdefault(key, trio.Lock())
        try:
            async with lock:
                yield cluster
        except ClusterFailure as failure:
            raise RuntimeFailure(f"{what}: {failure}") from failure
        finally:
            if not lock.locked():
                self._busy.pop(key, None)

    async def _launch(self, cluster: Cluster, order: Order) -> None:
        path, generation = self._path("StatefulSet", order.name), order.pod.generation
        found, pod = await self._look(cluster, order.name)
        if found is not None and is_going(found):
            raise RuntimeFailure("what was removed is still being deleted; it is tried again")
        outdated = pod is not None and generation_of(pod) < generation
        if found is not None and generation_of(found) >= generation:  # a repetition, or late
            if pod is not None and outdated and is_over(pod):
                await self._end(cluster, pod)
            return
        if pod is not None and not is_over(pod):
            raise RuntimeFailure(f"{order.pod.name} still runs; it is started anew when it has ended")
        self._parts.check(order, found)
        volume = volume_of(order, found)
        if found is None:
            found = await cluster.apply(path, stateful_set(order, volume, generation=0))
        await self._parts.apply(cluster, order, found, PARTS)
        self._drift.apply(STATEFUL_SET, order.name)
        answer = await cluster.apply(path, stateful_set(order, volume, generation=generation))
        self._drift.applied(STATEFUL_SET, order.name, answer)
        if pod is not None:  # in back-off: the next one is made in its place
            await self._end(cluster, pod)

    async def _look(self, cluster: Cluster, name: str) -> tuple[JSON | None, JSON | None]:
        """Give a pod's StatefulSet and Kubernetes pod as they are now."""
        found = await self._get(cluster, "StatefulSet", name)
        return found, await self._get(cluster, "Pod", pod_name(name))

    async def _get(self, cluster: Cluster, kind: str, name: str) -> JSON | None:
        """Read what is called so; what is another's is not touched. Raises RuntimeFailure."""
        found = await cluster.get(self._path(kind, name))
        if found is not None and not is_ours(found, self._settings):
            raise RuntimeFailure(self._parts.told(kind, name))
        return found

    async def _end(self, cluster: Cluster, pod: JSON, grace: float | None = None) -> None:
        """Delete this Kubernetes pod, and not one made in its place."""
        options: JSON = {"preconditions": {"uid": pod["metadata"]["uid"]}}
        if grace is not None:
            options["gracePeriodSeconds"] = max(math.ceil(grace), SHORTEST_GRACE)
        await cluster.delete(self._path("Pod", pod["metadata"]["name"]), options)

    async def _until(self, key: str, shown: Callable[[], bool]) -> None:
        """Wait until the mirror shows what was done to a pod, but not for ever."""
        with trio.move_on_after(MIRROR_LIMIT):
            while not shown():
                await self._take(key)

    async def _take(self, key: str) -> None:
        """Wait until the mirror takes an object of a pod, also where nothing else is seen by it."""
        waiting = self._waiting.setdefault(key, trio.Event())
        try:
            await waiting.wait()
        finally:
            if self._waiting.get(key) is waiting and not waiting.statistics().tasks_waiting:
                del self._waiting[key]  # the last one left, and the pod may be gone

    def _taken(self, key: str) -> None:
        """Wake who waits for that, and nobody else: hundreds may wait for as many pods."""
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            waiting.set()

    def _notice(self, key: str) -> None:
        self._moved.add(key)
        if self._ready.is_set():
            self._changed.set()

    def _watching(self, cluster: Cluster, kind: Kind) -> Watching:
        api, plural = kind.value
        params = {"fieldSelector": "type=Warning"} if kind is Kind.WARNING else {}
        if kind is not Kind.WARNING:
            params["labelSelector"] = selector(self._settings)
        path = f"/{api}/namespaces/{self._settings.namespace}/{plural}"
        return Watching(cluster, path, params, Seen(self._mirror, self._drift, kind))

    def _watching_beside(self, cluster: Cluster, kind: str) -> Watching:
        """Watch all of a namespace: what is another's and has the name of ours is to be seen, too."""
        api, plural = _PLURALS[kind]
        path = f"/{api}/namespaces/{self._settings.namespace}/{plural}"
        return Watching(cluster, path, {}, Beside(self._mirror, self._drift, kind), metadata_only=True)

    def _path(self, kind: str, name: str) -> str:
        api, plural = _PLURALS.get(kind) or _WATCHED[kind]
        return f"/{api}/namespaces/{self._settings.namespace}/{plural}/{name}"


_WATCHED = {
    "StatefulSet": Kind.STATEFUL_SET.value,
    "Pod": Kind.POD.value,
    "PersistentVolumeClaim": Kind.CLAIM.value,
}


def _has_come(found: Mapping[str, Any] | None, generation: int) -> bool:
    return found is not None and generation_of(found) >= generation


def _runs(found: Mapping[str, Any] | None, pod: Mapping[str, Any] | None) -> bool:
    return found is not None and is_wanted(found) and (pod is None or not is_going(pod))


def _is_leaving(found: Mapping[str, Any] | None) -> bool:
    return found is None or is_going(found)
