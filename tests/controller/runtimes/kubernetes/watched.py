"""A watch of pods on the double of an API server, in memory and in virtual time."""

import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio

from controller.runtimes.kubernetes.access import Access
from controller.runtimes.kubernetes.client import Cluster
from controller.runtimes.kubernetes.watching import Watching
from tests.controller.runtimes.kubernetes.apiserver import ApiServer
from tests.controller.runtimes.kubernetes.wire import InMemory, connect

JSON = dict[str, Any]

PATIENCE = 3600.0  # virtual seconds until a test gives up
PODS = "/api/v1/namespaces/podgate/pods"
LISTS, WATCHES = "limit=", "watch=true"


class Told:
    """A sink that keeps what it is told, and does not suffer to be told anything twice."""

    def __init__(self) -> None:
        self.things: dict[str, str] = {}  # name: what is written on it
        self.lists = 0
        self._versions: set[str] = set()  # told since the last list
        self._news = trio.Event()

    def replace(self, things: list[JSON]) -> None:
        self.lists += 1
        self.things = {thing["metadata"]["name"]: thing.get("spec", "") for thing in things}
        assert len(self.things) == len(things), "a list with an object twice"
        self._versions.clear()
        self._tell()

    def put(self, thing: JSON) -> None:
        self._once(thing)
        self.things[thing["metadata"]["name"]] = thing.get("spec", "")
        self._tell()

    def drop(self, thing: JSON) -> None:
        self._once(thing)
        del self.things[thing["metadata"]["name"]]
        self._tell()

    async def until(self, wanted: Callable[["Told"], bool]) -> None:
        with trio.fail_after(PATIENCE):
            while not wanted(self):
                await self._news.wait()

    def _once(self, thing: JSON) -> None:
        version = thing["metadata"]["resourceVersion"]
        assert version not in self._versions, f"told twice: {thing}"
        self._versions.add(version)

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()


@dataclass
class World:
    """The double, the way to it, and a watch."""

    api: ApiServer
    wire: InMemory
    nursery: trio.Nursery
    told: Told = field(default_factory=Told)
    shown: str = ""  # the token that is shown
    watch: Watching = field(init=False)

    async def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.shown}"} if self.shown else {}

    async def run(self) -> None:
        """Watch until cancelled."""
        jitter = random.Random(7)
        async with Cluster(Access("http://cluster.test", verify=False, headers=self.headers), jitter) as cluster:
            self.watch = Watching(cluster, PODS, {}, self.told, jitter)
            await self.watch.run()

    def put(self, name: str, text: str) -> None:
        version = self.api.objects.get(("pods", name), {"metadata": {}})["metadata"]
        self.api.put("pods", {"metadata": {**version, "name": name}, "spec": text})

    @property
    def truth(self) -> dict[str, str]:
        return {name: thing["spec"] for (_plural, name), thing in self.api.objects.items()}


@asynccontextmanager
async def new_world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async with trio.open_nursery() as nursery:
        api = ApiServer()
        world = World(api, InMemory(api, nursery), nursery)
        connect(monkeypatch, world.wire)
        yield world
        nursery.cancel_scope.cancel()


def error(code: int, **more: Any) -> bytes:
    status = {"kind": "Status", "code": code, "message": f"the server said {code}", **more}
    return json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"
