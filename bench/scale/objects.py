"""What the objects of the cluster's double look like: as a controller of ours makes them, with what a server adds."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.scale.population import SINCE, TEMPLATE
from controller.runtimes import Launch
from controller.runtimes.kubernetes.manifests import NAME, STOPPED, belongings, owner_of, stateful_set, volume_of
from controller.runtimes.kubernetes.order import judge, offered
from controller.runtimes.kubernetes.settings import ClusterSettings
from controller.templates import load_templates

JSON = dict[str, Any]

SETS, PODS, CLAIMS = "statefulsets", "pods", "persistentvolumeclaims"
PARTS = {"Service": "services", "Secret": "secrets", "ConfigMap": "configmaps", "NetworkPolicy": "networkpolicies"}
SETTINGS = ClusterSettings(policies_enforced=True)
A_KEY, A_NAME, AN_ADDRESS, A_UID = "zzkey", "zzname", "zzaddress", "zzuid"  # to be replaced in the first objects' text


def now(later: float = 0.0) -> str:
    """Give the time, some seconds later, as the API writes it."""
    return written(datetime.now(UTC) + timedelta(seconds=later))


def written(at: datetime) -> str:
    """Write a time as the API does."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def name_of(thing: JSON) -> str:
    """Give the name of the pod that an object says it is of."""
    return str(thing["metadata"]["annotations"][NAME])


def start_of(address: str) -> Iterator[JSON]:
    """Give the statuses of a Pod on its way to being ready: scheduled, running, ready."""
    conditions = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": now()}]
    creating = {"name": "pod", "ready": False, "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}}
    yield {"phase": "Pending", "conditions": conditions, "hostIP": "10.0.0.1", "containerStatuses": [creating]}
    started = {"running": {"startedAt": now()}}
    running = {
        **creating,
        "state": started,
        "image": "docker.io/library/caddy:2",
        "containerID": f"cri://{uuid.uuid4()}",
    }
    placed = {"phase": "Running", "hostIP": "10.0.0.1", "podIP": address, "podIPs": [{"ip": address}]}
    unready = {"type": "Ready", "status": "False", "lastTransitionTime": now()}
    yield {**placed, "conditions": [*conditions, unready], "containerStatuses": [running]}
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": now()}
    yield {**placed, "conditions": [*conditions, ready], "containerStatuses": [{**running, "ready": True}]}


def end_of() -> JSON:
    """Give what becomes of a Pod's status when its containers have ended."""
    ended = {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": now()}}
    return {
        "containerStatuses": [{"name": "pod", "ready": False, "restartCount": 0, "state": ended}],
        "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": now()}],
    }


def is_ready(pod: JSON) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def first_texts() -> dict[tuple[str, bool], str]:
    """Give the objects of a pod that runs, and of one that is stopped, with words to be replaced."""
    launch = Launch(A_KEY, 1, A_NAME, TEMPLATE, 1, {}, {}, {})
    order = judge(launch, offered(load_templates()), SETTINGS)
    since = written(datetime.fromtimestamp(SINCE, UTC))
    texts = {}
    for on in (True, False):
        thing = stateful_set(order, volume_of(order, None), generation=1)
        template, claim = thing["spec"]["template"], thing["spec"]["volumeClaimTemplates"][0]
        name = thing["metadata"]["name"]
        pod = {"metadata": {**template["metadata"], "name": f"{name}-0"}, "spec": template["spec"]}
        *_, pod["status"] = start_of(AN_ADDRESS)
        held = {"metadata": {"name": f"data-{name}-0", "labels": claim["metadata"]["labels"]}, "spec": claim["spec"]}
        if not on:
            thing["spec"]["replicas"] = 0
            thing["metadata"]["annotations"][STOPPED] = f"{SINCE:.3f}"
        thing["status"] = {"replicas": int(on), "readyReplicas": int(on)}
        for each in pod["status"]["conditions"]:
            each["lastTransitionTime"] = since
        thing["metadata"]["uid"] = A_UID
        parts = [(PARTS[part["kind"]], known_of(part)) for part in belongings(order, owner_of(thing))]
        for plural, document in ((SETS, thing), (PODS, pod), (CLAIMS, held), *parts):
            document["metadata"] |= {"uid": A_UID, "creationTimestamp": since, "managedFields": managed(document)}
            texts[plural, on] = json.dumps(document)
    return texts


def known_of(part: JSON) -> JSON:
    """Give what is told of a part: its metadata is all that anybody asks for."""
    return {"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": dict(part["metadata"])}


def managed(document: JSON) -> list[JSON]:
    """Give what a real server would note of who set which field: half of what it sends."""
    fields = _fields({key: value for key, value in document.items() if key in ("metadata", "spec", "status", "data")})
    return [{"manager": "podgate", "operation": "Apply", "fieldsType": "FieldsV1", "time": now(), "fieldsV1": fields}]


def _fields(thing: Any) -> JSON:  # noqa: ANN401  # any JSON
    if isinstance(thing, dict):
        return {f"f:{key}": _fields(value) for key, value in thing.items() if key != "managedFields"}
    if isinstance(thing, list) and thing and isinstance(thing[0], dict) and "name" in thing[0]:
        return {f'k:{{"name":"{each["name"]}"}}': {".": {}, **_fields(each)} for each in thing}
    return {}


def merged(thing: JSON, patch: JSON) -> JSON:
    """Apply a merge patch (RFC 7386)."""
    new = dict(thing)
    for key, value in patch.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = merged(new.get(key) or {}, value) if isinstance(value, dict) else value
    return new


def text_of(thing: JSON) -> bytes:
    return json.dumps(thing, separators=(",", ":")).encode()
