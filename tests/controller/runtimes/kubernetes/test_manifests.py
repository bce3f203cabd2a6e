"""Manifests, as literal expectations, and by the official schemas."""

import base64
import ipaddress
from dataclasses import replace
from typing import Any

import pytest

from controller.runtimes import Launch, RuntimeFailure
from controller.runtimes.kubernetes.container import escaped
from controller.runtimes.kubernetes.manifests import Volume, belongings, owner_of, selector, stateful_set, volume_of
from controller.runtimes.kubernetes.order import Order, judge, offered
from controller.runtimes.kubernetes.settings import ClusterSettings, Queue
from controller.templates import load_templates

JSON = dict[str, Any]

SETTINGS = ClusterSettings(allow=("ghcr.io/acme/*",), policies_enforced=True, most_gpus=2)
TEMPLATES = offered(load_templates())
SECRETS = {"owner": "o" * 8, "write": "w" * 8, "read": "r" * 8, "keeper": "k" * 8}
KEY = "shop-abcd2345"
OWNER = owner_of({"metadata": {"name": f"pg-{KEY}", "uid": "u1"}})


def order(
    template: str, settings: ClusterSettings = SETTINGS, env: dict[str, str] | None = None, **given: str
) -> Order:
    secrets = {name: SECRETS[name] for name in TEMPLATES[template].secrets}
    return judge(Launch(KEY, 1, "shop", template, 2, given, env or {}, secrets), TEMPLATES, settings)


def app(settings: ClusterSettings = SETTINGS, **given: str) -> Order:
    return order("image", settings, {"API_KEY": "x$y"}, image="ghcr.io/acme/app:1", **given)


LABELS = {
    "podgate.internal/pod": KEY,
    "podgate.internal/instance": "podgate",
    "app.kubernetes.io/managed-by": "podgate",
    "app.kubernetes.io/name": "image",
    "app.kubernetes.io/component": "pod",
}
FACTS = {
    "podgate.internal/generation": "2",
    "podgate.internal/name": "shop",
    "podgate.internal/upstreams": '{"": 9000}',
    "kubectl.kubernetes.io/default-container": "pod",
}
SELECTED = {"podgate.internal/pod": KEY, "podgate.internal/instance": "podgate"}
NAMED = {"name": f"pg-{KEY}", "namespace": "podgate", "labels": LABELS}
METADATA = ["169.254.169.0/24", "169.254.170.0/24", "168.63.129.16/32", "100.100.100.200/32"]
METADATA_6 = ["fd00:ec2::/64", "fd20:ce::254/128"]
QUESTION = {"tcpSocket": {"port": 9000}}


def test_the_stateful_set_of_an_image() -> None:
    assert stateful_set(app(port="9000", user="1234"), Volume("5Gi"), generation=2) == {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {**NAMED, "annotations": FACTS},
        "spec": {
            "replicas": 1,
            "serviceName": f"pg-{KEY}",
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "OnDelete"},
            "revisionHistoryLimit": 1,
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
            "selector": {"matchLabels": SELECTED},
            "template": {
                "metadata": {"labels": LABELS, "annotations": FACTS},
                "spec": {
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": 30,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "seccompProfile": {"type": "RuntimeDefault"},
                        "runAsUser": 1234,
                        "runAsGroup": 1234,
                        "fsGroup": 1234,
                        "fsGroupChangePolicy": "OnRootMismatch",
                    },
                    "containers": [
                        {
                            "name": "pod",
                            "image": "ghcr.io/acme/app:1",
                            "env": [
                                {"name": "PARAM_IMAGE", "value": "ghcr.io/acme/app:1"},
                                {"name": "PARAM_COMMAND", "value": ""},
                                {"name": "PARAM_PORT", "value": "9000"},
                                {"name": "PARAM_DATA", "value": "/podgate/data"},
                                {"name": "PARAM_USER", "value": "1234"},
                                *({"name": f"PARAM_{name}", "value": ""} for name in ("CPUS", "RAM", "DISK", "GPUS")),
                                {"name": "PARAM_QUEUE", "value": ""},
                                {"name": "POD_NAME", "value": "shop"},
                                {"name": "POD_DATABASE", "value": ""},
                                {"name": "PORT", "value": "9000"},
                                {"name": "POD_DATA", "value": "/podgate/data"},
                                {"name": "POD_RUN", "value": "/podgate/run"},
                                {"name": "POD_LISTEN", "value": "0.0.0.0"},
                                {
                                    "name": "API_KEY",
                                    "valueFrom": {"secretKeyRef": {"name": f"pg-{KEY}", "key": "env.API_KEY"}},
                                },
                            ],
                            "resources": {
                                "requests": {"cpu": "50m", "memory": "256Mi"},
                                "limits": {"cpu": "2", "memory": "1Gi", "ephemeral-storage": "2Gi"},
                            },
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "capabilities": {"drop": ["ALL"]},
                                "readOnlyRootFilesystem": False,
                            },
                            "terminationMessagePolicy": "FallbackToLogsOnError",
                            "volumeMounts": [
                                {"name": "data", "mountPath": "/podgate/data"},
                                {"name": "run", "mountPath": "/podgate/run"},
                                {"name": "tmp", "mountPath": "/tmp"},
                                {"name": "shm", "mountPath": "/dev/shm"},
                            ],
                            "ports": [{"name": "port", "containerPort": 9000}],
                            "startupProbe": {
                                **QUESTION, "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 3600,
                            },
                            "readinessProbe": {
                                **QUESTION, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3,
                            },
                        }
                    ],
                    "volumes": [
                        {"name": "run", "emptyDir": {"sizeLimit": "512Mi"}},
                        {"name": "tmp", "emptyDir": {"sizeLimit": "2Gi"}},
                        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}},
                    ],
                },
            },
            "volumeClaimTemplates": [
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "metadata": {"name": "data", "labels": LABELS},
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}},
                }
            ],
        },
    }  # fmt: skip


