"""The objects of an order, as they are applied. Pure: equal orders give equal documents.

    StatefulSet    of one or no replica; owns the others, and its annotations are all that is remembered of a pod
    Service        its name in the cluster
    Secret         passwords and the owner's variables
    ConfigMap      the template's files
    NetworkPolicy  who may reach it: gateways, and the controller where it keeps the pod's passwords

The volume is made of the StatefulSet's claim template and is owned by nobody: whoever deletes the StatefulSet by hand
loses no data.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.runtimes.kubernetes.container import MAIN, VOLUME, pod_spec
from controller.runtimes.kubernetes.order import Order, object_name
from controller.runtimes.kubernetes.settings import ClusterSettings

JSON = dict[str, Any]

PREFIX = "podgate.internal"  # of labels and annotations; .internal is nobody's
KEY = f"{PREFIX}/pod"
INSTANCE = f"{PREFIX}/instance"
GENERATION = f"{PREFIX}/generation"
UPSTREAMS = f"{PREFIX}/upstreams"  # JSON: by endpoint, its port
HOST = f"{PREFIX}/host"  # what gateways dial instead of the pod's own address
NAME = f"{PREFIX}/name"
STOPPED = f"{PREFIX}/stopped"  # when it was told to stop, seconds since 1970
SECRET_TYPE = f"{PREFIX}/pod"  # of our Secrets: the API lets no Secret become of another type
PART_OF, COMPONENT = "app.kubernetes.io/part-of", "app.kubernetes.io/component"
MANAGED_BY = "app.kubernetes.io/managed-by"

# Where clouds tell any machine, and so any pod, its credentials: most, and GKE's stand-in for it (.252), to which a
# policy sees packets for .254 go; AWS for containers; Azure; Alibaba; AWS by IPv6, for machines and for containers;
# Google by IPv6.
METADATA_SERVICES = ("169.254.169.0/24", "169.254.170.0/24", "168.63.129.16/32", "100.100.100.200/32")
METADATA_SERVICES_6 = ("fd00:ec2::/64", "fd20:ce::254/128")


@dataclass(frozen=True, slots=True)
class Volume:
    """What a claim asks for: it cannot be another once the StatefulSet is made."""

    size: str
    storage_class: str = ""


def pod_name(name: str) -> str:
    """Give the name of the Kubernetes pod."""
    return f"{name}-0"


def claim_name(name: str) -> str:
    """Give the name of the claim."""
    return f"{VOLUME}-{name}-0"


def selector(settings: ClusterSettings) -> str:
    """Give the label selector of all that is ours."""
    return f"{MANAGED_BY}=podgate,{INSTANCE}={settings.instance}"


def is_ours(thing: Mapping[str, Any], settings: ClusterSettings) -> bool:
    """Tell whether an object is one of this controller's."""
    labels = thing["metadata"].get("labels") or {}
    return labels.get(MANAGED_BY) == "podgate" and labels.get(INSTANCE) == settings.instance


def owner_of(stateful_set: Mapping[str, Any]) -> JSON:
    """Give the reference by which an object goes when the StatefulSet goes, and no later."""
    metadata = stateful_set["metadata"]
    return {
        "apiVersion": "apps/v1", "kind": "StatefulSet", "name": metadata["name"], "uid": metadata["uid"],
        "blockOwnerDeletion": True, "controller": False,
    }  # fmt: skip


def volume_of(order: Order, found: Mapping[str, Any] | None) -> Volume:
    """Give the volume of the StatefulSet that is there, or else of the order."""
    if found is None:
        return Volume(order.chosen("disk", order.settings.disk), order.settings.storage_class)
    claim = found["spec"]["volumeClaimTemplates"][0]["spec"]
    return Volume(claim["resources"]["requests"]["storage"], claim.get("storageClassName", ""))


def stateful_set(order: Order, volume: Volume, *, generation: int) -> JSON:
    """Give the StatefulSet that runs this generation; of generation 0 it runs nothing."""
    labels = _labels(order)
    claim: JSON = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": volume.size}}}
    if volume.storage_class:
        claim["storageClassName"] = volume.storage_class
    return _document(
        order,
        "apps/v1",
        "StatefulSet",
        annotations=_facts(order, generation),
        spec={
            "replicas": 1 if generation else 0,
            "serviceName": order.name,
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "OnDelete"},  # when a pod ends is decided by the controller
            "revisionHistoryLimit": 1,
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
            "selector": {"matchLabels": {KEY: order.pod.key, INSTANCE: order.settings.instance}},
            "template": {
                "metadata": {"labels": labels, "annotations": _facts(order, generation)},
                "spec": pod_spec(order),
            },
            "volumeClaimTemplates": [
                {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": VOLUME, "labels": labels},
                 "spec": claim}
            ],
        },
    )  # fmt: skip


