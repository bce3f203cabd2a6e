"""What only a real cluster shows. Not collected by `make test`; see README.md beside this file."""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import trio

from controller.runtimes import Launch, Observed, Stage
from controller.runtimes.kubernetes.access import load_access
from controller.runtimes.kubernetes.order import object_name, offered
from controller.runtimes.kubernetes.rights import NEEDED
from controller.runtimes.kubernetes.runtime import KubernetesRuntime
from controller.runtimes.kubernetes.settings import ClusterSettings
from controller.templates import load_templates
from podgate.checkup.cluster import Checkup
from podgate.checkup.findings import State
from tests.cluster.conftest import Cluster
from tests.deploy.charts import ALL, JSON, Helm

BUSYBOX = "docker.io/library/busybox:1.37"
PATIENCE = 300.0  # seconds: images are pulled
SECRETS = {"owner": "o" * 24, "write": "w" * 24, "read": "r" * 24, "keeper": "k" * 24}
SERVING = "mkdir -p /tmp/www && echo hello > /tmp/www/index.html && exec httpd -f -p 8080 -h /tmp/www"
GATEWAY = "app.kubernetes.io/part-of=podgate,app.kubernetes.io/component=gateway"


def settings_of(cluster: Cluster) -> ClusterSettings:
    return ClusterSettings(
        namespace=cluster.namespace, kubeconfig=str(cluster.kubeconfig), allow=("docker.io/library/*",), disk="100Mi",
        policies_enforced=True,
    )  # fmt: skip


@asynccontextmanager
async def running(cluster: Cluster) -> AsyncIterator[KubernetesRuntime]:
    """Run a runtime for a while; its pods stay."""
    settings = settings_of(cluster)
    runtime = KubernetesRuntime(settings, offered(load_templates()), load_access(settings))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(runtime.run)
        yield runtime
        nursery.cancel_scope.cancel()


async def until(runtime: KubernetesRuntime, key: str, wanted: Callable[[Observed], bool]) -> Observed:
    with trio.fail_after(PATIENCE):
        while True:
            seen = (await runtime.observe()).get(key)
            if seen is not None and wanted(seen):
                return seen
            await runtime.changed()


def a_pod(key: str, command: str, generation: int = 1, image: str = BUSYBOX) -> Launch:
    parameters = {"image": image, "command": command, "port": "8080", "user": "10001"}
    return Launch(key, 1, key, "image", generation, parameters, {"COLOUR": "red"}, {})


# ---- what needs an API server alone


def test_the_doctor_finds_this_account_able(cluster: Cluster) -> None:
    settings = settings_of(cluster)
    found = {finding.what: finding for finding in Checkup(load_access(settings), settings).look()}
    assert found["rights"].state is State.OK, found["rights"]
    assert found["cluster"].state is State.OK, found["cluster"]
    assert "clocks" not in found, found["clocks"]


@pytest.mark.parametrize("name", ALL)
def test_the_server_takes_the_chart(cluster: Cluster, helm: Helm, name: str) -> None:
    documents = helm.render(_for(cluster, ALL[name]), namespace=cluster.namespace)
    told = cluster.apply(documents, "--dry-run=server", "--validate=strict")
    assert told.count("(server dry run)") == len(documents)


def test_the_chart_s_role_lets_the_controller_do_what_it_needs_and_no_more(cluster: Cluster, helm: Helm) -> None:
    kinds = ("ServiceAccount", "Role", "RoleBinding")
    documents = helm.render(_for(cluster, ALL["least"]), namespace=cluster.namespace)
    cluster.apply([each for each in documents if each["kind"] in kinds])
    token = cluster.run("create", "token", "podgate-controller", "--duration=10m").strip()

    async def shown() -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}

    access = replace(load_access(settings_of(cluster)), headers=shown)
    deadline = time.monotonic() + 30  # authorizers learn of a Role a moment later
    while True:
        found = {each.what: each for each in Checkup(access, settings_of(cluster)).look()}
        if found["rights"].state is State.OK or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    assert found["rights"].found.startswith(f"all {len(NEEDED)}")
    account = f"system:serviceaccount:{cluster.namespace}:podgate-controller"
    for forbidden in ("list secrets", "get secrets", "create pods", "create pods/exec", "list nodes", "list pods -A"):
        assert cluster.run("auth", "can-i", *forbidden.split(), "--as", account, ok=False).startswith("no"), forbidden