def test_what_belongs_to_the_pod_of_an_image() -> None:
    owned = {**NAMED, "ownerReferences": [OWNER]}
    assert belongings(app(port="9000"), OWNER) == [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": owned,
            "spec": {
                "selector": SELECTED,
                "ports": [{"name": "port-9000", "port": 9000, "targetPort": 9000}],
                "type": "ClusterIP",
                "clusterIP": "None",
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": owned,
            "type": "podgate.internal/pod",
            "data": {"env.API_KEY": base64.b64encode(b"x$y").decode()},
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": owned,
            "spec": {
                "podSelector": {"matchLabels": SELECTED},
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [
                    {
                        "from": [
                            {
                                "podSelector": {
                                    "matchLabels": {"app.kubernetes.io/part-of": "podgate"},
                                    "matchExpressions": [
                                        {
                                            "key": "app.kubernetes.io/component",
                                            "operator": "In",
                                            "values": ["gateway"],
                                        }
                                    ],
                                }
                            }
                        ],
                        "ports": [{"port": 9000, "protocol": "TCP"}],
                    }
                ],
                "egress": [
                    {
                        "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}],
                        "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
                    },
                    {
                        "to": [
                            {"ipBlock": {"cidr": "0.0.0.0/0", "except": METADATA}},
                            {"ipBlock": {"cidr": "::/0", "except": METADATA_6}},
                        ]
                    },
                ],
            },
        },
    ]


def spec_of(made: Order, generation: int = 2) -> JSON:
    document = stateful_set(made, volume_of(made, None), generation=generation)
    spec: JSON = document["spec"]["template"]["spec"]
    return spec


def variables(container: JSON) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


def test_only_the_preparation_of_a_postgres_pod_sees_its_passwords() -> None:
    spec = spec_of(order("postgres"))
    (prepare,), (main,) = spec["initContainers"], spec["containers"]
    assert prepare["command"] == ["/bin/sh", "/podgate/template/postgres-prepare.sh"]
    assert main["command"] == ["/bin/sh", "/podgate/template/postgres-start.sh"]
    told = {name: value for name, value in variables(prepare).items() if name.startswith("SECRET_")}
    assert told == {
        f"SECRET_{name.upper()}": {"secretKeyRef": {"name": f"pg-{KEY}", "key": f"secret.{name}"}} for name in SECRETS
    }
    assert not any(name.startswith("SECRET_") for name in variables(main))
    assert not any(secret in str(spec) for secret in SECRETS.values())
    assert spec["securityContext"]["runAsUser"] == 999
    assert main["securityContext"]["readOnlyRootFilesystem"]
    assert variables(main)["POSTGRES_PORT"] == "5432"
    assert "pg_isready" in main["readinessProbe"]["exec"]["command"][2]


def test_the_keeper_of_a_postgres_pod_may_reach_it_and_no_other() -> None:
    def who(template: str) -> list[str]:
        policy = next(each for each in belongings(order(template), OWNER) if each["kind"] == "NetworkPolicy")
        (rule,) = policy["spec"]["ingress"]
        values: list[str] = rule["from"][0]["podSelector"]["matchExpressions"][0]["values"]
        return values

    assert who("postgres") == ["gateway", "controller"]
    assert who("graph") == ["gateway"]


def test_a_graph_pod_is_ready_when_it_says_so_over_http() -> None:
    (main,) = spec_of(order("graph"))["containers"]
    assert main["readinessProbe"]["httpGet"] == {"path": "/api/v1/ready", "port": 2480, "scheme": "HTTP"}
    facts = stateful_set(order("graph"), Volume("1Gi"), generation=1)["metadata"]["annotations"]
    assert facts["podgate.internal/upstreams"] == '{"": 7687, "/http": 2480}'


