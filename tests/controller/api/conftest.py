"""A controller with the fake runtime, its API on a real unix socket, and callers of it."""

import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h11
import httpx
import pytest
import trio

from controller.service import run_controller
from controller.settings import Settings
from router.snapshot import Routes, Version, advance
from tests.controller.fakes import TEMPLATES, FakeRuntime
from tests.peers import DEADLINE
from tests.unixhttp import async_to_socket


class Lines:
    """An answer that goes on, line by line, over a connection of its own."""

    def __init__(self, stream: trio.SocketStream, path: str, token: str) -> None:
        self._stream = stream
        self._connection = h11.Connection(h11.CLIENT)
        self._head = h11.Request(
            method="GET", target=path, headers=[("host", "podgate"), ("authorization", f"Bearer {token}")]
        )
        self._rest = b""

    async def begin(self) -> None:
        await self._stream.send_all(self._connection.send(self._head) + self._connection.send(h11.EndOfMessage()))
        assert isinstance(event := await self._event(), h11.Response), event
        assert event.status_code == 200

    async def next(self) -> bytes | None:
        """Give the next line; None: the answer has ended."""
        while b"\n" not in self._rest:
            event = await self._event()
            if not isinstance(event, h11.Data):
                return None
            self._rest += event.data
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    async def _event(self) -> object:
        while (event := self._connection.next_event()) is h11.NEED_DATA:
            self._connection.receive_data(bytes(await self._stream.receive_some()))
        return event


@dataclass
class Api:
    """A running controller and the ways to call it."""

    settings: Settings
    runtime: FakeRuntime
    admin: httpx.AsyncClient
    gateway: httpx.AsyncClient
    nobody: httpx.AsyncClient
    ending: trio.Event
    ended: trio.Event = field(default_factory=trio.Event)

    @asynccontextmanager
    async def lines(self, path: str, token: str = "") -> AsyncIterator[Lines]:
        token = token or (self.settings.home / "admin.token").read_text().strip()
        async with await trio.open_unix_socket(self.settings.socket) as stream:
            lines = Lines(stream, path, token)
            await lines.begin()
            yield lines

    @asynccontextmanager
    async def caller(self, token: str) -> AsyncIterator[httpx.AsyncClient]:
        """Call with a token."""
        async with caller(self.settings, token=token) as client:
            yield client

    async def user(self, name: str, **fields: object) -> str:
        """Make a user and give a token of theirs."""
        made = await self.admin.post("/v1/users", json={"name": name, **fields})
        assert made.status_code == 201, made.text
        return await self.token(name)

    async def token(self, user: str, **fields: object) -> str:
        """Make a token of a user."""
        name = f"token {secrets.token_hex(4)}"
        made = await self.admin.post("/v1/tokens", json={"user": user, "name": name, **fields})
        assert made.status_code == 201, made.text
        text: str = made.json()["token"]
        return text

    async def share(self, to: str, level: str, pod: str = "mydb") -> None:
        """Give somebody a level on a pod."""
        given = await self.admin.put(f"/v1/pods/{pod}/grants/{to}", json={"level": level})
        assert given.status_code == 200, given.text

    async def own(self, pod: str, user: str) -> None:
        """Give a pod to a user."""
        given = await self.admin.put(f"/v1/pods/{pod}/owner", json={"user": user})
        assert given.status_code == 200, given.text

    async def audit(self, **question: str) -> list[dict[str, str]]:
        """Give the audit log, newest first."""
        entries: list[dict[str, str]] = (await self.admin.get("/v1/audit", params=question)).json()["entries"]
        return entries

    @asynccontextmanager
    async def gateway_view(self) -> AsyncIterator["GatewayView"]:
        """Follow the routes as a gateway does."""
        async with self.lines("/v1/routes/stream?replica=view") as lines:
            yield GatewayView(self, lines)

    async def create(self, name: str = "mydb", template: str = "db") -> dict[str, object]:
        parameters = {"directory": "/srv"} if template == "page" else {}
        answer = await self.admin.post("/v1/pods", json={"name": name, "template": template, "parameters": parameters})
        assert answer.status_code == 201, answer.text
        found: dict[str, object] = answer.json()
        return found


class GatewayView:
    """What a gateway knows by now; `read` waits for no more than what was there when the last call was answered."""

    def __init__(self, api: Api, lines: Lines) -> None:
        self._api = api
        self._lines = lines
        self._routes = Routes()

    async def read(self) -> Routes:
        """Read up to the version that is published now."""
        status = (await self._api.admin.get("/v1/status")).json()["routes"]
        wanted = Version(status["epoch"], status["version"])
        with trio.fail_after(DEADLINE):
            while self._routes.version != wanted:
                line = await self._lines.next()
                assert line is not None
                document = json.loads(line)
                if document["kind"] != "ping":
                    self._routes = advance(self._routes, document)
                    assert self._routes.rejected == ()
        return self._routes


def caller(settings: Settings, token_file: str | None = None, token: str = "") -> httpx.AsyncClient:
    token = (settings.home / token_file).read_text().strip() if token_file else token
    headers = {"authorization": f"Bearer {token}"} if token else {}
    transport = async_to_socket(settings.socket)
    return httpx.AsyncClient(transport=transport, base_url="http://podgate", headers=headers, timeout=30)


@pytest.fixture
async def api(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Api]:
    settings = Settings(tmp_path / "home", "pods.localhost", "127.0.0.1", 8443, Path("/home of/ca.pem"))
    runtime, ending, ended = FakeRuntime(), trio.Event(), trio.Event()

    async def run(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async def serving(_listening: Callable[[], object]) -> None:
            task_status.started()
            await ending.wait()

        await run_controller(settings, lambda: runtime, TEMPLATES, serving)
        ended.set()

    await nursery.start(run)
    async with AsyncExitStack() as stack:
        callers = [caller(settings, name) for name in ("admin.token", "gateway.token", None)]
        admin, gateway, nobody = [await stack.enter_async_context(each) for each in callers]
        yield Api(settings, runtime, admin, gateway, nobody, ending, ended)
    ending.set()
    with trio.fail_after(DEADLINE):
        await ended.wait()