def belongings(order: Order, owner: JSON) -> list[JSON]:
    """Give what a pod needs beside its StatefulSet, which owns it."""
    documents = [_service(order), _secret(order), _policy(order)]
    if order.template.start:
        documents.append(_config(order))
    for document in documents:
        document["metadata"]["ownerReferences"] = [owner]
    return documents


def _service(order: Order) -> JSON:
    spec: JSON = {
        "selector": {KEY: order.pod.key, INSTANCE: order.settings.instance},
        "ports": [
            {"name": f"port-{order.port(variable)}", "port": order.port(variable), "targetPort": order.port(variable)}
            for variable in order.part.ports
        ],
        "type": "ClusterIP",
    }
    if order.settings.reach == "pod":
        spec["clusterIP"] = "None"
    return _document(order, "v1", "Service", spec=spec)


def _secret(order: Order) -> JSON:
    content = {f"secret.{name}": value for name, value in order.pod.secrets.items()}
    content |= {f"env.{name}": value for name, value in order.pod.env.items()}
    encoded = {name: base64.b64encode(value.encode()).decode() for name, value in content.items()}
    return {**_document(order, "v1", "Secret"), "type": SECRET_TYPE, "data": encoded}


def _config(order: Order) -> JSON:
    files = {path.name: path.read_text() for path in order.template.files}
    return {**_document(order, "v1", "ConfigMap"), "data": files}


def _policy(order: Order) -> JSON:
    """Admit gateways to the pod's ports; let the pod out, but not to where a machine's own credentials are told."""
    components = ["gateway", "controller"] if order.template.keeper else ["gateway"]
    peer: JSON = {
        "podSelector": {
            "matchLabels": {PART_OF: "podgate"},
            "matchExpressions": [{"key": COMPONENT, "operator": "In", "values": components}],
        }
    }
    if order.settings.gateways_namespace:
        name = {"kubernetes.io/metadata.name": order.settings.gateways_namespace}
        peer["namespaceSelector"] = {"matchLabels": name}
    ports = [{"port": order.port(variable), "protocol": "TCP"} for variable in order.part.ports]
    dns = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    return _document(
        order,
        "networking.k8s.io/v1",
        "NetworkPolicy",
        spec={
            "podSelector": {"matchLabels": {KEY: order.pod.key, INSTANCE: order.settings.instance}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [peer], "ports": ports}],
            "egress": [
                {"to": [dns], "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
                {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": list(METADATA_SERVICES)}},
                        {"ipBlock": {"cidr": "::/0", "except": list(METADATA_SERVICES_6)}}]},
            ],
        },
    )  # fmt: skip


def _facts(order: Order, generation: int) -> dict[str, str]:
    """Give the annotations by which a pod is known again."""
    facts = {GENERATION: str(generation), NAME: order.pod.name, UPSTREAMS: json.dumps(_ports(order), sort_keys=True)}
    settings = order.settings
    if settings.reach == "service":
        facts[HOST] = f"{order.name}.{settings.namespace}.svc.{settings.cluster_domain}"
    facts["kubectl.kubernetes.io/default-container"] = MAIN
    return facts


def _ports(order: Order) -> dict[str, int]:
    ports = {}
    for endpoint in order.template.endpoints:
        ports[endpoint.name] = order.port(endpoint.port or order.part.sockets[endpoint.socket])
        if endpoint.http:
            ports[endpoint.http_key] = order.port(endpoint.http)
    return ports


def _labels(order: Order) -> dict[str, str]:
    return {
        KEY: order.pod.key,
        INSTANCE: order.settings.instance,
        MANAGED_BY: "podgate",
        "app.kubernetes.io/name": order.template.name,
        COMPONENT: "pod",
    }


def _document(
    order: Order, version: str, kind: str, spec: JSON | None = None, annotations: Mapping[str, str] | None = None
) -> JSON:
    metadata: JSON = {
        "name": object_name(order.pod.key), "namespace": order.settings.namespace, "labels": _labels(order),
    }  # fmt: skip
    if annotations:
        metadata["annotations"] = dict(annotations)
    document: JSON = {"apiVersion": version, "kind": kind, "metadata": metadata}
    return document if spec is None else {**document, "spec": spec}
