"""The watch failure matrix: whatever happens to a watch, what is told in the end is what is there."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trio

from controller.runtimes.kubernetes import watching
from controller.runtimes.kubernetes.access import Access
from controller.runtimes.kubernetes.client import Cluster, ClusterFailure
from controller.runtimes.kubernetes.watching import LONGEST_EVENT, Watching, lines
from tests.controller.runtimes.kubernetes.apiserver import ApiServer, Fault

JSON = dict[str, Any]

PATIENCE = 10.0  # seconds until a test gives up
PODS = "/api/v1/namespaces/podgate/pods"
LISTS, WATCHES = "limit=", "watch=true"


class Told:
    """A sink that keeps what it is told."""

    def __init__(self) -> None:
        self.things: dict[str, str] = {}  # name: what is written on it
        self.lists = 0
        self.version: Callable[[], str] = lambda: ""  # how far the watch is
        self._news = trio.Event()

    def replace(self, things: list[JSON]) -> None:
        self.lists += 1
        self.things = {thing["metadata"]["name"]: thing.get("spec", "") for thing in things}
        self._tell()

    def put(self, thing: JSON) -> None:
        self.things[thing["metadata"]["name"]] = thing.get("spec", "")
        self._tell()

    def drop(self, thing: JSON) -> None:
        self.things.pop(thing["metadata"]["name"], None)
        self._tell()

    async def until(self, wanted: Callable[["Told"], bool]) -> None:
        with trio.fail_after(PATIENCE):
            while not wanted(self):
                await self._news.wait()

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()


@pytest.fixture
async def api() -> AsyncIterator[ApiServer]:
    async with ApiServer().serving() as api:
        yield api


@pytest.fixture
async def told(api: ApiServer) -> AsyncIterator[Told]:
    """What a watch of pods tells, which has begun with the pod `a`."""
    put(api, "a", "first")
    told = Told()
    async with Cluster(Access(api.url, verify=False)) as cluster, trio.open_nursery() as nursery:
        watch = Watching(cluster, PODS, {}, told)
        told.version = lambda: watch._version
        nursery.start_soon(watch.run)
        await told.until(lambda told: told.things == {"a": "first"})
        yield told
        nursery.cancel_scope.cancel()


def put(api: ApiServer, name: str, text: str) -> None:
    version = api.objects.get(("pods", name), {"metadata": {}})["metadata"]
    api.put("pods", {"metadata": {**version, "name": name}, "spec": text})


def event(kind: str, name: str, text: str, version: int) -> bytes:
    thing = {"metadata": {"name": name, "resourceVersion": str(version)}, "spec": text}
    return json.dumps({"type": kind, "object": thing}).encode() + b"\n"


def error(code: int) -> bytes:
    return json.dumps({"type": "ERROR", "object": {"code": code, "message": "no"}}).encode() + b"\n"


async def test_what_is_made_changed_and_deleted_is_told(api: ApiServer, told: Told) -> None:
    put(api, "b", "second")
    await told.until(lambda told: told.things == {"a": "first", "b": "second"})
    put(api, "a", "changed")
    await told.until(lambda told: told.things["a"] == "changed")
    api.drop("pods", "a")
    await told.until(lambda told: told.things == {"b": "second"})
    assert told.lists == 1


async def begun_anew(api: ApiServer, fault: Fault) -> None:
    """Have the next watch answered by a fault, and the one that is under way ended."""
    api.faults.append(fault)
    await api.end_streams()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(part=WATCHES, body=b""),
        Fault(part=WATCHES, body=b"", cut=True),
        Fault(part=WATCHES, body=b'{"type": "ADDED", "object": {"metadata": {"na', cut=True),
        Fault(part=WATCHES, status=410),
        Fault(part=WATCHES, status=403),
        Fault(part=WATCHES, status=429, headers={"Retry-After": "0"}),
        Fault(part=WATCHES, status=500),
        Fault(part=WATCHES, status=503, body=b"<html>busy</html>"),
        Fault(part=WATCHES, body=error(410)),
        Fault(part=WATCHES, body=error(500)),
        Fault(part=WATCHES, body=b"what?\n"),
        Fault(part=WATCHES, body=b"[]\n"),
        Fault(part=WATCHES, body=b'{"type": "ADDED", "object": {}}\n'),
        Fault(part=WATCHES, body=b'{"type": "ADDED", "object": null}\n'),
        Fault(part=WATCHES, body=b"", hang=True),
    ],
    ids=lambda fault: f"{fault.status}-{fault.body[:24]!r}-{'cut' * fault.cut}{'hang' * fault.hang}",
)
async def test_whatever_happens_to_a_watch_the_truth_is_told_in_the_end(
    api: ApiServer, told: Told, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "SILENCE", 0.3)
    await begun_anew(api, fault)
    put(api, "b", "second")
    api.drop("pods", "a")
    await told.until(lambda told: told.things == {"b": "second"})
    assert api.faults == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault(part=LISTS, status=429, headers={"Retry-After": "0"}),
        Fault(part=LISTS, status=500),
        Fault(part=LISTS, status=410),
        Fault(part=LISTS, status=401),
        Fault(part=LISTS, status=403),
        Fault(part=LISTS, status=404),
        Fault(part=LISTS, body=b"what?"),
        Fault(part=LISTS, body=b'{"items": [', cut=True),
    ],
    ids=lambda fault: f"{fault.status}-{fault.body!r}",
)
async def test_whatever_happens_to_a_list_it_is_asked_for_again(api: ApiServer, told: Told, fault: Fault) -> None:
    api.faults.append(fault)
    await begun_anew(api, Fault(part=WATCHES, status=410))
    put(api, "b", "second")
    await told.until(lambda told: told.things == {"a": "first", "b": "second"})
    assert api.faults == []


async def test_what_went_while_nobody_watched_is_told_gone(api: ApiServer, told: Told) -> None:
    put(api, "b", "second")
    await told.until(lambda told: "b" in told.things)
    await begun_anew(api, Fault(part=WATCHES, body=error(410)))
    api.drop("pods", "b")
    api.forget()
    await told.until(lambda told: told.lists == 2)
    assert told.things == {"a": "first"}


async def test_a_watch_that_ended_goes_on_where_it_was(api: ApiServer, told: Told) -> None:
    put(api, "b", "second")
    await told.until(lambda told: "b" in told.things)
    await api.end_streams()
    put(api, "c", "third")
    await told.until(lambda told: "c" in told.things)
    assert told.lists == 1


async def test_a_bookmark_keeps_a_quiet_watch_young(api: ApiServer, told: Told) -> None:
    api.put("configmaps", {"metadata": {"name": "elsewhere"}})  # moves the version, and nobody tells this watch
    api.bookmark()
    with trio.fail_after(PATIENCE):
        while told.version() != str(api.version):
            await trio.lowlevel.checkpoint()
    api.forget()
    await api.end_streams()
    put(api, "b", "second")
    await told.until(lambda told: "b" in told.things)
    assert told.lists == 1


async def test_a_long_list_comes_in_pages(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PAGE", 3)
    for number in range(10):
        put(api, f"p{number}", "")
    told = Told()
    async with Cluster(Access(api.url, verify=False)) as cluster, trio.open_nursery() as nursery:
        nursery.start_soon(Watching(cluster, PODS, {}, told).run)
        await told.until(lambda told: len(told.things) == 10)
        nursery.cancel_scope.cancel()
    assert len([request for request in api.requests if LISTS in request]) == 4


async def test_a_cluster_with_too_many_objects_is_refused(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MOST_OBJECTS", 2)
    for number in range(3):
        put(api, f"p{number}", "")
    async with Cluster(Access(api.url, verify=False)) as cluster:
        with pytest.raises(ClusterFailure, match="more than 2 objects; give Podgate its own namespace"):
            await Watching(cluster, PODS, {}, Told())._list()


async def test_a_server_that_is_not_there_yet_is_waited_for() -> None:
    told = Told()
    async with ApiServer().serving() as gone:
        url = gone.url
    async with Cluster(Access(url, verify=False)) as cluster, trio.open_nursery() as nursery:
        watch = Watching(cluster, PODS, {}, told)
        nursery.start_soon(watch.run)
        with trio.fail_after(PATIENCE):
            while "cannot be reached" not in watch.problem:
                await trio.lowlevel.checkpoint()
        assert not watch.listed.is_set()
        nursery.cancel_scope.cancel()


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
async def test_lines_are_whole_however_they_come(size: int) -> None:
    data = b"one\n\ntwo\r\n three \nbroken off"
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    assert [line async for line in lines(pieces(*parts))] == [b"one", b"two\r", b" three "]


async def test_a_line_longer_than_any_event_is_refused() -> None:
    assert [len(line) async for line in lines(pieces(b"x" * LONGEST_EVENT, b"\n"))] == [LONGEST_EVENT]
    with pytest.raises(ClusterFailure, match="longer"):
        [line async for line in lines(pieces(b"x" * LONGEST_EVENT, b"x"))]
