"""The mirror: what the watches brought, and what is seen of each pod by it. Pure.

All names of a pod's objects follow from its key, so what belongs to it is found without a search. Only what changed is
looked at again: ten thousand pods of which one became ready cost one look.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from controller.runtimes import Observed, RuntimeFailure
from controller.runtimes.kubernetes.manifests import KEY, claim_name, pod_name
from controller.runtimes.kubernetes.order import object_name
from controller.runtimes.kubernetes.seeing import see

JSON = Mapping[str, Any]

MOST_WARNINGS = 5_000  # kept; the oldest is forgotten


class Kind(Enum):
    """What is watched: the API's path, and the name in it."""

    STATEFUL_SET = ("apis/apps/v1", "statefulsets")
    POD = ("api/v1", "pods")
    CLAIM = ("api/v1", "persistentvolumeclaims")
    WARNING = ("api/v1", "events")


@dataclass
class Mirror:
    """What is in the cluster, as far as it was told."""

    changed: Callable[[str], None] = lambda _key: None  # told the key of a pod of which something else is seen
    moved: Callable[[str], None] = lambda _key: None  # told the same after each object that was taken
    left: Callable[[str], Sequence[str]] = lambda _name: ()  # gives the kinds of what else is there under a name

    def __post_init__(self) -> None:
        """Begin with nothing."""
        self._things: dict[Kind, dict[str, JSON]] = {kind: {} for kind in Kind}
        self._warnings: dict[str, dict[str, JSON]] = {}  # by the name of what they are about: by their own name
        self._seen: dict[str, Observed] = {}

    @property
    def seen(self) -> Mapping[str, Observed]:
        """Tell of every pod that has anything here, by key."""
        return dict(self._seen)

    def sight(self, key: str) -> Observed | None:
        """Tell what is seen of one pod."""
        return self._seen.get(key)

    def stateful_set(self, key: str) -> JSON | None:
        """Give a pod's StatefulSet."""
        return self._things[Kind.STATEFUL_SET].get(object_name(key))

    def pod(self, key: str) -> JSON | None:
        """Give a pod's Kubernetes pod."""
        return self._things[Kind.POD].get(pod_name(object_name(key)))

    def replace(self, kind: Kind, things: Iterable[JSON]) -> None:
        """Take a whole list in place of what there was of its kind."""
        new = {thing["metadata"]["name"]: thing for thing in things}
        for name in [name for name in self._things[kind] if name not in new]:
            self.drop(kind, self._things[kind][name])
        for thing in new.values():
            self.put(kind, thing)

    def put(self, kind: Kind, thing: JSON) -> None:
        """Take an object as it is now."""
        name = thing["metadata"]["name"]
        if kind is Kind.WARNING:
            self._warn(name, thing)
            return
        key = _key(thing)
        if not _fits(kind, name, key):  # it has our labels and is none of ours
            self.drop(kind, thing)
            return
        self._things[kind][name] = thing
        self._look(key)

    def drop(self, kind: Kind, thing: JSON) -> None:
        """Take it that an object is gone."""
        name = thing["metadata"]["name"]
        gone = self._things[kind].pop(name, None)
        if gone is None:
            return
        if kind is not Kind.WARNING:
            self._look(_key(gone))
            return
        about = _about(gone)
        del self._warnings[about][name]
        if not self._warnings[about]:
            del self._warnings[about]
        self._look_about(about)

    def see_parts(self, key: str) -> None:
        """Take it that what else there is of a pod may have changed; that counts where there is no StatefulSet."""
        if self.stateful_set(key) is None:
            self._look(key)

    def _warn(self, name: str, event: JSON) -> None:
        kept = self._things[Kind.WARNING]
        if name in kept or len(kept) >= MOST_WARNINGS:
            self.drop(Kind.WARNING, kept.get(name) or next(iter(kept.values())))
        kept[name] = event
        self._warnings.setdefault(_about(event), {})[name] = event
        self._look_about(_about(event))

    def _look_about(self, name: str) -> None:
        for kind, things in self._things.items():
            if kind is not Kind.WARNING and name in things:
                self._look(_key(things[name]))

    def _look(self, key: str) -> None:
        name = object_name(key)
        pod, claim = pod_name(name), claim_name(name)
        warnings = [event for about in (name, pod, claim) for event in self._warnings.get(about, {}).values()]
        seen = see(
            self._things[Kind.STATEFUL_SET].get(name),
            self._things[Kind.POD].get(pod),
            self._things[Kind.CLAIM].get(claim),
            warnings,
            self.left(name),
        )
        if seen != self._seen.get(key):
            if seen is None:
                del self._seen[key]
            else:
                self._seen[key] = seen
            self.changed(key)
        self.moved(key)


def _key(thing: JSON) -> str:
    """Give the key of the pod an object belongs to, as it says."""
    return str(thing["metadata"].get("labels", {}).get(KEY, ""))


def _about(event: JSON) -> str:
    """Give the name of what an event is about."""
    return str(event.get("involvedObject", {}).get("name", ""))


def _fits(kind: Kind, name: str, key: str) -> bool:
    """Tell whether an object is called as that of its pod is."""
    try:
        own = object_name(key)
    except RuntimeFailure:
        return False
    return name == {Kind.STATEFUL_SET: own, Kind.POD: pod_name(own), Kind.CLAIM: claim_name(own)}[kind]
