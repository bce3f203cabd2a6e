"""The gate before the API: who may call it, how much they may send, and what they learn when something breaks.

It stands before all routing, closed by default: a path nobody thought of needs the admin's token too.
"""

import logging
import secrets
from collections.abc import Mapping
from http import HTTPStatus

import trio
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controller.api.problems import Problem
from controller.names import hash_of

LONGEST_BODY = 1024 * 1024  # bytes
DRAIN_LIMIT = 5.0  # seconds in which the rest of a refused body is read: a sender cut off might not read the answer
OPEN_PATH = "/v1/healthz"
GATEWAY_PATHS = "/v1/routes/"

_UNKNOWN = Problem(
    401,
    "the call needs a valid token: send 'Authorization: Bearer TOKEN', with the token of admin.token in the home",
    headers={"www-authenticate": 'Bearer realm="podgate"'},
)
_TOO_LONG = Problem(413, f"the request's body is longer than {LONGEST_BODY} bytes")
log = logging.getLogger("controller.api")


class Gate:
    """Wraps the app: token, scope, length of the body, and a problem for what nobody expected."""

    def __init__(self, app: ASGIApp, scopes: Mapping[str, str]) -> None:
        self._app = app
        self._scopes = scopes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a call pass, or answer it."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        body = _Body(receive)
        answer = _Answer(send, body)
        problem = self._refusal(scope)
        if problem is None:
            try:
                await self._app(scope, body.receive, answer.send)
            except Exception:
                number = secrets.token_hex(4)
                log.exception("unexpected failure %s in %s %s", number, scope["method"], scope["path"][:200])
                problem = Problem(500, f"unexpected failure; the controller's log tells more under {number}")
        if problem is not None and not answer.begun:
            await problem.response()(scope, receive, answer.send)

    def _refusal(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        path = scope["path"]
        if path != OPEN_PATH:
            kind, _, token = headers.get("authorization", "").partition(" ")
            held = self._scopes.get(hash_of(token.strip())) if kind.lower() == "bearer" else None
            if held is None:
                return _UNKNOWN
            if held != "admin" and not (held == "gateway" and path.startswith(GATEWAY_PATHS)):
                return Problem(403, f"a token of scope {held!r} may not call {path[:200]!r}; use the admin's token")
        length = headers.get("content-length", "0")
        return _TOO_LONG if not length.isdecimal() or int(length[:20]) > LONGEST_BODY else None


class _Body:
    """Counts what is received."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._length = 0
        self._ended = False

    async def receive(self) -> Message:
        message = await self._take()
        if self._length > LONGEST_BODY:
            raise HTTPException(_TOO_LONG.status, _TOO_LONG.detail)  # the kind that FastAPI lets through
        return message

    async def drain(self) -> None:
        with trio.move_on_after(DRAIN_LIMIT):
            while not self._ended:
                await self._take()

    async def _take(self) -> Message:
        message = await self._receive()
        self._length += len(message.get("body", b""))
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message


class _Answer:
    """Knows whether the answer has begun; an error begins when the body has been read."""

    def __init__(self, send: Send, body: _Body) -> None:
        self._send = send
        self._body = body
        self.begun = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= HTTPStatus.BAD_REQUEST:
            await self._body.drain()
        self.begun = True
        await self._send(message)
