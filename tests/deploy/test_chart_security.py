"""What the chart's workloads may do, whom they let in, and which secrets they hold: as little as will do."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.runtimes import Launch
from controller.runtimes.kubernetes.manifests import belongings, owner_of
from controller.runtimes.kubernetes.order import judge, offered
from controller.runtimes.kubernetes.rights import NEEDED, OF_OWNERS, Right, missing
from controller.runtimes.kubernetes.settings import ClusterSettings, Queue, read_settings
from controller.templates import load_templates
from tests.deploy.charts import ALL, JSON, LEAST, Helm, container, containers, one, pod_specs
from tests.deploy.networks import labels_of, lets_in, policies_for, selects

TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"


def rights_of(role: JSON) -> set[Right]:
    return {
        Right(group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize("name", ALL)
def test_the_role_is_what_the_runtime_needs_and_no_more(rendered: dict[str, list[JSON]], name: str) -> None:
    role = one(rendered[name], "Role", "podgate-controller")
    assert rights_of(role) == NEEDED | (OF_OWNERS if name == "much" else set())
    assert missing(role["rules"]) == []
    assert not any({"resourceNames", "nonResourceURLs"} & rule.keys() for rule in role["rules"])


def test_nothing_is_allowed_beyond_one_namespace(documents: list[JSON]) -> None:
    assert [each["kind"] for each in documents if each["kind"].startswith("ClusterRole")] == []
    (binding,) = (each for each in documents if each["kind"] == "RoleBinding")
    pods = _settings(documents)["namespace"]
    assert {each["metadata"]["namespace"] for each in documents if each["kind"].startswith("Role")} == {pods}
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "podgate-controller", "namespace": "podgate"}]


def test_only_the_controller_s_container_holds_a_token_of_the_cluster(documents: list[JSON]) -> None:
    for each in documents:
        if each["kind"] == "ServiceAccount":
            assert each["automountServiceAccountToken"] is False
    for name, spec in pod_specs(documents):
        assert spec["automountServiceAccountToken"] is False
        assert spec["serviceAccountName"] == name
        tokens = {each["name"] for each in spec["volumes"] if "serviceAccountToken" in str(each.get("projected"))}
        holders = {
            each["name"] for each in containers(spec)
            if any(mount["name"] in tokens or TOKEN_PATH in mount["mountPath"] for mount in each["volumeMounts"])
        }  # fmt: skip
        assert holders == ({"controller"} if name == "podgate-controller" else set())


def test_every_container_is_hardened(documents: list[JSON]) -> None:
    """As the namespace's level `restricted` demands, and no file system to write to beside."""
    seen = 0
    for _name, spec in pod_specs(documents):
        pod = spec["securityContext"]
        assert (pod["runAsNonRoot"], pod["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
        assert pod["runAsUser"] == pod["runAsGroup"] == pod["fsGroup"] == 10001
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert not any("hostPath" in volume for volume in spec["volumes"])
        for each in containers(spec):
            seen += 1
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "privileged": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"cpu", "memory"} <= each["resources"]["requests"].keys() & each["resources"]["limits"].keys()
    assert seen == 4


def test_what_is_written_to_has_a_bound(documents: list[JSON]) -> None:
    for _name, spec in pod_specs(documents):
        assert all("sizeLimit" in volume["emptyDir"] for volume in spec["volumes"] if "emptyDir" in volume)


def test_no_secret_is_made_or_told_in_arguments(helm: Helm, documents: list[JSON]) -> None:
    assert [each for each in documents if each["kind"] == "Secret"] == []
    for _name, spec in pod_specs(documents):
        for each in containers(spec):
            words = " ".join(each.get("args", []))
            assert not re.search(r"postgresql|password|pgt_", words, re.IGNORECASE)
            for variable in each["env"]:
                assert "value" in variable or variable["valueFrom"].keys() <= {"fieldRef", "secretKeyRef"}
    with_database = helm.render({**LEAST, "controller": {"database": {"secret": "db"}}})
    (spec,) = (spec for name, spec in pod_specs(with_database) if name == "podgate-controller")
    holders = [each["name"] for each in containers(spec) if "secretKeyRef" in str(each["env"])]
    assert holders == ["controller"]


def test_gateways_hold_neither_the_authority_s_key_nor_the_administrator_s_token(documents: list[JSON]) -> None:
    (spec,) = (spec for name, spec in pod_specs(documents) if name == "podgate-gateway")
    held = [volume["secret"] for volume in spec["volumes"] if "secret" in volume]
    assert {each["secretName"] for each in held} <= {"podgate", "podgate-tls"}
    (shared,) = (each for each in held if each["secretName"] == "podgate")
    assert [item["key"] for item in shared["items"]] == ["gateway.token", "ca.pem"]
    assert all(each["defaultMode"] == 0o440 for each in held)


# ---- networks


def _settings(documents: list[JSON]) -> dict[str, Any]:
    return tomllib.loads(one(documents, "ConfigMap", "podgate-controller")["data"]["kubernetes.toml"])


STRANGER = {"app.kubernetes.io/name": "podgate"}


@pytest.mark.parametrize("name", ["least", "much", "small"])
def test_only_gateways_reach_pods(rendered: dict[str, list[JSON]], tmp_path: Path, name: str) -> None:
    """The runtime's own policy, made by the settings that the chart gives it, lets the chart's gateways in."""
    documents = rendered[name]
    path = tmp_path / "kubernetes.toml"
    path.write_text(one(documents, "ConfigMap", "podgate-controller")["data"]["kubernetes.toml"])
    settings = replace(read_settings(path), policies_enforced=True)
    launch = Launch("web-1", 1, "web", "web", 1, {}, {}, {})
    order = judge(launch, offered(load_templates()), settings)
    made = belongings(order, owner_of({"metadata": {"name": order.name, "uid": "u"}}))
    (policy,) = (each for each in made if each["kind"] == "NetworkPolicy")
    pod, where, port = (
        policy["metadata"]["labels"],
        policy["metadata"]["namespace"],
        policy["spec"]["ingress"][0]["ports"][0]["port"],
    )
    gateway, controller = (labels_of(documents, f"podgate-{part}") for part in ("gateway", "controller"))

    without = policies_for(documents, pod, where)
    assert len(without) == 1
    assert not lets_in(without, where, port, gateway, "podgate")
    both = [*without, policy]
    assert lets_in(both, where, port, gateway, "podgate")
    assert not lets_in(both, where, port, gateway, "elsewhere")
    assert not lets_in(both, where, port, controller, "podgate")  # it keeps passwords of databases alone
    assert not lets_in(both, where, port, STRANGER, "podgate")
    assert not lets_in(both, where, port, pod, where)


@pytest.mark.parametrize("name", ["least", "much", "small"])
def test_who_reaches_gateways_and_controller(rendered: dict[str, list[JSON]], name: str) -> None:
    documents = rendered[name]
    gateway, controller = (labels_of(documents, f"podgate-{part}") for part in ("gateway", "controller"))

    def reaches(target: JSON, port: int, labels: JSON, namespace: str = "podgate") -> bool:
        return lets_in(policies_for(documents, target, "podgate"), "podgate", port, labels, namespace)

    anybody = name != "much"  # whose clients are of one network
    assert reaches(gateway, 8443, STRANGER, "elsewhere") is anybody
    assert reaches(gateway, 8080, STRANGER, "elsewhere") is (name == "least")
    assert reaches(gateway, 7443, gateway)
    assert not reaches(gateway, 7443, STRANGER)
    assert not reaches(gateway, 9443, STRANGER)
    assert reaches(controller, 8443, gateway)
    assert not reaches(controller, 8443, STRANGER)
    assert not reaches(controller, 9443, gateway)


def test_the_api_is_open_to_people_if_it_is_to_be(helm: Helm) -> None:
    documents = helm.render({**LEAST, "controller": {"service": {"type": "LoadBalancer"}}})
    policies = policies_for(documents, labels_of(documents, "podgate-controller"), "podgate")
    assert lets_in(policies, "podgate", 8443, STRANGER, "elsewhere")


def test_gateways_get_out_to_pods_and_controller_alone(rendered: dict[str, list[JSON]]) -> None:
    policy = one(rendered["small"], "NetworkPolicy", "podgate-gateway")["spec"]
    dns, peers, controller, pods = policy["egress"]
    assert dns.keys() == {"ports"}
    assert {entry["port"] for entry in dns["ports"]} == {53}
    assert [entry["port"] for rule in (peers, controller) for entry in rule["ports"]] == [7443, 8443]
    assert pods["to"][0]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "podgate"}
    assert len(one(rendered["least"], "NetworkPolicy", "podgate-gateway")["spec"]["egress"]) == 4


