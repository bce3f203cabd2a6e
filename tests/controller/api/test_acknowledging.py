"""Acknowledgements on their short way: what is taken there, and that all else reaches the app as it was sent."""

import json
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from controller.api.access import CALLER
from controller.api.acknowledging import Acknowledging
from controller.control import Control
from controller.feed import Feed
from controller.identity import Caller
from controller.pulse import Pulse
from router.access import Principal


class App:
    """Notes what reaches it."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.failed = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        try:
            while more:
                message = await receive()
                body, more = body + message.get("body", b""), message.get("more_body", False)
        except HTTPException:
            self.failed = True
        self.bodies.append(body)


async def call(
    feed: Feed, document: Any, scope: dict[str, Any] | None = None, *, held: str = "gateway", refused: bool = False
) -> tuple[App, list[Message]]:
    """Send a body in two pieces, or have it refused after the first; give what reached the app, and what was sent."""
    app, sent, body = App(), list[Message](), json.dumps(document).encode()
    pieces: list[dict[str, Any]] = [{"body": body[:5], "more_body": True}, {"body": body[5:]}]

    async def receive() -> Message:
        if refused and len(pieces) == 1:
            raise HTTPException(413)
        return {"type": "http.request", **pieces.pop(0)}

    async def send(message: Message) -> None:
        sent.append(message)

    whole = {
        "type": "http", "method": "POST", "path": "/v1/routes/ack",
        "headers": [(b"content-type", b"application/json")], CALLER: Caller(Principal(credential=held)),
    }  # fmt: skip
    wrapped = Acknowledging(app, cast("Control", SimpleNamespace(feed=feed)))
    await wrapped(whole | (scope or {}), receive, send)
    assert app.bodies in ([], [body[:5] if refused else body])
    return app, sent


async def test_a_good_one_is_taken() -> None:
    feed = Feed(Pulse())
    async with aclosing(feed.follow("gw", 1)) as stream:
        await anext(stream)
        good = {"replica": "gw", "epoch": feed.version.epoch, "version": feed.version.number}
        app, sent = await call(feed, good | {"rejected": [{"host": "a.x", "reason": "port"}]})
        assert (app.bodies, [message.get("status") for message in sent]) == ([], [204, None])
        assert feed.current(feed.gateways["gw"])
        assert feed.gateways["gw"].rejected == {"a.x": (feed.version.number, "port")}


@pytest.mark.parametrize(
    ("change", "scope"),
    [
        ({"replica": "another"}, {}),
        ({"version": 99}, {}),
        ({"version": "x"}, {}),
        ({"more": 1}, {}),
        ({}, {"headers": []}),
        ({}, {"method": "GET"}),
        ({}, {"path": "/v1/routes/standing"}),
    ],
)
async def test_all_else_is_the_apps(change: dict[str, Any], scope: dict[str, Any]) -> None:
    feed = Feed(Pulse())
    async with aclosing(feed.follow("gw", 1)) as stream:
        await anext(stream)
        good = {"replica": "gw", "epoch": feed.version.epoch, "version": feed.version.number}
        app, sent = await call(feed, good | change, scope)
        assert (len(app.bodies), sent) == (1, [])
        assert not feed.current(feed.gateways["gw"])


async def test_the_token_of_another_gateway_takes_nothing() -> None:
    feed = Feed(Pulse())
    async with aclosing(feed.follow("gw", 1)) as stream:
        await anext(stream)
        good = {"replica": "gw", "epoch": feed.version.epoch, "version": feed.version.number}
        app, _sent = await call(feed, good, held="gateway:berlin")
        assert len(app.bodies) == 1
        assert not feed.current(feed.gateways["gw"])


async def test_a_body_that_the_gate_refuses_is_refused_to_the_app_too() -> None:
    app, sent = await call(Feed(Pulse()), {"replica": "gw"}, refused=True)
    assert (app.failed, sent) == (True, [])
