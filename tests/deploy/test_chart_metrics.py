"""What the chart has Prometheus scrape, and that nobody else is let in for it."""

import pytest

from tests.deploy.charts import ALL, JSON, LEAST, Helm, containers, one, pod_specs
from tests.deploy.networks import labels_of, lets_in, policies_for, selects

OF_A_POD = {"app.kubernetes.io/managed-by": "podgate", "app.kubernetes.io/component": "pod"}
PROMETHEUS = {"app.kubernetes.io/name": "prometheus"}


def test_a_pod_monitor_is_made_if_it_is_wanted(rendered: dict[str, list[JSON]]) -> None:
    """As the operator's API describes it (monitoring.coreos.com/v1); no package here has the operator to judge it."""
    found = {name: [each for each in rendered[name] if each["kind"] == "PodMonitor"] for name in ALL}
    (monitor,) = found.pop("much")
    assert list(found.values()) == [[], [], []]
    told = monitor["metadata"].pop("labels")
    assert (told["release"], told["app.kubernetes.io/component"]) == ("prometheus", "metrics")
    selector = monitor["spec"].pop("selector")
    assert monitor == {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {"name": "podgate", "namespace": "podgate"},
        "spec": {
            "jobLabel": "app.kubernetes.io/name",
            "podTargetLabels": ["app.kubernetes.io/component"],
            "podMetricsEndpoints": [{"port": "health", "path": "/metrics", "interval": "15s"}],
        },
    }
    for workload, spec in pod_specs(rendered["much"]):
        assert selects(selector, labels_of(rendered["much"], workload))
        (asked,) = (each for each in containers(spec) if "health" in {port["name"] for port in each.get("ports", [])})
        assert [word.rpartition(":")[2] for word in asked["args"] if word.startswith("--health=")] == ["9443"]
    assert not selects(selector, {**labels_of(rendered["much"], "podgate-gateway"), **OF_A_POD})


@pytest.mark.parametrize("workload", ["podgate-gateway", "podgate-controller"])
def test_only_who_scrapes_reaches_the_port(rendered: dict[str, list[JSON]], workload: str) -> None:
    def reaches(name: str, namespace: str, port: int = 9443) -> bool:
        target = labels_of(rendered[name], workload)
        return lets_in(policies_for(rendered[name], target, "podgate"), "podgate", port, PROMETHEUS, namespace)

    assert reaches("much", "monitoring")
    assert not reaches("much", "podgate")
    assert not reaches("much", "elsewhere")
    assert not reaches("much", "monitoring", 7443)
    assert not reaches("least", "monitoring")


def test_a_scraper_that_needs_no_pod_monitor_is_let_in_as_well(helm: Helm) -> None:
    documents = helm.render({**LEAST, "metrics": {"namespace": "monitoring"}})
    assert [each for each in documents if each["kind"] == "PodMonitor"] == []
    rules = one(documents, "NetworkPolicy", "podgate-gateway")["spec"]["ingress"]
    assert [rule["ports"][0]["port"] for rule in rules] == [8443, 7443, 9443]


def test_where_nobody_is_kept_out_no_namespace_has_to_be_named(helm: Helm) -> None:
    helm.render({**LEAST, "metrics": {"podMonitor": True}, "networkPolicy": {"enabled": False}})
