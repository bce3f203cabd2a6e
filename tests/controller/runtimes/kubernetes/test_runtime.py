"""What is Kubernetes' own: on the double of its API, with and without its pretend kubelet."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from controller.runtimes import Launch, RuntimeFailure, Stage
from controller.runtimes.kubernetes.manifests import KEY, stateful_set, volume_of
from controller.runtimes.kubernetes.order import judge, offered
from controller.runtimes.kubernetes.runtime import MOST_READERS
from tests.controller.runtimes.homes import LISTEN, PATIENCE, SECRETS, TEMPLATES, Living
from tests.controller.runtimes.kubernetes.answering import Fault
from tests.controller.runtimes.kubernetes.apiserver import ApiServer, now
from tests.controller.runtimes.kubernetes.cluster import SETTINGS, cluster, cluster_life

JSON = dict[str, Any]


@pytest.fixture
async def api() -> AsyncIterator[ApiServer]:
    """A cluster whose pods stay pending until a test says what became of them."""
    async with ApiServer().serving() as api:
        yield api


@pytest.fixture
async def living(api: ApiServer) -> AsyncIterator[Living]:
    async with cluster_life(api) as living:
        yield living


def show(api: ApiServer, **status: Any) -> None:
    pod = api.get("pods", "pg-p1-0")
    pod["status"] |= status
    api.put("pods", pod)


def ready() -> JSON:
    return {
        "phase": "Running",
        "podIP": "10.0.0.7",
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now()}],
    }


async def test_a_pod_that_became_ready_is_seen_within_milliseconds(api: ApiServer, living: Living) -> None:
    await living.launch("p1", "listener")
    await living.runtime.changed()
    show(api, **ready())
    before = trio.current_time()
    seen = await living.until_ready("p1")
    assert trio.current_time() - before < 10.0  # usually 3 ms; not but for the watch, which lasts minutes
    assert seen.upstreams[""].startswith("10.0.0.7:")


async def test_all_of_a_pod_is_made_by_its_first_launch_and_goes_with_it(api: ApiServer, living: Living) -> None:
    await living.launch("p1", env_COLOUR="red")
    assert sorted(api.objects) == [
        ("configmaps", "pg-p1"),
        ("networkpolicies", "pg-p1"),
        ("persistentvolumeclaims", "data-pg-p1-0"),
        ("pods", "pg-p1-0"),
        ("secrets", "pg-p1"),
        ("services", "pg-p1"),
        ("statefulsets", "pg-p1"),
    ]
    await living.runtime.stop("p1", grace=0.0)
    assert api.get("pods", "pg-p1-0")["metadata"]["deletionGracePeriodSeconds"] == 1  # never 0: see SHORTEST_GRACE
    api.drop("pods", "pg-p1-0")
    await living.until_exited("p1")
    await living.runtime.remove("p1")
    await living.until_gone("p1")
    assert api.objects == {}


async def test_no_password_stands_anywhere_but_in_the_secret(api: ApiServer, living: Living) -> None:
    await living.launch("p1", "postgres")
    for (plural, _name), thing in api.objects.items():
        assert plural == "secrets" or not any(secret in str(thing) for secret in SECRETS.values())


async def test_a_launch_that_broke_off_is_finished_by_the_next(api: ApiServer, living: Living) -> None:
    api.faults += [Fault(403, b'{"message": "secrets is forbidden"}', method="PATCH", part="/secrets/")]
    with pytest.raises(
        RuntimeFailure, match="my-p1 could not be started: the cluster does not let us: secrets is forbid"
    ):
        await living.launch("p1")
    seen = await living.until("p1", lambda seen: seen.stage is Stage.EXITED)
    assert (seen.generation, seen.message) == (0, "it was never started")
    assert ("pods", "pg-p1-0") not in api.objects
    await living.launch("p1")
    assert ("pods", "pg-p1-0") in api.objects


async def test_a_killed_controller_leaves_no_second_pod(api: ApiServer) -> None:
    for after in range(6):  # objects of a first launch that were made before it was killed
        async with cluster_life(api) as first:
            key = f"p{after}"
            api.faults.append(Fault(body=b"", hang=True, method="PATCH", part=f"pg-{key}", after=after))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(first.launch, key)
                with trio.fail_after(PATIENCE):
                    while api.faults:
                        await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
        async with cluster_life(api) as second:
            await second.launch(key)
            await second.until(key, lambda seen: seen.generation == 1)
    assert len([plural for plural, _name in api.objects if plural == "pods"]) == 6


async def test_a_pod_deleted_by_hand_comes_back(api: ApiServer, living: Living) -> None:
    await living.launch("p1", "listener")
    show(api, **ready())
    await living.until_ready("p1")
    api._remove("pods", "pg-p1-0")
    await living.until("p1", lambda seen: seen.stage is Stage.STOPPING)
    api.drop("pods", "pg-p1-0")
    await living.until("p1", lambda seen: seen.stage is Stage.STARTING)
    show(api, **ready())
    assert (await living.until_ready("p1")).generation == 1


async def test_a_stateful_set_deleted_by_hand_keeps_its_data_and_is_made_again(api: ApiServer, living: Living) -> None:
    await living.launch("p1")
    api.drop("statefulsets", "pg-p1")
    api.drop("pods", "pg-p1-0")
    seen = await living.until_exited("p1", 0)
    assert seen.message == "only its volume is left"
    await living.launch("p1", generation=2)
    assert (await living.until("p1", lambda seen: seen.generation == 2)).stage is Stage.STARTING


async def test_what_cannot_run_is_told(api: ApiServer, living: Living) -> None:
    await living.launch("p1")
    message = "0/1 nodes are available: 1 Insufficient memory."
    show(api, conditions=[{"type": "PodScheduled", "status": "False", "message": message}])
    await living.until("p1", lambda seen: seen.message == f"no machine can take it: {message}")
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "manifest unknown"}}
    show(api, conditions=[], containerStatuses=[{"name": "pod", "image": "x", "state": waiting}])
    await living.until("p1", lambda seen: seen.message == "its image x cannot be had: manifest unknown")


def ended(code: int, reason: str, message: str = "") -> JSON:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message, "finishedAt": now()}}


BACK_OFF = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}}


@pytest.mark.parametrize(
    ("status", "stage", "message"),
    [
        pytest.param(
            {"containerStatuses": [{"name": "pod", "image": "i", "state": {"waiting": {"reason": "ErrImagePull",
             "message": 'failed to pull and unpack image "i": not found'}}}]},
            Stage.STARTING, 'its image i cannot be had: failed to pull and unpack image "i": not found',
            id="image pull",
        ),
        pytest.param(
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
             "message": "0/1 nodes are available: 1 Insufficient memory."}]},
            Stage.STARTING, "no machine can take it: 0/1 nodes are available: 1 Insufficient memory.",
            id="unschedulable",
        ),
        pytest.param(
            {"containerStatuses": [{"name": "pod", "state": BACK_OFF,
                                    "lastState": ended(1, "Error", "a\nno \x1b[31mhat\n")}]},
            Stage.EXITED, "exit status 1: no [31mhat",
            id="crash loop",
        ),
        pytest.param(
            {"containerStatuses": [{"name": "pod", "state": BACK_OFF, "lastState": ended(137, "OOMKilled", "Killed")}]},
            Stage.EXITED, "it used more memory than it may; give it more with --parameter ram=, or have it use less",
            id="out of memory",
        ),
        pytest.param(
            {"containerStatuses": [{"name": "pod", "state": {"running": {}}, "lastState": ended(137, "OOMKilled")}]},
            Stage.STARTING, "it used more memory than it may; give it more with --parameter ram=, or have it use less; "
            "it was started again",
            id="out of memory once",
        ),
        pytest.param(
            {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: ephemeral-storage."},
            Stage.STARTING, "evicted: The node was low on resource: ephemeral-storage.; it is started again elsewhere",
            id="eviction",
        ),
    ],
)  # fmt: skip
async def test_failures_are_told_in_the_owners_words(
    api: ApiServer, living: Living, status: JSON, stage: Stage, message: str
) -> None:
    await living.launch("p1")
    show(api, **status)
    seen = await living.until("p1", lambda seen: bool(seen.message))
    assert (seen.stage, seen.message) == (stage, message)


async def test_what_the_cluster_warns_of_is_told(api: ApiServer, living: Living) -> None:
    await living.launch("p1")
    uid = api.get("pods", "pg-p1-0")["metadata"]["uid"]
    about = {"kind": "Pod", "name": "pg-p1-0", "uid": uid}
    warning = {"type": "Warning", "message": "no volume", "involvedObject": about, "lastTimestamp": now()}
    api.put("events", {**warning, "metadata": {"name": "e1"}})
    api.put("events", {**warning, "message": "all is well", "type": "Normal", "metadata": {"name": "e2"}})
    await living.until("p1", lambda seen: seen.message == "no volume")
    api.drop("events", "e1")
    await living.until("p1", lambda seen: seen.message == "")


async def test_what_wears_our_labels_and_is_none_of_ours_is_left_alone(api: ApiServer, living: Living) -> None:
    await living.launch("p1")
    labels = api.get("pods", "pg-p1-0")["metadata"]["labels"]
    api.put("pods", {"metadata": {"name": "another", "labels": labels}, "spec": {}, "status": {}})
    api.put("pods", {"metadata": {"name": "pg-p2-0", "labels": {**labels, KEY: "P2"}}, "spec": {}, "status": {}})
    await living.launch("p3")
    assert set(await living.runtime.observe()) == {"p1", "p3"}


async def test_another_controllers_pods_in_the_namespace_are_not_seen(api: ApiServer, living: Living) -> None:
    await living.launch("p1")
    order = judge(Launch("p9", 9, "my-p9", "command", 1), offered(TEMPLATES), SETTINGS)
    document = stateful_set(order, volume_of(order, None), generation=0)
    document["metadata"]["labels"]["podgate.internal/instance"] = "another"
    api.put("statefulsets", document)
    await living.launch("p2")
    assert set(await living.runtime.observe()) == {"p1", "p2"}


async def test_nothing_is_told_before_everything_was_listed() -> None:
    async with ApiServer().serving() as api:
        api.faults += [Fault(403, part="/persistentvolumeclaims?") for _ in range(2)]
        async with cluster_life(api) as living:
            with trio.fail_after(PATIENCE):
                assert await living.runtime.observe() == {}
        assert api.faults == []


async def test_a_cluster_that_is_away_for_a_while_changes_nothing_that_is_seen(api: ApiServer, living: Living) -> None:
    await living.launch("p1", "listener")
    show(api, **ready())
    before = await living.until_ready("p1")
    api.faults += [Fault(503, method="GET", part="watch=true") for _ in range(8)]
    await api.end_streams()
    assert (await living.runtime.observe())["p1"] == before
    with trio.fail_after(PATIENCE):
        while api.faults:
            await trio.lowlevel.checkpoint()
    show(api, podIP="10.0.0.8")
    await living.until("p1", lambda seen: seen.upstreams.get("", "").startswith("10.0.0.8:"))


async def test_a_changed_volume_size_does_not_stand_in_the_way_of_a_start(api: ApiServer, living: Living) -> None:
    await living.launch("p1", "listener", command=LISTEN)
    await living.runtime.stop("p1", grace=1.0)
    api.drop("pods", "pg-p1-0")
    await living.until_exited("p1")
    order = Launch("p1", 1, "my-p1", "listener", 2, {"disk": "9Gi"})
    await living.runtime.launch(order)
    (claim,) = api.get("statefulsets", "pg-p1")["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "5Gi"


async def test_a_crashed_pod_is_removed_with_what_waits_in_it() -> None:
    async with cluster() as api, cluster_life(api) as living:
        await living.run_to_end("p1", "exit 1")
        assert ("pods", "pg-p1-0") in api.objects
        await living.runtime.remove("p1")
        await living.until_gone("p1")
        assert api.objects == {}


async def test_a_stopped_pods_log_is_gone() -> None:
    async with cluster() as api, cluster_life(api) as living:
        await living.launch("p1", command="echo up; exec sleep 1000")
        await living.until_wrote("p1", "up")
        await living.end("p1")
        assert await living.log("p1") == ""


async def test_what_another_made_is_not_touched(api: ApiServer, living: Living) -> None:
    api.put("statefulsets", {"metadata": {"name": "pg-p1", "labels": {"app": "theirs"}}, "spec": {"replicas": 0}})
    before = len(api.requests)
    for action in (living.launch("p1"), living.runtime.stop("p1", 1.0), living.runtime.remove("p1")):
        with pytest.raises(RuntimeFailure, match="StatefulSet pg-p1 in namespace podgate is another's"):
            await action
    assert not [request for request in api.requests[before:] if not request.startswith("GET")]


async def test_a_volume_of_anothers_is_not_deleted(api: ApiServer, living: Living) -> None:
    api.put("persistentvolumeclaims", {"metadata": {"name": "data-pg-p1-0"}, "spec": {}})
    with pytest.raises(RuntimeFailure, match="PersistentVolumeClaim data-pg-p1-0 in namespace podgate is another's"):
        await living.runtime.remove("p1")
    assert ("persistentvolumeclaims", "data-pg-p1-0") in api.objects


async def test_what_is_about_to_start_is_not_removed(api: ApiServer, living: Living) -> None:
    await living.launch("p1")
    api.objects.pop(("pods", "pg-p1-0"))  # as between the StatefulSet and its pod
    with pytest.raises(RuntimeFailure, match="stop it before"):
        await living.runtime.remove("p1")


async def test_passwords_and_variables_go_with_the_pod_and_the_volume_with_its_removal_alone(
    api: ApiServer, living: Living
) -> None:
    await living.launch("p1", "postgres", env_KEY="of another service")
    await living.runtime.stop("p1", grace=1.0)
    api.drop("pods", "pg-p1-0")
    await living.until_exited("p1")
    assert ("persistentvolumeclaims", "data-pg-p1-0") in api.objects  # stopped: all is kept
    assert ("secrets", "pg-p1") in api.objects
    await living.runtime.remove("p1")
    await living.until_gone("p1")
    assert api.objects == {}


async def test_a_longer_grace_than_the_usual_is_given(api: ApiServer, living: Living) -> None:
    await living.launch("p1")
    await living.runtime.stop("p1", grace=90.0)
    assert api.get("pods", "pg-p1-0")["metadata"]["deletionGracePeriodSeconds"] == 90
    await living.runtime.stop("p1", grace=5.0)
    assert api.get("pods", "pg-p1-0")["metadata"]["deletionGracePeriodSeconds"] == 5


async def test_logs_that_are_read_do_not_take_all_connections(api: ApiServer, living: Living) -> None:
    await living.launch("p1")
    async with trio.open_nursery() as nursery:
        for _ in range(MOST_READERS):
            nursery.start_soon(living.until_wrote, "p1", "what it never writes")
        await wait_all_tasks_blocked()
        with pytest.raises(RuntimeFailure, match="32 logs are being read already"):
            await living.log("p1")
        nursery.cancel_scope.cancel()
    assert await living.log("p1") == ""


async def test_without_a_right_to_read_events_all_else_is_told() -> None:
    async with ApiServer().serving() as api:
        api.faults += [Fault(403, part="/events?") for _ in range(100)]
        async with cluster_life(api) as living:
            await living.launch("p1")
            assert "p1" in await living.runtime.observe()