def test_the_owners_variables_come_before_the_templates_and_after_ours() -> None:
    made = order("web", env={"PYTHONUNBUFFERED": "", "PORT": "1", "POD_DATA": "/x", "HATS": "$(PORT)"})
    told = variables(spec_of(made)["containers"][0])
    assert told["PORT"] == "8080"
    assert told["POD_DATA"] == "/podgate/data"
    assert told["PYTHONUNBUFFERED"] == {"secretKeyRef": {"name": f"pg-{KEY}", "key": "env.PYTHONUNBUFFERED"}}
    assert told["HATS"] == {"secretKeyRef": {"name": f"pg-{KEY}", "key": "env.HATS"}}


def test_kubernetes_puts_nothing_into_what_an_owner_wrote() -> None:
    assert escaped("echo $(PORT) $$ ${X}") == "echo $$(PORT) $$$$ $${X}"
    (main,) = spec_of(app(command="echo $(PORT)"))["containers"]
    assert main["command"] == ["/bin/sh", "-c", "echo $$(PORT)"]


def test_a_queue_says_where_and_how_a_pod_runs() -> None:
    queue = Queue({"pool": "gpu"}, ({"key": "gpu", "operator": "Exists"},), "gvisor", "amd.com/gpu")
    settings = replace(SETTINGS, queues={"big": queue}, pull_secrets=("registry",), storage_class="fast")
    made = app(settings, queue="big", gpus="2", ram="128Mi", cpus="4", disk="7Gi")
    spec = spec_of(made)
    assert spec["nodeSelector"] == {"pool": "gpu"}
    assert spec["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert spec["runtimeClassName"] == "gvisor"
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["containers"][0]["resources"] == {
        "requests": {"cpu": "50m", "memory": "128Mi"},
        "limits": {"cpu": "4", "memory": "128Mi", "ephemeral-storage": "2Gi", "amd.com/gpu": "2"},
    }
    assert volume_of(made, None) == Volume("7Gi", "fast")


def test_a_volume_stays_as_it_was_made() -> None:
    found = stateful_set(app(), Volume("3Gi", "slow"), generation=1)
    assert volume_of(app(disk="7Gi"), found) == Volume("3Gi", "slow")


def test_gateways_may_be_elsewhere_and_dial_a_service() -> None:
    settings = replace(SETTINGS, gateways_namespace="edge", reach="service")
    service, _secret, policy = belongings(app(settings), OWNER)
    assert "clusterIP" not in service["spec"]
    (rule,) = policy["spec"]["ingress"]
    assert rule["from"][0]["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "edge"}}
    facts = stateful_set(app(settings), Volume("1Gi"), generation=1)["metadata"]["annotations"]
    assert facts["podgate.internal/host"] == f"pg-{KEY}.podgate.svc.cluster.local"


def test_before_its_first_start_it_runs_nothing() -> None:
    assert stateful_set(app(), Volume("1Gi"), generation=0)["spec"]["replicas"] == 0


def test_root_only_where_it_is_allowed() -> None:
    with pytest.raises(RuntimeFailure, match="0 is root, which is not allowed here"):
        app(user="0")
    context = spec_of(app(replace(SETTINGS, allow_root=True), user="0"))["securityContext"]
    assert (context["runAsNonRoot"], context["runAsUser"]) == (False, 0)
    assert "runAsUser" not in spec_of(app())["securityContext"]


def test_the_operators_image_stands_for_the_templates() -> None:
    settings = replace(SETTINGS, images={"web": "registry.example/caddy@sha256:" + "a" * 64}, require_digest=True)
    (main,) = spec_of(order("web", settings))["containers"]
    assert main["image"] == "registry.example/caddy@sha256:" + "a" * 64


def test_what_is_ours_is_found_by_its_labels() -> None:
    assert selector(SETTINGS) == "app.kubernetes.io/managed-by=podgate,podgate.internal/instance=podgate"


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",  # most clouds
        "169.254.169.252",  # GKE's metadata server: https://cloud.google.com/kubernetes-engine/docs/how-to/network-policy
        "169.254.170.2",  # AWS for tasks
        "169.254.170.23",  # AWS for Kubernetes pods
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",  # Google
        "168.63.129.16",
        "100.100.100.200",
    ],
)
def test_no_pod_reaches_what_tells_a_machine_its_credentials(address: str) -> None:
    (policy,) = (each for each in belongings(app(), OWNER) if each["kind"] == "NetworkPolicy")
    blocks = [peer["ipBlock"] for rule in policy["spec"]["egress"] for peer in rule["to"] if "ipBlock" in peer]
    closed = [ipaddress.ip_network(network) for block in blocks for network in block["except"]]
    assert any(ipaddress.ip_address(address) in network for network in closed)
