"""Calls: what is repeated, how soon, and what is said when it does not help."""

import json
from collections.abc import AsyncIterator

import pytest
import trio

from controller.runtimes.kubernetes import client
from controller.runtimes.kubernetes.access import Access, CredentialsFailure
from controller.runtimes.kubernetes.client import Cluster, ClusterFailure, Gone
from tests.controller.runtimes.kubernetes.answering import Fault
from tests.controller.runtimes.kubernetes.apiserver import ApiServer

POD = "/api/v1/namespaces/podgate/pods/a"


@pytest.fixture
async def api() -> AsyncIterator[ApiServer]:
    async with ApiServer().serving() as api:
        api.put("pods", {"metadata": {"name": "a"}, "spec": {}})
        yield api


@pytest.fixture
async def cluster(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.001)
    async with Cluster(Access(api.url, verify=False)) as cluster:
        yield cluster


def status(code: int, message: str, **headers: str) -> Fault:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(code, json.dumps({"kind": "Status", "message": message}).encode(), names)


@pytest.mark.parametrize(
    "fault",
    [status(429, "slow down", Retry_After="0"), status(500, "oops"), status(502, ""), status(503, ""), status(504, ""),
     status(409, "the object has been modified"), status(401, "the token has expired"),
     Fault(body=b'{"metadata"', cut=True)],
    ids=lambda fault: str(fault.status),
)  # fmt: skip
async def test_what_may_help_is_done_again(api: ApiServer, cluster: Cluster, fault: Fault) -> None:
    api.faults.append(fault)
    found = await cluster.get(POD)
    assert found is not None
    assert found["metadata"]["name"] == "a"
    assert len(api.requests) == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (status(403, 'pods "a" is forbidden: User "u" cannot get'), 'does not let us: pods "a" is forbidden'),
        (status(422, "spec: Forbidden: updates to it"), "refused a: spec: Forbidden: updates to it"),
        (status(400, "x" * 5000), "refused a: x{500}$"),
        (Fault(400, b"<html>"), "refused a: status 400"),
    ],
    ids=lambda given: str(getattr(given, "status", "")),
)
async def test_what_cannot_help_is_told_at_once(api: ApiServer, cluster: Cluster, fault: Fault, reason: str) -> None:
    api.faults.append(fault)
    with pytest.raises(ClusterFailure, match=reason) as caught:
        await cluster.get(POD)
    assert caught.value.status == fault.status
    assert len(api.requests) == 1


async def test_a_version_that_is_gone_is_told_apart(api: ApiServer, cluster: Cluster) -> None:
    api.faults.append(status(410, "too old resource version"))
    with pytest.raises(Gone, match="too old"):
        await cluster.get(POD)


async def test_it_ends_some_time(api: ApiServer, cluster: Cluster) -> None:
    api.faults += [status(503, "etcd is gone") for _ in range(client.MOST_ATTEMPTS)]
    with pytest.raises(ClusterFailure, match="too busy or ill: etcd is gone"):
        await cluster.get(POD)
    assert len(api.requests) == client.MOST_ATTEMPTS


async def test_a_token_that_is_never_good_is_told(api: ApiServer, cluster: Cluster) -> None:
    api.faults += [status(401, "no"), status(401, "no")]
    with pytest.raises(ClusterFailure, match="does not know us"):
        await cluster.get(POD)


async def test_it_waits_as_long_as_it_is_asked_to(api: ApiServer, cluster: Cluster) -> None:
    api.faults.append(status(429, "slow down", Retry_After="1"))
    before = trio.current_time()
    await cluster.get(POD)
    assert 1.0 <= trio.current_time() - before < client.LONGEST_PAUSE


async def test_a_server_that_says_nothing_holds_a_call_only_so_long(
    api: ApiServer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CALL_LIMIT", 0.2)
    api.faults.append(Fault(body=b"", hang=True))
    with pytest.raises(ClusterFailure, match="did not answer in time"):
        await cluster.get(POD)


async def test_an_answer_longer_than_any_is_refused(
    api: ApiServer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps({"kind": "x" * 100}).encode()
    monkeypatch.setattr(client, "LONGEST_ANSWER", len(body))
    api.faults.append(Fault(body=body))
    assert await cluster.get(POD) == json.loads(body)
    api.faults.append(Fault(body=body + b" "))
    with pytest.raises(ClusterFailure, match="longer than"):
        await cluster.get(POD)


async def test_what_is_not_there(cluster: Cluster) -> None:
    nowhere = POD.replace("/a", "/b")
    assert await cluster.get(nowhere) is None
    assert await cluster.merge(nowhere, {}) is None
    assert not await cluster.delete(nowhere)


async def test_an_apply_says_who_makes_it(api: ApiServer, cluster: Cluster) -> None:
    await cluster.apply(POD.replace("/a", "/b"), {"metadata": {"name": "b"}, "spec": {}})
    assert api.requests == [f"PATCH {POD.replace('/a', '/b')}?fieldManager=podgate&force=true"]


async def test_a_delete_of_another_with_the_same_name_deletes_nothing(api: ApiServer, cluster: Cluster) -> None:
    assert not await cluster.delete(POD, {"preconditions": {"uid": "another's"}})
    assert "deletionTimestamp" not in api.get("pods", "a")["metadata"]


async def test_credentials_are_asked_for_again_when_they_do_not_hold(api: ApiServer) -> None:
    given = iter(["old", "new"])

    async def headers() -> dict[str, str]:
        return {"authorization": f"Bearer {next(given)}"}

    access = Access(api.url, verify=False, headers=headers)
    api.faults.append(status(401, "expired"))
    async with Cluster(access) as cluster:
        assert await cluster.get(POD) is not None
    assert next(given, None) is None


async def test_credentials_that_cannot_be_had_are_told(api: ApiServer) -> None:
    async def fails() -> dict[str, str]:
        raise CredentialsFailure("no such program: kubelogin")

    async with Cluster(Access(api.url, verify=False, headers=fails)) as cluster:
        with pytest.raises(ClusterFailure, match="cannot be had: no such program: kubelogin"):
            await cluster.get(POD)
