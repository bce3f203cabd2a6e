"""What is left in the runtime of pods that nobody knows: told to administrators, and taken away by name alone."""

import pytest
import trio

from controller import orphans
from controller.runtimes import Stage
from tests.controller.api.conftest import Api
from tests.peers import DEADLINE


async def found(api: Api) -> list[dict[str, str]]:
    answer = await api.admin.get("/v1/orphans")
    assert answer.status_code == 200, answer.text
    listed: list[dict[str, str]] = answer.json()["orphans"]
    return listed


async def test_what_belongs_to_no_pod_is_listed_and_what_does_is_not(api: Api) -> None:
    await api.create()
    assert await found(api) == []
    api.runtime.show("stray-b", Stage.READY, 3)
    api.runtime.show("stray-a", Stage.EXITED, 0, "only its volume is left")
    one, other = await found(api)
    assert (one["key"], one["stage"], one["message"]) == ("stray-a", "exited", "only its volume is left")
    assert (other["key"], other["stage"]) == ("stray-b", "ready")


@pytest.mark.parametrize(("stage", "done"), [(Stage.EXITED, ["remove"]), (Stage.READY, ["stop", "remove"])])
async def test_one_is_stopped_and_taken_away(api: Api, stage: Stage, done: list[str]) -> None:
    api.runtime.show("stray-a", stage, 1)
    api.runtime.show("stray-b", Stage.EXITED, 1)
    assert (await api.admin.delete("/v1/orphans/stray-a")).status_code == 204
    assert api.runtime.calls == [(action, "stray") for action in done]
    assert [each["key"] for each in await found(api)] == ["stray-b"]
    entry = (await api.audit())[0]
    assert (entry["what"], entry["detail"], entry["outcome"]) == ("delete orphan", "stray-a", "changed")


async def test_a_pod_is_no_orphan(api: Api) -> None:
    await api.create()
    with trio.fail_after(DEADLINE):
        while not api.runtime.pods:
            await trio.lowlevel.checkpoint()
    (key,) = api.runtime.pods
    refused = await api.admin.delete(f"/v1/orphans/{key}")
    assert (refused.status_code, refused.json()["detail"]) == (404, f"there is no orphan {key!r}; see podgate orphans")
    assert ("remove", "mydb") not in api.runtime.calls


async def test_one_that_does_not_go_is_said_to_be_there(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "PATIENCE", 0.05)
    monkeypatch.setattr(orphans, "LOOK_AGAIN_AFTER", 0.01)
    api.runtime.show("stray-a", Stage.EXITED, 1)
    api.runtime.refusals["remove"] = "its volume is in use"
    refused = await api.admin.delete("/v1/orphans/stray-a")
    assert refused.status_code == 504
    assert (
        refused.json()["detail"] == "stray-a is being taken away, but is still there: its volume is in use; ask again"
    )
    api.runtime.refusals.clear()
    assert (await api.admin.delete("/v1/orphans/stray-a")).status_code == 204
