"""The gate before the API: who calls, how much they may send, and what they learn when something breaks.

It stands before all routing, closed by default: a path nobody thought of needs a valid token too. What a caller may do
then is asked in each call (`controller.api.access`).
"""

import logging
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus

import trio
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controller.api.access import CALLER, service_caller, user_caller
from controller.api.problems import Problem
from controller.callers import address_of
from controller.control import Control
from controller.gateways import ANY_GATEWAY, is_gateways
from controller.identity import By, Caller
from controller.names import hash_of
from router.access import Principal

LONGEST_BODY = 1024 * 1024  # bytes
BODY_LIMIT = 10.0  # seconds for a body to arrive: what waits for one holds one of few connections
IN_FORCE_LIMIT = 1.0  # seconds that a change has to reach the gateways before it is answered all the same
DRAIN_LIMIT = 5.0  # seconds in which the rest of a refused body is read: a sender cut off might not read the answer
OPEN_CALLS = frozenset({("GET", "/v1/healthz"), ("HEAD", "/v1/healthz"), ("POST", "/v1/login")})
GATEWAY_PATHS = "/v1/routes/"  # what gateways are told: keys and hashes of tokens are among it

_UNKNOWN = Problem(
    401,
    "the call needs a valid token: send 'Authorization: Bearer TOKEN'; get one by podgate login, or use that of "
    "admin.token in the home",
    headers={"www-authenticate": 'Bearer realm="podgate"'},
)
_TOO_SLOW = Problem(408, "the request's body did not come in time")
_TOO_LONG = Problem(413, f"the request's body is longer than {LONGEST_BODY} bytes")
log = logging.getLogger("controller.api")


class Gate:
    """Wraps the app: token, length of the body, and a problem for what nobody expected."""

    def __init__(self, app: ASGIApp, control: Control, public: bool) -> None:
        self._app = app
        self._control = control
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a call pass, or answer it."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        body = _Body(receive)
        answer = _Answer(send, body, self._settle(scope))
        problem = await self._refusal(scope)
        if problem is None:
            try:
                await self._app(scope, body.receive, answer.send)
            except Exception:
                number = secrets.token_hex(4)
                log.exception("unexpected failure %s in %s %s", number, scope["method"], scope["path"][:200])
                problem = Problem(500, f"unexpected failure; the controller's log tells more under {number}")
        if problem is not None and not answer.begun:
            await problem.response()(scope, receive, answer.send)

    def _settle(self, scope: Scope) -> Callable[[], Awaitable[object]]:
        """Give what waits until the change that a call makes is in force, so that who made it can rely on it."""
        feed = self._control.feed
        before = feed.version
        changes = scope["method"] not in ("GET", "HEAD") and not scope["path"].startswith(GATEWAY_PATHS)

        async def settled() -> None:
            if changes and feed.version != before:
                await feed.in_force(IN_FORCE_LIMIT)

        return settled

    async def _refusal(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        address = address_of(headers, public=self._public)
        path, is_open = scope["path"], (scope["method"], scope["path"]) in OPEN_CALLS
        caller = Caller(Principal(), address=address) if is_open else self._caller(headers, address)
        if caller is None:
            return _UNKNOWN
        if not is_open and not _reaches(caller, path):
            await self._control.people.audit.refused(By(_name(caller), address), f"{scope['method']} {path[:200]}")
            return Problem(
                403, f"this token may not call {path[:200]!r}; gateways call {GATEWAY_PATHS}, others the rest"
            )
        scope[CALLER] = caller
        length = headers.get("content-length", "0")
        return _TOO_LONG if not length.isdecimal() or int(length[:20]) > LONGEST_BODY else None

    def _caller(self, headers: Headers, address: str) -> Caller | None:
        kind, _, text = headers.get("authorization", "").partition(" ")
        text = text.strip()
        if kind.lower() != "bearer":
            return None
        token = self._control.people.tokens.live(text)
        if token is not None:
            return user_caller(self._control.people, token, address)
        held = self._control.scopes.get(hash_of(text))
        if held == "admin":
            return service_caller(self._control.people, address)
        if held is None or not is_gateways(held):
            return None
        return Caller(Principal(credential=held), by_service=True, address=address)


def _reaches(caller: Caller, path: str) -> bool:
    """Tell whether a caller is of the kind that a path is for: what gateways are told is for services alone."""
    if path.startswith(GATEWAY_PATHS):
        return caller.by_service
    return bool(caller.name)


def _name(caller: Caller) -> str:
    return caller.name or caller.principal.credential or ANY_GATEWAY


class _Body:
    """Counts what is received."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._length = 0
        self._ended = False
        self._deadline = trio.current_time() + BODY_LIMIT

    async def receive(self) -> Message:
        message = await self._take()
        if self._length > LONGEST_BODY:
            raise HTTPException(_TOO_LONG.status, _TOO_LONG.detail)  # the kind that FastAPI lets through
        return message

    async def drain(self) -> None:
        with trio.move_on_after(DRAIN_LIMIT), suppress(HTTPException):
            while not self._ended:
                await self._take()

    async def _take(self) -> Message:
        if self._ended:
            return await self._receive()  # which tells when the caller has left
        with trio.move_on_at(self._deadline) as limit:
            message = await self._receive()
        if limit.cancelled_caught:
            raise HTTPException(_TOO_SLOW.status, _TOO_SLOW.detail)
        self._length += len(message.get("body", b""))
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message


class _Answer:
    """Knows whether the answer has begun; an error begins when the body has been read, a good one when it is true."""

    def __init__(self, send: Send, body: _Body, settled: Callable[[], Awaitable[object]]) -> None:
        self._send = send
        self._body = body
        self._settled = settled
        self.begun = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await (self._body.drain() if message["status"] >= HTTPStatus.BAD_REQUEST else self._settled())
        self.begun = True
        await self._send(message)