async def test_the_server_takes_what_the_runtime_makes(cluster: Cluster) -> None:
    async with running(cluster) as runtime:
        for template in ("postgres", "graph", "jupyter", "web"):
            launch = Launch(f"{template}-t", 1, template, template, 1, {}, {}, _secrets_of(template))
            await runtime.launch(launch)
            await runtime.launch(launch)  # again: nothing is different
        await runtime.launch(a_pod("plain-t", SERVING))
        for key in ("postgres-t", "graph-t", "jupyter-t", "web-t", "plain-t"):
            seen = await until(runtime, key, lambda _seen: True)
            assert seen.stage in {Stage.STARTING, Stage.READY, Stage.EXITED}
            made = _object(cluster, "statefulset", object_name(key))
            assert made["spec"]["replicas"] == 1
            await runtime.stop(key, grace=1)
            assert _object(cluster, "statefulset", object_name(key))["spec"]["replicas"] == 0


# ---- what needs pods to run


@pytest.mark.usefixtures("kubelet")
async def test_a_pod_comes_up_keeps_its_data_and_goes(cluster: Cluster) -> None:
    key = "life-t"
    async with running(cluster) as runtime:
        await runtime.launch(a_pod(key, f"echo kept > $POD_DATA/file; {SERVING}"))
        seen = await until(runtime, key, lambda seen: seen.stage in {Stage.READY, Stage.EXITED})
        assert seen.stage is Stage.READY, seen
        told = cluster.run("exec", f"{object_name(key)}-0", "--", "wget", "-qO-", "http://127.0.0.1:8080/")
        assert told == "hello\n"
        await runtime.stop(key, grace=5)
        await until(runtime, key, lambda seen: seen.stage is Stage.EXITED)
        await runtime.launch(a_pod(key, f"cat $POD_DATA/file; {SERVING}", generation=2))
        await until(runtime, key, lambda seen: (seen.stage, seen.generation) == (Stage.READY, 2))
        log = b"".join([data async for data in runtime.logs(key, 100, follow=False)])
        assert log.startswith(b"kept\n")
    async with running(cluster) as runtime:  # another life adopts it
        assert (await runtime.observe())[key].stage is Stage.READY
        await runtime.stop(key, grace=5)
        await until(runtime, key, lambda seen: seen.stage is Stage.EXITED)
        await runtime.remove(key)
        with trio.fail_after(PATIENCE):
            while key in await runtime.observe():
                await runtime.changed()
    assert object_name(key) not in cluster.run(
        "get", "statefulset,service,secret,configmap,networkpolicy,pvc", "-o", "name"
    )


@pytest.mark.usefixtures("kubelet")
@pytest.mark.parametrize(
    ("key", "command", "image", "told"),
    [
        ("crash-t", "echo cannot find my hat >&2; exit 3", BUSYBOX, "exit status 3: cannot find my hat"),
        ("lost-t", "true", "docker.io/library/no-such-image-of-podgate:1", "image"),
    ],
)
async def test_what_fails_is_told_in_words(cluster: Cluster, key: str, command: str, image: str, told: str) -> None:
    async with running(cluster) as runtime:
        await runtime.launch(a_pod(key, command, image=image))
        await until(runtime, key, lambda seen: told in seen.message)


