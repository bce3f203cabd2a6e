"""Sinks: who is told what the watches bring."""

from dataclasses import dataclass
from typing import Any

from controller.runtimes.kubernetes.drift import STATEFUL_SET, Drift
from controller.runtimes.kubernetes.mirror import Kind, Mirror
from controller.runtimes.kubernetes.order import key_of

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """One kind of objects by which a pod is seen."""

    mirror: Mirror
    drift: Drift
    kind: Kind

    def replace(self, things: list[JSON]) -> None:
        self.mirror.replace(self.kind, things)
        if self.kind is Kind.STATEFUL_SET:
            self.drift.replace(STATEFUL_SET, things)
        for thing in things:
            self._see_pod(thing)

    def put(self, thing: JSON) -> None:
        self.mirror.put(self.kind, thing)
        if self.kind is Kind.STATEFUL_SET:
            self.drift.put(STATEFUL_SET, thing)
        self._see_pod(thing)

    def drop(self, thing: JSON) -> None:
        self.mirror.drop(self.kind, thing)
        if self.kind is Kind.STATEFUL_SET:
            self.drift.drop(STATEFUL_SET, thing["metadata"]["name"])

    def _see_pod(self, thing: JSON) -> None:
        if self.kind is Kind.POD:
            self.drift.see_pod(str(thing["metadata"]["name"]).removesuffix("-0"), thing)


@dataclass(frozen=True, slots=True)
class Beside:
    """One kind of what a pod has beside, by its metadata."""

    mirror: Mirror
    drift: Drift
    kind: str

    def replace(self, things: list[JSON]) -> None:
        before = self.drift.names(self.kind)
        self.drift.replace(self.kind, things)
        for name in before | self.drift.names(self.kind):
            self._look(name)

    def put(self, thing: JSON) -> None:
        self.drift.put(self.kind, thing)
        self._look(thing["metadata"]["name"])

    def drop(self, thing: JSON) -> None:
        self.drift.drop(self.kind, thing["metadata"]["name"])
        self._look(thing["metadata"]["name"])

    def _look(self, name: str) -> None:
        key = key_of(name)
        if key is not None:
            self.mirror.see_parts(key)
