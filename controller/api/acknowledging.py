"""Acknowledgements on a short way: ten gateways send two hundred a second where much changes, more than all other calls
together, and FastAPI takes a millisecond for each.

What is as it should be is taken here; whatever else is answered by the app, which describes the call too
(`controller.api.routes`).
"""

from contextlib import suppress

from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controller.api.access import CALLER
from controller.api.gatewaydocuments import Acknowledgement
from controller.control import Control
from controller.gateways import NotLive, NotPublished, may_speak_for
from router.snapshot import Rejected, Version

_CALL = ("http", "POST", "/v1/routes/ack")


class Acknowledging:
    """Wraps the app, behind the gate."""

    def __init__(self, app: ASGIApp, control: Control) -> None:
        self._app = app
        self._feed = control.feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take an acknowledgement, or let the app answer."""
        if (scope["type"], scope.get("method"), scope.get("path")) != _CALL:
            await self._app(scope, receive, send)
            return
        read = _Read(receive)
        with suppress(HTTPException):  # which the app meets again
            if self._takes(scope, await read.whole()):
                await send({"type": "http.response.start", "status": 204, "headers": []})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
        await self._app(scope, read.again, send)

    def _takes(self, scope: Scope, body: bytes) -> bool:
        if Headers(scope=scope).get("content-type") != "application/json":
            return False
        with suppress(ValidationError, NotLive, NotPublished):
            given = Acknowledgement.model_validate_json(body)
            if may_speak_for(scope[CALLER].principal.credential, given.replica):
                rejected = [Rejected(each.host, each.reason) for each in given.rejected]
                self._feed.acknowledge(given.replica, Version(given.epoch, given.version), rejected)
                return True
        return False


class _Read:
    """A body that was read, for who reads it again."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: list[Message] = []

    async def whole(self) -> bytes:
        """Read it all, or what there is of it when the caller leaves."""
        while not self._messages or self._messages[-1].get("more_body", False):
            self._messages.append(await self._receive())
        return b"".join(message.get("body", b"") for message in self._messages)

    async def again(self) -> Message:
        """Give what was read, and then what comes."""
        return self._messages.pop(0) if self._messages else await self._receive()