@pytest.mark.usefixtures("kubelet")
async def test_a_database_comes_up(cluster: Cluster) -> None:
    key = "database-t"
    async with running(cluster) as runtime:
        await runtime.launch(Launch(key, 1, "database", "postgres", 1, {}, {}, _secrets_of("postgres")))
        seen = await until(runtime, key, lambda seen: seen.stage in {Stage.READY, Stage.EXITED})
        assert seen.stage is Stage.READY, seen


@pytest.mark.usefixtures("kubelet")
async def test_the_network_heeds_policies(cluster: Cluster) -> None:
    """Gateways reach a pod, and nobody else does; if this fails, never write policies_enforced = true."""
    async with running(cluster) as runtime:
        await runtime.launch(a_pod("wall-t", SERVING))
        seen = await until(runtime, "wall-t", lambda seen: seen.stage is Stage.READY)
    address = next(iter(seen.upstreams.values()))
    assert "hello" in _fetched(cluster, "friend", GATEWAY, address)
    assert "hello" not in _fetched(cluster, "stranger", "who=stranger", address)


@pytest.mark.usefixtures("kubelet")
def test_the_chart_comes_up(cluster: Cluster, helm: Helm, request: pytest.FixtureRequest) -> None:
    image = request.config.getoption("--image")
    if not image:
        pytest.skip("no image of Podgate was named: --image REGISTRY/NAME:TAG")
    repository, _colon, tag = image.rpartition(":")
    values = _for(cluster, {**ALL["least"], "image": {"repository": repository, "tag": tag}})
    values["gateway"] = {"service": {"type": "ClusterIP"}, "drain": 5}
    cluster.run("create", "secret", "generic", "podgate", *_files(request))
    cluster.apply(helm.render(values, namespace=cluster.namespace))
    for part in ("controller", "gateway"):
        cluster.run(
            "rollout", "status", f"statefulset/podgate-{part}", f"--timeout={PATIENCE:.0f}s", timeout=PATIENCE + 30
        )
    told = json.loads(cluster.run("exec", "statefulset/podgate-controller", "--", "podgate", "gateways", "--json"))
    assert len([each for each in told["gateways"] if each["current"]]) == 3  # two, and the door
    cluster.run("exec", "statefulset/podgate-controller", "--", "podgate", "doctor")


def _for(cluster: Cluster, values: JSON) -> JSON:
    """Have it all in the tests' namespace, with no port that this cluster may not have."""
    gateway = {**values.get("gateway", {})}
    gateway["service"] = {**gateway.get("service", {}), "nodePort": 0}
    pods = {**values.get("pods", {}), "namespace": cluster.namespace}
    metrics = {**values.get("metrics", {}), "podMonitor": False}  # it may have no operator of Prometheus
    return {**values, "pods": pods, "gateway": gateway, "metrics": metrics}


def _files(request: pytest.FixtureRequest) -> list[str]:
    """Make what the chart's Secret holds."""
    from certs.authority import Authority

    place = request.getfixturevalue("tmp_path")
    Authority.open(place)
    for name in ("admin.token", "gateway.token"):
        (place / name).write_text(f"pgt_{name.partition('.')[0] * 8}\n")
    return [f"--from-file={place / name}" for name in ("admin.token", "gateway.token", "ca.pem", "ca.key")]


def _fetched(cluster: Cluster, name: str, labels: str, address: str) -> str:
    """Fetch from an address in a Kubernetes pod with these labels."""
    words = ["wget", "-T", "5", "-qO-", f"http://{address}/"]
    return cluster.run(
        "run", name, "--image", BUSYBOX, "--labels", labels, "--restart", "Never", "--rm", "--attach", "--quiet",
        "--command", "--", *words, ok=False,
    )  # fmt: skip


def _secrets_of(template: str) -> dict[str, str]:
    return {name: SECRETS[name] for name in load_templates()[template].secrets}


def _object(cluster: Cluster, kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cluster.run("get", kind, name, "--output", "json"))
    return found
