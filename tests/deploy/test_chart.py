"""The chart renders, by every set of values, what the official schemas take; values that cannot be are refused."""

import dataclasses
import json
import re
import textwrap
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_validate.utils import ValidationError, validate

from controller.runtimes.kubernetes.settings import ClusterSettings, read_settings
from tests.deploy.charts import ALL, CHART, JSON, LEAST, MUCH, PLAIN_VERSIONS, ROOT, SMALL, Helm, Refused, one


@pytest.mark.parametrize("values", ALL.values(), ids=ALL)
def test_helm_has_nothing_against_it(helm: Helm, values: JSON) -> None:
    assert "0 chart(s) failed" in helm.lint(values)


@pytest.mark.parametrize("version", PLAIN_VERSIONS)
def test_every_document_fits_its_schema(documents: list[JSON], version: str) -> None:
    assert len(documents) >= 11
    for document in documents:
        if document["kind"] != "PodMonitor":  # which is of no Kubernetes: test_chart_metrics.py
            validate(document, version, strict=True)


def test_the_schemas_refuse_what_is_not_theirs(rendered: dict[str, list[JSON]]) -> None:
    wrong = deepcopy(one(rendered["least"], "StatefulSet", "podgate-gateway"))
    wrong["spec"]["template"]["spec"]["containers"][0]["readinessProb"] = {}
    with pytest.raises(ValidationError):
        validate(wrong, PLAIN_VERSIONS[-1], strict=True)


def test_names_are_told_apart(documents: list[JSON]) -> None:
    names = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in documents]
    assert len(names) == len(set(names))
    assert {namespace for kind, namespace, _name in names if kind != "Namespace"} <= {"podgate", "podgate-pods"}


def test_the_values_in_the_documents_are_taken(helm: Helm) -> None:
    text = (ROOT / "docs" / "install-kubernetes.md").read_text().replace("sha256:…", f"sha256:{'0' * 64}")
    blocks = re.findall(r"(?:^    (?!cat >|END)[^\n]*\n)+", text, flags=re.MULTILINE)
    values = [textwrap.dedent(block).partition("helm install")[0] for block in blocks if "    domain: " in block]
    assert len(values) == 3
    for each in values:
        assert one(helm.render(yaml.safe_load(each)), "StatefulSet", "podgate-gateway")


def test_two_releases_share_no_name(helm: Helm) -> None:
    first, second = (
        {(each["kind"], each["metadata"]["name"]) for each in helm.render(LEAST, release=release)}
        for release in ("podgate", "second")
    )
    assert first & second == {("Namespace", "podgate-pods")}  # which has to be another, or be made by one of them


def _changed(path: str, value: Any, values: JSON = LEAST) -> JSON:
    new = deepcopy(values)
    place = new
    *above, last = path.split(".")
    for name in above:
        place = place.setdefault(name, {})
    place[last] = value
    return new


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("domain", "", "domain: say what pods' names end with"),
        ("domain", "Pods.example.org", "'/domain': 'Pods.example.org' does not match"),
        ("secret", "", "secret: name the Secret with admin.token"),
        ("image.repository", "", "image.repository: say where you pushed"),
        ("image.repository", "registry.example.org:5000/podgate:0.1.0", "ends with a tag; give that as image.tag"),
        ("pods.namespace", "a.b", "'/pods/namespace': 'a.b' does not match"),
        ("pods.settings.polices_enforced", True, "invalid propertyName 'polices_enforced'"),
        ("gateway.service.httpPort", 443, "gateway.service.httpPort: 443 is publicPort"),
        ("gateway.service", {"type": "ClusterIP", "nodePort": 30443}, "a Service of type ClusterIP has none"),
        ("gateway.proxyFrom", ["10.0.0.0/33"], "'10.0.0.0/33' does not match"),
        ("gateway.proxyFrom", ["2001:db8::/129"], "'2001:db8::/129' does not match"),
        ("gateway.replicas", 65, "'/gateway/replicas': maximum: got 65, want 64"),
        ("gateway.drainNotice", 1, "'/gateway/drainNotice': minimum: got 1, want 5"),
        ("gateway.resources.limits", {"memory": None}, "'/gateway/resources/limits': missing property 'memory'"),
        ("gatway.replicas", 3, "additional properties 'gatway' not allowed"),
        ("pods.podSecurity", "lax", "'/pods/podSecurity': value must be one of '', 'privileged', 'baseline'"),
        ("controller.service.type", "NodePort", "'/controller/service/type': value must be one of"),
        ("controller.replicas", 2, "controller.replicas: several controllers share a PostgreSQL database"),
        ("controller.database.secret", "podgate", "keep it in another Secret"),
        ("controller.database.caKey", "ca.crt", "controller.database.caKey: it is a key of the Secret that"),
        ("tls.caKey", "ca.crt", "tls.caKey: it is a key of the Secret that tls.secret names"),
        ("pods.settings.namespace", "default", "pods.settings.namespace: it follows from pods.namespace"),
        ("metrics.podMonitor", True, "name the namespace of Prometheus in metrics.namespace"),
        ("metrics.interval", "often", "'/metrics/interval': 'often' does not match"),
        ("consoleHost", "signin.pods.example.org", "at or below the pods' domain"),
        ("consoleHost", "pods.example.org", "at or below the pods' domain"),
    ],
)  # fmt: skip
def test_values_that_cannot_be_are_refused_in_words(helm: Helm, path: str, value: Any, told: str) -> None:
    with pytest.raises(Refused) as refused:
        helm.render(_changed(path, value))
    assert told in str(refused.value)


