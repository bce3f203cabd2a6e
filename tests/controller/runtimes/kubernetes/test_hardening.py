"""What an owner says stays within the manifest: by the official schemas, and by Kubernetes' own strictest standard.

The standard is "restricted" of https://kubernetes.io/docs/concepts/security/pod-security-standards/.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from controller.runtimes import Launch
from controller.runtimes.kubernetes.manifests import KEY, Volume, belongings, owner_of, stateful_set
from controller.runtimes.kubernetes.order import Order, judge, offered
from controller.runtimes.kubernetes.settings import ClusterSettings, Queue
from controller.templates import load_templates

JSON = dict[str, Any]

NAME = "pg-shop-abcd2345"
OWNER = owner_of({"metadata": {"name": NAME, "uid": "u1"}})
SETTINGS = ClusterSettings(allow=("ghcr.io/acme/*",), policies_enforced=True, most_gpus=1)
TEMPLATES = offered(load_templates())
SECRETS = {name: f"secret-of-{name}" for name in ("owner", "write", "read", "keeper")}
VERSIONS = ("1.27", "1.30", "1.33", "1.35", "1.37")  # the oldest that is promised, to the newest there is

BREAKING = [
    'x", "hostNetwork": true, "y": "',
    "x\nhostNetwork: true\n",
    "x\n---\napiVersion: v1\nkind: Pod\n",
    "{{ .Values.x }} ${HOME} $(POD_NAME) $$(POD_NAME) `id` $(id)",
    "!!python/object:os.system ls & *anchor &anchor << : |",
    "\u2028\u0085\x1b[31m\ud7ff \U0001f600",
    "x" * 4096,
]


def made(template: str, **given: Any) -> Order:
    env, parameters = given.pop("env", {}), dict(given)
    if template == "image":
        parameters.setdefault("image", "ghcr.io/acme/app:1")
    secrets = {name: SECRETS[name] for name in TEMPLATES[template].secrets}
    settings = parameters.pop("settings", SETTINGS)
    return judge(Launch("shop-abcd2345", 1, "shop", template, 2, parameters, env, secrets), TEMPLATES, settings)


def documents(order: Order) -> list[JSON]:
    return [stateful_set(order, Volume("1Gi", "fast"), generation=2), *belongings(order, OWNER)]


def shape(thing: Any) -> Any:
    """Give a document without its texts: what it is built of."""
    if isinstance(thing, dict):
        return {key: shape(value) for key, value in thing.items()}
    if isinstance(thing, list):
        return [shape(each) for each in thing]
    return type(thing).__name__


def check_restricted(spec: JSON) -> None:
    """Judge the spec of a Kubernetes pod."""
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers", "hostAliases", "serviceAccountName"} & spec.keys()
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["securityContext"].get("runAsUser") != 0
    assert not {"sysctls", "windowsOptions", "seLinuxOptions"} & spec["securityContext"].keys()
    for volume in spec["volumes"]:
        assert volume.keys() - {"name"} <= {"emptyDir", "configMap"}
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context.keys() <= {"allowPrivilegeEscalation", "capabilities", "readOnlyRootFilesystem"}
        assert not {"volumeDevices", "lifecycle", "envFrom", "terminationMessagePath"} & container.keys()
        assert not any("hostPort" in port or "hostIP" in port for port in container.get("ports", []))
        assert {"cpu", "memory", "ephemeral-storage"} <= container["resources"]["limits"].keys()


def references(thing: Any) -> Iterator[str]:
    """Find the names of Secrets and ConfigMaps that are spoken of."""
    if isinstance(thing, dict):
        for key, value in thing.items():
            if key in ("secretKeyRef", "configMapKeyRef", "secretRef", "configMap", "secret") and isinstance(
                value, dict
            ):
                yield value["name"]
            yield from references(value)
    elif isinstance(thing, list):
        for each in thing:
            yield from references(each)


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_every_template_meets_the_strictest_standard(template: str) -> None:
    check_restricted(stateful_set(made(template), Volume("1Gi"), generation=1)["spec"]["template"]["spec"])


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_a_pod_speaks_of_no_secret_but_its_own(template: str) -> None:
    for document in documents(made(template, env={"A": "b"})):
        assert set(references(document)) <= {NAME}
        assert document["metadata"]["namespace"] == "podgate"
        assert document["metadata"]["name"] == NAME


@pytest.mark.parametrize("text", BREAKING)
def test_what_an_owner_says_changes_texts_alone(text: str) -> None:
    plain = made("image", command="x", env={"A": "x"})
    hostile = made("image", command=text, env={"A": text})
    assert [shape(each) for each in documents(hostile)] == [shape(each) for each in documents(plain)]
    check_restricted(documents(hostile)[0]["spec"]["template"]["spec"])
    for document in documents(hostile):
        assert json.loads(json.dumps(document)) == document
    secret = next(each for each in documents(hostile) if each["kind"] == "Secret")
    assert base64.b64decode(secret["data"]["env.A"]).decode() == text
    assert hostile.pod.env["A"] not in json.dumps(
        documents(hostile)[0]["spec"]["template"]["spec"]["containers"][0]["env"][-1]
    )


@pytest.mark.parametrize("text", BREAKING)
def test_a_name_or_a_key_of_the_owners_changes_texts_alone(text: str) -> None:
    launch = Launch("shop-abcd2345", 1, text, "web", 2, {}, {})
    hostile = judge(launch, TEMPLATES, SETTINGS)
    assert [shape(each) for each in documents(hostile)] == [shape(each) for each in documents(made("web"))]


def test_labels_say_nothing_of_the_owners_and_never_gateway() -> None:
    order = made("image", command="gateway", env={"app.kubernetes.io".replace(".", "_").replace("/", "_"): "gateway"})
    for document in documents(order):
        labels = document["metadata"]["labels"]
        assert labels[KEY] == "shop-abcd2345"
        assert labels["app.kubernetes.io/component"] == "pod"
        assert "app.kubernetes.io/part-of" not in labels
    template = documents(order)[0]["spec"]["template"]["metadata"]["labels"]
    assert "app.kubernetes.io/part-of" not in template


def test_an_owners_variable_does_not_stand_for_a_password() -> None:
    order = made("postgres", env={"SECRET_OWNER": "mine", "SECRET_OTHER": "mine"})
    spec = stateful_set(order, Volume("1Gi"), generation=1)["spec"]["template"]["spec"]
    for container in (*spec["initContainers"], *spec["containers"]):
        names = [each["name"] for each in container["env"]]
        assert len(names) == len(set(names))
    (prepare,) = spec["initContainers"]
    told = {each["name"]: each["valueFrom"]["secretKeyRef"]["key"] for each in prepare["env"] if "valueFrom" in each}
    assert told["SECRET_OWNER"] == "secret.owner"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_the_official_schemas_know_every_field(template: str, version: str) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate for the schemas")
    queue = Queue({"a": "b"}, ({"key": "a", "operator": "Exists", "effect": "NoSchedule"},), "gvisor")
    most = ClusterSettings(
        allow=("ghcr.io/acme/*",), policies_enforced=True, most_gpus=1, pull_secrets=("registry",), reach="service",
        gateways_namespace="edge", queues={"default": queue},
    )  # fmt: skip
    more = {"command": "x", "user": "1234", "data": "/srv"} if template == "image" else {}
    for order in (made(template), made(template, settings=most, env={"A": "b"}, gpus="1", cpus="500m", **more)):
        for document in documents(order):
            validate.validate(document, version, strict=True)
