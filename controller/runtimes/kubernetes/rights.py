"""Rights: what the runtime may have to ask of a cluster's API, and which of it an account lacks. Pure.

One list for all who need it: the chart's Role is held to it (`tests/deploy/`), and so is what the runtime really asks
(`tests/controller/runtimes/kubernetes/test_rights.py`); `podgate doctor` compares it with what the cluster grants.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

JSON = Mapping[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One verb on one resource of the pods' namespace."""

    group: str  # of the API; empty: the core's
    resource: str  # with its subresource, such as `pods/log`
    verb: str

    def __str__(self) -> str:
        group = f" ({self.group})" if self.group else ""
        return f"{self.verb} {self.resource}{group}"


def _rights(group: str, resources: str, verbs: str) -> frozenset[Right]:
    return frozenset(Right(group, resource, verb) for resource in resources.split() for verb in verbs.split())


# A server-side apply is a patch, and where there is nothing yet also a create.
NEEDED = (
    _rights("apps", "statefulsets", "get list watch create patch delete")
    | _rights("", "pods persistentvolumeclaims", "get list watch delete")
    | _rights("", "secrets", "create patch")  # not watch: that shows what is in all of them
    | _rights("", "services configmaps", "list watch create patch")
    | _rights("networking.k8s.io", "networkpolicies", "list watch create patch")
    | _rights("", "events", "list watch")
    | _rights("", "pods/log", "get")
)
# Where the admission plugin OwnerReferencesPermissionEnforcement runs, as on OpenShift: whoever names an owner must be
# allowed to keep it from being deleted.
OF_OWNERS = _rights("apps", "statefulsets/finalizers", "update")


def missing(rules: Iterable[JSON], needed: Iterable[Right] = NEEDED) -> list[Right]:
    """Tell which rights no rule grants; `rules` as Kubernetes writes them (PolicyRule, ResourceRule)."""
    rules = list(rules)
    return sorted(right for right in needed if not any(_grants(rule, right) for rule in rules))


def rules_for(rights: Iterable[Right]) -> list[dict[str, list[str]]]:
    """Write rights as the rules of a Role: one for each group and set of verbs."""
    verbs: dict[tuple[str, str], list[str]] = {}
    for right in sorted(rights):
        verbs.setdefault((right.group, right.resource), []).append(right.verb)
    resources: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), of_it in verbs.items():
        resources.setdefault((group, tuple(of_it)), []).append(resource)
    return [
        {"apiGroups": [group], "resources": named, "verbs": list(of_them)}
        for (group, of_them), named in resources.items()
    ]


def _grants(rule: JSON, right: Right) -> bool:
    """Tell whether a rule grants a right on every object; one for some names does not."""
    _resource, _slash, subresource = right.resource.partition("/")
    accepted = {"*", right.resource} | ({f"*/{subresource}"} if subresource else set())
    return (
        not rule.get("resourceNames")
        and bool({"*", right.group} & set(rule.get("apiGroups", ())))
        and bool(accepted & set(rule.get("resources", ())))
        and bool({"*", right.verb} & set(rule.get("verbs", ())))
    )
