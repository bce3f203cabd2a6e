"""The audit log over the API: who is told what of it."""

import math
import time
from datetime import UTC, datetime

import pytest

from tests.controller.api.conftest import Api


def seen(at: float = 1.0, who: str = "alice", pod: str = "", outcome: str = "allowed", **more: object) -> object:
    return {"at": at, "who": who, "what": "connect", "pod": pod, "outcome": outcome, **more}


async def told(api: Api, *entries: object) -> int:
    answer = await api.gateway.post("/v1/routes/audit", json={"replica": "one", "entries": entries})
    return answer.status_code


async def test_each_is_told_what_is_theirs(api: Api) -> None:
    people = {name: await api.user(name) for name in ("alice", "mara", "rita")}
    key = str((await api.create())["key"])
    other = str((await api.create("mydb-two"))["key"])
    await api.share("user:mara", "manage")
    await api.share("user:rita", "read")
    later = math.floor(time.time() * 1000) / 1000
    entries = (
        seen(later, "alice", key, "refused"), seen(later + 0.001, "rita", key), seen(later + 0.002, "rita", other),
        seen(later + 0.003, "", key, "refused"),
    )  # fmt: skip
    assert await told(api, *entries) == 204
    expected = {
        "alice": [],  # who does not learn that the pod is there
        "rita": ["rita", "rita"],
        "mara": ["", "rita", "alice"],
    }
    for name, token in people.items():
        async with api.caller(token) as client:
            found = (await client.get(f"/v1/audit?since={later}")).json()["entries"]
        assert [each["who"] for each in found] == expected[name]
    assert len(await api.audit(since=datetime.fromtimestamp(later, UTC).isoformat())) == 4
    assert [each["pod"] for each in await api.audit(pod="mydb", since=str(later))] == ["mydb"] * 3
    assert [each["pod_key"] for each in await api.audit(pod=other, since=str(later))] == [other]
    assert len(await api.audit(until=str(math.nextafter(later, later + 1)), since=str(later))) == 1
    assert len(await api.audit(user="rita", outcome="allowed")) == 2
    assert len(await api.audit(limit="1")) == 1


async def test_a_token_for_one_pod_tells_of_no_other(api: Api) -> None:
    await api.user("olga")
    for name in ("mydb", "other"):
        await api.create(name)
        await api.own(name, "olga")
    async with api.caller(await api.token("olga", pod="mydb")) as olga:
        entries = (await olga.get("/v1/audit")).json()["entries"]
    assert {entry["pod"] for entry in entries} == {"mydb"}


async def test_changes_and_refusals_are_written_with_who_and_from_where(api: Api) -> None:
    token = await api.user("rita")
    key = (await api.create())["key"]
    await api.share("user:rita", "read")
    async with api.caller(token) as rita:
        assert (await rita.delete("/v1/pods/mydb")).status_code == 403
    assert (await api.gateway.get("/v1/pods")).status_code == 403
    newest = (await api.audit(limit="3"))[::-1]
    assert [(each["who"], each["what"], each["outcome"], each["address"]) for each in newest] == [
        ("admin", "share", "changed", "local"),
        ("rita", "delete pod", "refused", "local"),
        ("gateway", "GET /v1/pods", "refused", "local"),
    ]
    assert (newest[0]["detail"], newest[1]["pod_key"]) == ("read to user:rita", key)


@pytest.mark.parametrize(
    "entry",
    [
        seen(-1.0),
        seen(float("1e300")),
        seen(who="a\0"),
        seen(pod="a\0"),
        seen(address="a\0"),
        seen(outcome="changed"),  # gateways change nothing
        seen(who="x" * 101),
        seen(what="x" * 401),
        seen(pod="x" * 65),
        seen(outcome="maybe"),
        seen(detail="x" * 501),
        seen(secret="x"),
        {"at": 1.0},
    ],
)
async def test_entries_of_gateways_are_bounded(api: Api, entry: object) -> None:
    assert await told(api, entry) == 422


async def test_no_more_than_a_thousand_at_once(api: Api) -> None:
    assert await told(api, *[seen()] * 1000) == 204
    assert await told(api, *[seen()] * 1001) == 422


@pytest.mark.parametrize(
    "query",
    ["since=yesterday", "limit=0", "limit=1001", "outcome=maybe", "until=99999999999999999", "user=%00", "pod=%00"],
)
async def test_questions_that_cannot_be(api: Api, query: str) -> None:
    answer = await api.admin.get(f"/v1/audit?{query}")
    assert answer.status_code == (200 if query.startswith("until") else 422)


async def test_nothing_that_gateways_tell_is_of_the_future(api: Api) -> None:
    """It would stand before all that happens, until then; and the log of a year beyond 9999 could not be shown."""
    before = time.time()
    assert await told(api, seen(2.0**40, "mallory")) == 204
    (entry, *_) = await api.audit()
    assert entry["who"] == "mallory"
    assert before - 1 <= datetime.fromisoformat(entry["at"]).timestamp() <= time.time()
