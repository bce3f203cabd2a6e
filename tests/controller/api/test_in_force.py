"""A change is answered when the gateways that are up have it, and one that does not answer holds it up for a second."""

import json
from typing import Any

import pytest
import trio

from controller.api import gate
from tests.controller.api.conftest import Api

PATIENCE = 10.0  # seconds, less than any limit that is not to be reached


async def acknowledge(api: Api, document: dict[str, Any]) -> None:
    word = {"replica": "one", "epoch": document["epoch"], "version": document["version"]}
    assert (await api.gateway.post("/v1/routes/ack", json=word)).status_code == 204


async def test_a_change_is_answered_when_the_gateways_have_it(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "IN_FORCE_LIMIT", 2 * PATIENCE)
    answered = trio.Event()

    async def change() -> None:
        assert (await api.admin.post("/v1/users", json={"name": "alice"})).status_code == 201
        answered.set()

    async with api.lines("/v1/routes/stream?replica=one") as lines:
        await acknowledge(api, json.loads(await lines.next() or b""))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(change)
            delta = json.loads(await lines.next() or b"")
            assert (await api.admin.get("/v1/users/alice")).status_code == 200  # it is done; looking waits for nobody
            assert not answered.is_set()
            await acknowledge(api, delta)
            with trio.fail_after(PATIENCE):
                await answered.wait()


async def test_a_gateway_that_does_not_answer_holds_a_change_up_for_a_moment_only(api: Api) -> None:
    async with api.lines("/v1/routes/stream?replica=one") as lines:
        await acknowledge(api, json.loads(await lines.next() or b""))
        began = trio.current_time()
        with trio.fail_after(PATIENCE):
            assert (await api.admin.post("/v1/users", json={"name": "alice"})).status_code == 201
        assert trio.current_time() - began >= gate.IN_FORCE_LIMIT
