"""Drift: which of a pod's objects may not be any more as they were applied. Pure.

What an apply answered carries a version; while what is there has that version, nobody touched it. Whatever else it has,
somebody did: it is applied again, which changes nothing where only a label of theirs was added. So contents are never
compared, nor even read: of Services, ConfigMaps and NetworkPolicies the metadata alone is watched. Secrets are not:
whoever may watch them may read all of the namespace. They are applied again now and then, and when a Kubernetes pod was
replaced, which will want to read its own.

A StatefulSet's status is written all the time, so it is its `generation` (of the API's) that counts as its version.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controller.runtimes.kubernetes.manifests import is_ours
from controller.runtimes.kubernetes.order import key_of
from controller.runtimes.kubernetes.seeing import generation_of
from controller.runtimes.kubernetes.settings import ClusterSettings

JSON = Mapping[str, Any]

WATCHED = ("Service", "ConfigMap", "NetworkPolicy")  # by their metadata
PARTS = ("Secret", *WATCHED)
STATEFUL_SET = "StatefulSet"


@dataclass(frozen=True, slots=True)
class Thing:
    """What is known of an object."""

    uid: str
    version: str
    ours: bool  # by its labels
    owners: frozenset[str]  # their uids


@dataclass(slots=True)
class _Applied:
    """What our last apply of an object was answered."""

    version: str
    stale: Thing | None  # what had been seen of it when it was answered
    told: bool  # something was seen of it since it was asked for


class Drift:
    """What is there beside what we applied, by kind and by the name that all objects of a pod have."""

    def __init__(self, settings: ClusterSettings, doubted: Callable[[str], None]) -> None:
        """`doubted` is told the name of which something may not be as it was applied."""
        self._settings = settings
        self._doubted = doubted
        self._things: dict[str, dict[str, Thing]] = {kind: {} for kind in (*WATCHED, STATEFUL_SET)}
        self._listed: set[str] = set()
        self._applied: dict[tuple[str, str], _Applied] = {}
        self._applying: dict[tuple[str, str], bool] = {}  # and whether something was told of it since
        self._pods: dict[str, tuple[int, str]] = {}  # generation and uid of a Kubernetes pod
        self._replaced: set[str] = set()

    def replace(self, kind: str, things: Iterable[JSON]) -> None:
        """Take a whole list in place of what there was of its kind."""
        new = {thing["metadata"]["name"]: thing for thing in things}
        self._listed.add(kind)
        made = {name for of, name in self._applied if of == kind}
        for name in [name for name in made.union(self._things[kind]) if name not in new]:
            self._things[kind].pop(name, None)
            self._tell(kind, name)
        for thing in new.values():
            self.put(kind, thing)

    def put(self, kind: str, thing: JSON) -> None:
        """Take an object as it is now."""
        metadata = thing["metadata"]
        name = metadata["name"]
        if key_of(name) is None:
            return
        owners = frozenset(str(owner.get("uid")) for owner in metadata.get("ownerReferences") or ())
        found = Thing(str(metadata.get("uid")), _version(kind, metadata), is_ours(thing, self._settings), owners)
        if found != self._things[kind].get(name):
            self._things[kind][name] = found
            self._tell(kind, name)

    def drop(self, kind: str, name: str) -> None:
        """Take it that an object is gone."""
        if self._things[kind].pop(name, None) is not None:
            self._tell(kind, name)

    def see_pod(self, name: str, pod: JSON) -> None:
        """Take it that there is this Kubernetes pod: a second one of a generation was not made by a launch."""
        now = generation_of(pod), str(pod["metadata"].get("uid"))
        before, self._pods[name] = self._pods.get(name, now), now
        if before != now and before[0] == now[0]:
            self._replaced.add(name)
            self._doubted(name)

    def apply(self, kind: str, name: str) -> None:
        """Take it that an object is about to be applied: what is told of it from now on may be older or newer."""
        self._applying[kind, name] = False

    def applied(self, kind: str, name: str, answer: JSON) -> None:
        """Take it that an object was as it is to be when this was answered."""
        if kind == "Secret":
            self._replaced.discard(name)
        told = self._applying.pop((kind, name), False)
        stale = self._things[kind].get(name) if kind in self._things else None
        self._applied[kind, name] = _Applied(_version(kind, answer["metadata"]), stale, told)
        if kind in self._things and self._is_doubtful(kind, name):
            self._doubted(name)

    def doubtful(self, name: str, expected: Collection[str]) -> set[str]:
        """Tell which of the expected kinds of a pod's objects are not there, or not as they were applied."""
        found = {kind for kind in expected if kind in self._listed and self._is_doubtful(kind, name)}
        return found | ({"Secret"} & set(expected) if name in self._replaced else set())

    def unknown(self, name: str, expected: Collection[str]) -> set[str]:
        """Tell which of the expected kinds of a pod's objects were not applied in our life."""
        return {kind for kind in expected if (kind, name) not in self._applied}

    def is_foreign(self, kind: str, name: str, owner: str) -> bool:
        """Tell whether an object is another's: without our labels, and without our StatefulSet as its owner."""
        found = self._things.get(kind, {}).get(name)
        return found is not None and not found.ours and owner not in found.owners

    def names(self, kind: str) -> set[str]:
        """Give the names under which there is one of a kind."""
        return set(self._things[kind])

    def left(self, name: str) -> list[str]:
        """Tell which kinds there are of ours under a name."""
        return [kind for kind in WATCHED if (found := self._things[kind].get(name)) is not None and found.ours]

    def forget(self, name: str) -> None:
        """Let go of what was applied for a pod that is no more."""
        for kind in (*PARTS, STATEFUL_SET):
            self._applied.pop((kind, name), None)
            self._applying.pop((kind, name), None)
        self._pods.pop(name, None)
        self._replaced.discard(name)

    def _is_doubtful(self, kind: str, name: str) -> bool:
        found, applied = self._things[kind].get(name), self._applied.get((kind, name))
        if applied is None:
            return found is None
        return (found is None or found.version != applied.version) and (applied.told or found != applied.stale)

    def _tell(self, kind: str, name: str) -> None:
        if (kind, name) in self._applying:
            self._applying[kind, name] = True
        applied = self._applied.get((kind, name))
        if applied is not None:
            applied.told = True
        if self._is_doubtful(kind, name):
            self._doubted(name)


def _version(kind: str, metadata: JSON) -> str:
    return str(metadata.get("generation" if kind == STATEFUL_SET else "resourceVersion"))