def test_services_lead_to_what_they_are_named_for(documents: list[JSON]) -> None:
    for each in documents:
        if each["kind"] in ("Service", "PodDisruptionBudget"):
            selector = each["spec"]["selector"]
            selector = selector.get("matchLabels", selector)
            name = each["metadata"]["name"].replace("-pods", "").replace("podgate-peers", "podgate-gateway")
            for workload in ("podgate-gateway", "podgate-controller"):
                assert selects({"matchLabels": selector}, labels_of(documents, workload)) is (workload == name)


def test_the_runtime_reads_its_settings(rendered: dict[str, list[JSON]], tmp_path: Path) -> None:
    path = tmp_path / "kubernetes.toml"
    path.write_text(one(rendered["much"], "ConfigMap", "podgate-controller")["data"]["kubernetes.toml"])
    tolerations: tuple[dict[str, str | int], ...] = ({"key": "gpu", "operator": "Exists", "tolerationSeconds": 300},)
    assert read_settings(path) == ClusterSettings(
        namespace="podgate-pods", instance="podgate", gateways_namespace="podgate", storage_class="fast",
        allow=("ghcr.io/acme/*",), policies_enforced=True,
        queues={"gpu": Queue({"accelerator": "a100"}, tolerations, "nvidia")},
    )  # fmt: skip
    assert _settings(rendered["small"]) == {"namespace": "podgate", "instance": "podgate"}


@pytest.mark.parametrize("name", ALL)
def test_gateways_find_the_controller_by_its_service(rendered: dict[str, list[JSON]], name: str) -> None:
    """Whatever DNS says of api.DOMAIN, by whose certificate and in whose name they speak with it all the same."""
    (spec,) = (spec for workload, spec in pod_specs(rendered[name]) if workload == "podgate-gateway")
    service, domain = one(rendered[name], "Service", "podgate-controller"), ALL[name]["domain"]
    (port,) = (each["port"] for each in service["spec"]["ports"])
    told = container(spec, "gateway")["args"]
    where = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc:{port}"
    assert f"--controller-address={where}" in told
    assert f"--controller=https://api.{domain}" + (f":{port}" if port != 443 else "") in told
    assert "hostAliases" not in spec
