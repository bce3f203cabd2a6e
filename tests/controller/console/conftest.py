"""A console with real people, pods and a store in a throw-away home, and browsers that ask it without a network."""

import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from controller.console.app import Console, create_console
from controller.control import Control
from controller.desk import Desk
from controller.feed import Feed
from controller.gatewaytokens import GatewayTokens
from controller.identity import By
from controller.keeping import Keeping
from controller.model import Phase, Pod, Status
from controller.people import People
from controller.pods import Pods
from controller.publish import routes_of
from controller.pulse import Pulse
from controller.runtimes import Observed, Stage
from controller.settings import Settings
from controller.store.store import Store
from router.access import AccessLevel
from router.sealing import Ticket, unseal
from tests.controller.fakes import TEMPLATES, FakeRuntime

ORIGIN = "https://podgate.localhost:8443"
PASSWORD = "correct horse"
STATE = "s" * 43
OURS = {"sec-fetch-site": "same-origin", "origin": "null"}


@dataclass
class Clock:
    """The real time, which the provider in `oidc` goes by, and as much ahead as a test says."""

    ahead: float = 0.0

    def now(self) -> float:
        return time.time() + self.ahead


@dataclass
class Place:
    """The console and what is behind it."""

    control: Control
    console: Console
    clock: Clock
    address: str = "192.0.2.1"
    browsers: list[httpx.AsyncClient] = field(default_factory=list)

    @property
    def people(self) -> People:
        return self.control.people

    def browser(self, address: str = "192.0.2.1") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.console)
        headers = {"x-forwarded-for": f"203.0.113.9, {address}", "user-agent": "a test"}
        return httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers=headers)

    async def pod(
        self, name: str, owner: str = "alice", template: str = "page", access: AccessLevel = AccessLevel.READ,
        grants: Mapping[str, AccessLevel] | None = None,
    ) -> Pod:  # fmt: skip
        pod = Pod(0, f"{name}-key", name, template, access, 0.0, owner=owner, grants=grants or {})
        pod = await self.control.pods.create(pod)
        self.control.pods.note(pod.key, Status(Phase.AVAILABLE), 1)
        self.publish(pod.key)
        return self.control.pods.named(name)

    def publish(self, key: str) -> None:
        pod = self.control.pods.get(key)
        assert pod is not None
        upstreams = {"": "127.0.0.1:9000", "metrics": "127.0.0.1:9001"}
        if pod.template == "graph":
            upstreams["/http"] = "127.0.0.1:9002"
        seen = Observed(Stage.READY, 1, 0.0, upstreams, "")
        self.control.feed.put(key, routes_of(pod, seen, TEMPLATES[pod.template], "pods.localhost"))

    async def link(self, pod: Pod, **wanted: Any) -> str:
        wanted = {"expires_in": 3600.0, "uses": None, "password": "", **wanted}
        level = wanted.pop("level", AccessLevel.READ)
        made = await self.people.sharing.make_link(
            pod.key, level, held=lambda _pod: AccessLevel.OWNER, by=By("alice"), **wanted
        )
        return made.secret

    def ticket(self, answer: httpx.Response) -> tuple[str, Ticket]:
        """Where an answer leads, and the ticket it brings there."""
        assert answer.status_code == 303, answer.text
        url = urlsplit(answer.headers["location"])
        assert url.path == "/.podgate/enter"
        text = parse_qs(url.query)["ticket"][0]
        return f"{url.scheme}://{url.netloc}", unseal(Ticket, text, self.people.keys(), self.clock.now())


def wanted(host: str = "app.pods.localhost", path: str = "/", state: str = STATE, **more: str) -> dict[str, str]:
    return {"host": host, "path": path, "state": state, **more}


def token_of(answer: httpx.Response) -> str:
    found = re.search(r'name="form" value="([^"]+)"', answer.text)
    assert found, answer.text
    return found[1]


async def post(
    browser: httpx.AsyncClient, to: str, of: str | httpx.Response = "/sign-in", /, **fields: str
) -> httpx.Response:
    """Send a form of `page` the way a browser does."""
    seen = await browser.get(of) if isinstance(of, str) else of
    return await browser.post(to, data={"form": token_of(seen), **fields}, headers=OURS)


async def sign_in(
    browser: httpx.AsyncClient, user: str = "alice", password: str = PASSWORD, **destination: str
) -> httpx.Response:
    return await post(browser, "/sign-in", user=user, password=password, **destination)


@asynccontextmanager
async def placed(home: Path, environ: Mapping[str, str], **settings: Any) -> AsyncIterator[Place]:
    clock = Clock()
    with Store(home / "controller.sqlite") as store:
        port = settings.pop("public_port", 8443)
        known = Settings(home, "pods.localhost", "127.0.0.1", port, Path("/ca.pem"), **settings)
        changed, desk = Pulse(), Desk(store)
        pods, feed = Pods(desk, changed, clock.now), Feed(changed, clock.now)
        people, runtime = People(desk, pods, feed, known, clock.now), FakeRuntime()
        control = Control(
            settings=known, pods=pods, people=people, feed=feed, runtime=runtime, templates=TEMPLATES,
            changed=changed, scopes={}, started_at=0.0, keeping=Keeping(pods, feed, runtime, TEMPLATES, changed),
            gateway_tokens=GatewayTokens(desk, people.audit, {}, changed),
        )  # fmt: skip
        await people.load()
        place = Place(control, create_console(control, environ, clock.now), clock)
        pods.shared = place.publish
        for name in ("alice", "bob"):
            await people.create(name, password=PASSWORD)
        yield place
        control.end()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with placed(tmp_path, {}) as made:
        yield made


@pytest.fixture
async def browser(place: Place) -> AsyncIterator[httpx.AsyncClient]:
    async with place.browser() as client:
        yield client
