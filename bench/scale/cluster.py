"""A DOUBLE of a cluster: objects, and what the controllers and kubelets of a cluster would do with them. No pod runs.

As in a real one: every change gets a version and is told to whoever watches its kind; a StatefulSet's Pod is made when
it is missing and taken away when it is not wanted; a Pod goes through the states a kubelet shows (scheduled, container
made, running, ready), each with an event of its own, and so does its end; objects carry `managedFields` of true size.
Not as there: nothing is judged, versions count from 1 for all kinds together, one namespace is all there is, and a Pod
is ready after a fixed time.
"""

import json
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import trio

from bench.scale.objects import (
    A_KEY,
    A_NAME,
    A_UID,
    AN_ADDRESS,
    CLAIMS,
    PARTS,
    PODS,
    SETS,
    end_of,
    first_texts,
    is_ready,
    known_of,
    managed,
    merged,
    name_of,
    now,
    start_of,
    text_of,
)
from bench.scale.population import Inhabitant

JSON = dict[str, Any]

MOST_KEPT = 20_000  # events of a kind that a watch can begin at; before them it is 410
PORT = 8080  # of the template


class Stored(NamedTuple):
    """An object, and its JSON."""

    thing: JSON
    text: bytes


class Log:
    """What happened to one kind, for those who watch it."""

    def __init__(self) -> None:
        self.events: deque[bytes] = deque(maxlen=MOST_KEPT)
        self.versions: deque[int] = deque(maxlen=MOST_KEPT)
        self.count = 0  # of all events ever
        self.more = trio.Event()

    def add(self, version: int, event: bytes) -> None:
        """Tell an event."""
        self.events.append(event)
        self.versions.append(version)
        self.count += 1
        self.more.set()
        self.more = trio.Event()

    def after(self, count: int) -> bytes:
        """Give what came after the first `count` events."""
        missing = min(self.count - count, len(self.events))
        return b"".join(self.events[place] for place in range(len(self.events) - missing, len(self.events)))

    def seen_by(self, version: int) -> int:
        """Give how many events somebody knows who knows this version."""
        later = 0
        for each in reversed(self.versions):
            if each <= version:
                break
            later += 1
        return self.count - later


