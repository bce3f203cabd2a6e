"""Who reaches whom, by the NetworkPolicies that a chart renders."""

from collections.abc import Iterable

from tests.deploy.charts import JSON, one


def policies_for(documents: list[JSON], labels: JSON, namespace: str) -> list[JSON]:
    """Give the policies that hold for Kubernetes pods with these labels."""
    return [
        each for each in documents
        if each["kind"] == "NetworkPolicy" and each["metadata"]["namespace"] == namespace
        and selects(each["spec"]["podSelector"], labels)
    ]  # fmt: skip


def selects(selector: JSON, labels: JSON) -> bool:
    exact = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return exact and all(
        each["operator"] == "In" and labels.get(each["key"]) in each["values"]
        for each in selector.get("matchExpressions", [])
    )


def lets_in(policies: Iterable[JSON], own: str, port: int, labels: JSON, namespace: str) -> bool:
    """Tell whether what has these labels reaches a port of what the policies, of namespace `own`, hold for."""
    isolating = [each["spec"] for each in policies if "Ingress" in each["spec"]["policyTypes"]]
    return not isolating or any(
        any(entry["port"] == port for entry in rule["ports"])
        and ("from" not in rule or any(_is_peer(peer, own, labels, namespace) for peer in rule["from"]))
        for spec in isolating
        for rule in spec.get("ingress", [])
    )


def _is_peer(peer: JSON, own: str, labels: JSON, namespace: str) -> bool:
    if "ipBlock" in peer:
        return False
    spaces = peer.get("namespaceSelector")
    fits = namespace == own if spaces is None else selects(spaces, {"kubernetes.io/metadata.name": namespace})
    return fits and selects(peer.get("podSelector", {}), labels)


def labels_of(documents: list[JSON], workload: str) -> JSON:
    labels: JSON = one(documents, "StatefulSet", workload)["spec"]["template"]["metadata"]["labels"]
    return labels
