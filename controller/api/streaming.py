"""Answers without an end: they end with their reader, or with the controller, and always close what they read from.

Starlette's own streaming answer ends by a cancellation that can hit Hypercorn while it makes the connection ready for
the next request; that connection would then never be closed as idle. Here nothing is cancelled but the reading.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import trio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class Stream(Response):
    """An answer written piece by piece, each when it is there, as long as `over` does not return."""

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        media_type: str,
        ending: trio.Event,
        over: Callable[[], Awaitable[object]] = trio.sleep_forever,
    ) -> None:
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self.init_headers({"cache-control": "no-store"})
        self._pieces = pieces
        self._ending = ending
        self._over = over

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the pieces until there are no more, the reader goes, or the controller ends."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(end_with_reader, receive, nursery.cancel_scope)
            nursery.start_soon(self._end_after, self._ending.wait, nursery.cancel_scope)
            nursery.start_soon(self._end_after, self._over, nursery.cancel_scope)
            async with aclosing(self._pieces) as pieces:
                async for piece in pieces:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            nursery.cancel_scope.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _end_after(self, end: Callable[[], Awaitable[object]], sending: trio.CancelScope) -> None:
        await end()
        sending.cancel()


async def end_with_reader(receive: Receive, work: trio.CancelScope) -> None:
    """Cancel `work` when the caller closes the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
    work.cancel()
