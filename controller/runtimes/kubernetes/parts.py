"""A pod's parts: what it needs beside its StatefulSet, applied, or let go of when nobody owns it any more.

What has a part's name and is another's is not touched. Of Services, ConfigMaps and NetworkPolicies that is seen by
their labels; a Secret is not read, but ours are of a type of their own, which the API never lets change (422).
"""

import uuid
from collections.abc import Callable, Collection
from typing import Any

from controller.runtimes import RuntimeFailure
from controller.runtimes.kubernetes.client import METADATA, Cluster, ClusterFailure
from controller.runtimes.kubernetes.drift import Drift
from controller.runtimes.kubernetes.manifests import SECRET_TYPE, belongings, owner_of
from controller.runtimes.kubernetes.order import Order
from controller.runtimes.kubernetes.settings import ClusterSettings

JSON = dict[str, Any]

_INVALID = 422


class Parts:
    """Applies them, and has `Drift` know."""

    def __init__(self, settings: ClusterSettings, drift: Drift, path: Callable[[str, str], str]) -> None:
        """`path` gives the API's path of an object by its kind and name."""
        self._settings = settings
        self._drift = drift
        self._path = path

    def check(self, order: Order, stateful_set: JSON | None) -> None:
        """Refuse what another has taken the name of. Raises RuntimeFailure."""
        owner = stateful_set["metadata"]["uid"] if stateful_set else ""
        for kind in kinds_of(order):
            if self._drift.is_foreign(kind, order.name, owner):
                raise RuntimeFailure(self.told(kind, order.name))

    async def apply(self, cluster: Cluster, order: Order, stateful_set: JSON, kinds: Collection[str]) -> None:
        """Make parts as they are to be, owned by the StatefulSet. Raises RuntimeFailure, ClusterFailure."""
        for document in belongings(order, owner_of(stateful_set)):
            kind = document["kind"]
            if kind not in kinds:
                continue
            self._drift.apply(kind, order.name)
            try:
                answer = await cluster.apply(self._path(kind, order.name), document, METADATA)
            except ClusterFailure as failure:
                if kind == "Secret" and failure.status == _INVALID:
                    raise RuntimeFailure(f"{failure}; if so: {self.told(kind, order.name)}") from failure
                raise
            self._drift.applied(kind, order.name, answer)

    async def release(self, cluster: Cluster, name: str) -> None:
        """Have the cluster delete what is left of a pod without a StatefulSet. Raises ClusterFailure.

        That needs no right to delete, nor to see Secrets: what has owners of which none is there is collected
        (https://kubernetes.io/docs/concepts/architecture/garbage-collection/), so it is given one that never was.
        """
        nobody = {
            "apiVersion": "apps/v1", "kind": "StatefulSet", "name": name,
            "uid": str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.released")),
        }  # fmt: skip
        for kind in (*self._drift.left(name), "Secret"):
            patch: JSON = {"metadata": {"ownerReferences": [nobody]}}
            if kind == "Secret":
                patch["type"] = SECRET_TYPE
            try:
                await cluster.merge(self._path(kind, name), patch, METADATA)
            except ClusterFailure as failure:
                if kind != "Secret" or failure.status != _INVALID:
                    raise
        self._drift.forget(name)

    def told(self, kind: str, name: str) -> str:
        """Say that a name is taken."""
        return (
            f"{kind} {name} in namespace {self._settings.namespace} is another's; give Podgate its own namespace, "
            "or take that away"
        )


def kinds_of(order: Order) -> tuple[str, ...]:
    """Give the kinds of an order's parts."""
    return ("Service", "Secret", "NetworkPolicy", *(("ConfigMap",) if order.template.start else ()))
