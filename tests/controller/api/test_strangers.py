"""Strangers, who come through a gateway without a token, cannot use up what the controller needs for its own."""

import tempfile
from pathlib import Path

import trio

from controller.api.server import listen, serve
from tests.peers import DEADLINE


async def answer_nothing(scope: object, receive: object, send: object) -> None:
    """An application that never answers: each connection stays."""
    await trio.sleep_forever()


async def test_connections_beyond_the_most_are_closed_and_those_before_stay() -> None:
    with tempfile.TemporaryDirectory(prefix="pg-") as directory:
        path, ending = Path(directory) / "web.sock", trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, answer_nothing, listen(path), ending, 2)
            first, second, third = [await trio.open_unix_socket(path) for _ in range(3)]
            with trio.fail_after(DEADLINE):
                assert await third.receive_some(1) == b""
            with trio.move_on_after(0.05) as waited:
                await first.receive_some(1)
            assert waited.cancelled_caught, "one that was let in stays"
            for stream in (first, second, third):
                await stream.aclose()
            ending.set()
            nursery.cancel_scope.cancel()