class Cluster:
    """The state of the cluster. `told` takes a word, a pod's name and an address, at the moment somebody can see it."""

    def __init__(
        self, nursery: trio.Nursery, told: Callable[[str, str, str], None], starting: float, stopping: float
    ) -> None:
        self.version = 1
        self.objects: dict[str, dict[str, Stored]] = {
            plural: {} for plural in (SETS, PODS, CLAIMS, *PARTS.values(), "events")
        }
        self.logs: dict[str, Log] = {}
        self._said: dict[tuple[str, str], bytes] = {}  # of parts: how they were applied, which is not kept otherwise
        self._nursery = nursery
        self._told = told
        self._starting = starting
        self._stopping = stopping
        self._addresses = _addresses()

    def log(self, plural: str) -> Log:
        """Give what happens to a kind."""
        return self.logs.setdefault(plural, Log())

    def settle_in(self, inhabitants: Iterable[Inhabitant]) -> None:
        """Have these pods be there as if they had been for long; nobody is told."""
        texts = first_texts()
        for each in inhabitants:
            address, uid = next(self._addresses), str(uuid.uuid4())  # the uids of different kinds are never compared
            for plural in [of for of, on in texts if on == each.on and (on or of != PODS)]:
                text = texts[plural, each.on].replace(A_KEY, each.key).replace(A_NAME, each.name)
                thing = json.loads(text.replace(AN_ADDRESS, address).replace(A_UID, uid))
                self.version += 1
                thing["metadata"]["resourceVersion"] = str(self.version)
                self.objects[plural][thing["metadata"]["name"]] = Stored(thing, text_of(thing))

    def find(self, plural: str, name: str) -> JSON | None:
        """Give an object."""
        found = self.objects.setdefault(plural, {}).get(name)
        return found.thing if found else None

    def put(self, plural: str, thing: JSON) -> Stored:
        """Store an object, new or changed, tell who watches, and do what follows from it."""
        kept = self.objects.setdefault(plural, {})
        name = thing["metadata"]["name"]
        kind = b"MODIFIED" if name in kept else b"ADDED"
        self._stamp(thing)
        stored = kept[name] = Stored(thing, text_of(thing))
        self._tell(plural, kind, stored)
        if plural == SETS:
            self._tend(name)
        return stored

    def apply(self, plural: str, name: str, document: JSON) -> Stored:
        """Make an object as the document says; what it does not say stays. Where nothing changes, nothing is told."""
        found = self.find(plural, name)
        if plural in PARTS.values():
            said = text_of(document)
            if found is not None and self._said.setdefault((plural, name), said) == said:
                return self.objects[plural][name]
            self._said[plural, name] = said
            document = known_of(document)
        if found is None:
            document["metadata"]["managedFields"] = managed(document)
            if plural == SETS:
                document["status"] = {"replicas": 0}
            return self.put(plural, document)
        metadata = dict(found["metadata"])
        for each in ("labels", "annotations"):
            if each in document["metadata"]:
                metadata[each] = {**metadata.get(each, {}), **document["metadata"][each]}
        new = {**found, **document, "metadata": metadata}
        return self.objects[plural][name] if new == found else self.put(plural, new)

    def merge(self, plural: str, name: str, patch: JSON) -> Stored:
        """Change an object. Raises KeyError."""
        return self.put(plural, merged(self.objects[plural][name].thing, patch))

    def delete(self, plural: str, name: str, options: Mapping[str, Any], *, by_hand: bool) -> bool:
        """Delete an object as the API does; tell whether it was the one that is meant. Raises KeyError."""
        thing = self.objects[plural][name].thing
        if options.get("preconditions", {}).get("uid", thing["metadata"]["uid"]) != thing["metadata"]["uid"]:
            return False
        if plural == PODS:
            self._end_pod(name, by_hand=by_hand)
        elif plural == SETS and options.get("propagationPolicy") == "Foreground":
            thing["metadata"]["deletionTimestamp"] = now()
            self.put(SETS, thing)
        elif plural == CLAIMS and self.find(PODS, name.partition("-")[2]) is not None:
            thing["metadata"]["deletionTimestamp"] = now()
            self.put(CLAIMS, thing)
        else:
            self.drop(plural, name)
            if plural == SETS:
                self._end_pod(f"{name}-0", by_hand=by_hand)
        return True

    def drop(self, plural: str, name: str) -> None:
        """Take an object out."""
        found = self.objects.get(plural, {}).pop(name, None)
        if found is None:
            return
        self._said.pop((plural, name), None)
        self._stamp(found.thing)
        self._tell(plural, b"DELETED", Stored(found.thing, text_of(found.thing)))
        if plural == SETS:
            for other in PARTS.values():
                self.drop(other, name)

    def _stamp(self, thing: JSON) -> None:
        self.version += 1
        metadata = thing["metadata"]
        metadata.setdefault("uid", str(uuid.uuid4()))
        metadata.setdefault("creationTimestamp", now())
        metadata["resourceVersion"] = str(self.version)

    def _tell(self, plural: str, kind: bytes, stored: Stored) -> None:
        self.log(plural).add(self.version, b'{"type":"' + kind + b'","object":' + stored.text + b"}\n")

    def _tend(self, name: str) -> None:
        """Do with a StatefulSet what its controller would."""
        thing, pod = self.find(SETS, name), self.find(PODS, f"{name}-0")
        if thing is None:
            return
        wanted = thing["spec"].get("replicas", 1) > 0
        if thing["metadata"].get("deletionTimestamp"):
            if pod is None:
                self.drop(SETS, name)
            else:
                self._end_pod(f"{name}-0", by_hand=False)
        elif wanted and pod is None:
            self._make_pod(name, thing)
        elif not wanted and pod is not None:
            self._end_pod(f"{name}-0", by_hand=False)

    def _make_pod(self, name: str, owner: JSON) -> None:
        claim = owner["spec"]["volumeClaimTemplates"][0]
        if self.find(CLAIMS, f"data-{name}-0") is None:
            metadata = {"name": f"data-{name}-0", "labels": claim["metadata"]["labels"]}
            self.put(CLAIMS, {"metadata": metadata, "spec": claim["spec"], "status": {"phase": "Bound"}})
        template = owner["spec"]["template"]
        reference = {"kind": "StatefulSet", "name": name, "uid": owner["metadata"]["uid"]}
        pod: JSON = {
            "metadata": {**template["metadata"], "name": f"{name}-0", "ownerReferences": [reference]},
            "spec": template["spec"],
            "status": {"phase": "Pending"},
        }
        pod["metadata"]["managedFields"] = managed(pod)
        self.put(PODS, pod)
        self._nursery.start_soon(self._run_pod, f"{name}-0", pod["metadata"]["uid"])

    async def _run_pod(self, name: str, uid: str) -> None:
        """Show a Pod's way to being ready, as a scheduler and a kubelet do."""
        address, owner = next(self._addresses), ""
        for status in start_of(address):
            await trio.sleep(self._starting / 3)
            pod = self.find(PODS, name)
            if pod is None or pod["metadata"]["uid"] != uid or pod["metadata"].get("deletionTimestamp"):
                return
            owner = name_of(pod)
            self.put(PODS, {**pod, "status": status})
        self._told("ready", owner, f"{address}:{PORT}")
        self._count(name, 1)

    def _end_pod(self, name: str, *, by_hand: bool) -> None:
        pod = self.find(PODS, name)
        if pod is None or pod["metadata"].get("deletionTimestamp"):
            return
        pod["metadata"] |= {"deletionTimestamp": now(30.0), "deletionGracePeriodSeconds": 30}
        self.put(PODS, pod)
        if by_hand and is_ready(pod):
            self._told("away", name_of(pod), f"{pod['status']['podIP']}:{PORT}")
        self._nursery.start_soon(self._let_end, name)

    async def _let_end(self, name: str) -> None:
        await trio.sleep(self._stopping)
        pod = self.find(PODS, name)
        if pod is None:
            return
        self.put(PODS, {**pod, "status": {**pod["status"], **end_of()}})
        self.drop(PODS, name)
        claim = self.find(CLAIMS, f"data-{name}")
        if claim is not None and claim["metadata"].get("deletionTimestamp"):
            self.drop(CLAIMS, f"data-{name}")
        self._count(name, 0)

    def _count(self, pod: str, ready: int) -> None:
        """Show in a StatefulSet's status how many of its Pods are ready; what follows is done, too."""
        name = pod.removesuffix("-0")
        thing = self.find(SETS, name)
        if thing is not None:
            status = {"replicas": ready, "readyReplicas": ready, "availableReplicas": ready, "observedGeneration": 1}
            self.put(SETS, {**thing, "status": status})


def _addresses() -> Iterator[str]:
    """Give addresses, none of them twice."""
    return (f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}" for number in range(1 << 16, 1 << 24))