def test_a_registry_may_have_a_port(helm: Helm) -> None:
    documents = helm.render(_changed("image.repository", "registry.example.org:5000/podgate"))
    pod = one(documents, "StatefulSet", "podgate-gateway")["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "registry.example.org:5000/podgate:0.1.0"


def test_settings_are_those_that_the_runtime_knows() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    known = schema["properties"]["pods"]["properties"]["settings"]["propertyNames"]["enum"]
    assert known == sorted(field.name for field in dataclasses.fields(ClusterSettings))


def test_numbers_of_settings_may_be_written_as_numbers(helm: Helm, tmp_path: Path) -> None:
    given = {"cpus": 4, "most_cpus": 16, "most_gpus": 2, "cpus_request": 0.5}
    file = tmp_path / "kubernetes.toml"
    rendered = helm.render(_changed("pods.settings", given))
    file.write_text(one(rendered, "ConfigMap", "podgate-controller")["data"]["kubernetes.toml"])
    found = read_settings(file)
    assert (found.cpus, found.most_cpus, found.most_gpus, found.cpus_request) == ("4", "16", 2, "0.5")


def test_a_console_beside_the_domain_is_taken(helm: Helm) -> None:
    helm.render(_changed("consoleHost", "xpods.example.org"))


def test_names_too_long_are_refused_in_words(helm: Helm) -> None:
    with pytest.raises(Refused, match="is too long"):
        helm.render(LEAST, release="r" * 40)


def test_an_older_cluster_is_refused(helm: Helm) -> None:
    with pytest.raises(Refused, match="kubeVersion"):
        helm.render(LEAST, "--kube-version", "1.27.9")
    helm.render(LEAST, "--kube-version", "1.28.0-gke.100")


def test_a_namespace_of_people_s_volumes_outlives_the_release(rendered: dict[str, list[JSON]]) -> None:
    namespace = one(rendered["least"], "Namespace", "podgate-pods")
    assert namespace["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert [each for each in rendered["small"] if each["kind"] == "Namespace"] == []
    controller = one(rendered["least"], "StatefulSet", "podgate-controller")["spec"]
    assert controller["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}


def test_a_controller_with_a_database_keeps_nothing_of_its_own(rendered: dict[str, list[JSON]]) -> None:
    assert "volumeClaimTemplates" not in one(rendered["much"], "StatefulSet", "podgate-controller")["spec"]


def test_the_image_is_named_by_its_content_if_told_so(rendered: dict[str, list[JSON]]) -> None:
    def images(name: str) -> set[str]:
        spec = one(rendered[name], "StatefulSet", "podgate-gateway")["spec"]["template"]["spec"]
        return {each["image"] for each in spec["containers"]}

    assert images("least") == {"registry.example.org/podgate:0.1.0"}
    assert images("much") == {f"registry.example.org/podgate@sha256:{'0' * 64}"}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (LEAST, "reached inside the cluster only"),
        (MUCH, "api.pods.example.org and signin.example.net to Service podgate-controller"),
        (SMALL, "podgate pod create mydb --template postgres"),
    ],
)
def test_what_is_told_after_an_installation(helm: Helm, values: JSON, told: str) -> None:
    assert told in helm.notes(values)
