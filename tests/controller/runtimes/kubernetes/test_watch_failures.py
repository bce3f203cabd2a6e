"""The watch failure matrix: whatever happens to a watch, what is told in the end is what is there, and nothing twice.

In each case a watch is under way, it ends or is ended, and while nobody listens a pod is made, one is changed, one is
deleted, and one is deleted and made again. Time is virtual.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
import trio
from trio.testing import MockClock

from controller.runtimes.kubernetes import watching
from controller.runtimes.kubernetes.watching import LONGEST_PAUSE, LONGEST_WAIT, SILENCE
from tests.controller.runtimes.kubernetes.answering import Fault
from tests.controller.runtimes.kubernetes.watched import LISTS, PATIENCE, WATCHES, World, error, new_world

AT_ONCE = (0.0, 0.5)  # virtual seconds until all is told
SOON = (0.0, 3.0)
GONE = Fault(part=WATCHES, body=error(410))  # which leads to a list


@pytest.fixture
async def world(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A watch that has begun."""
    async with new_world(monkeypatch) as world:
        for name in ("changed", "deleted", "again"):
            world.put(name, "first")
        world.nursery.start_soon(world.run)
        await world.told.until(lambda told: len(told.things) == 3)
        yield world


def of_watch(status: int = 200, body: bytes = b"{}", **more: object) -> list[Fault]:
    return [Fault(part=WATCHES, status=status, body=body, **more)]  # type: ignore[arg-type]


def of_list(status: int = 200, body: bytes = b"{}", **more: object) -> list[Fault]:
    return [GONE, Fault(part=LISTS, status=status, body=body, **more)]  # type: ignore[arg-type]


async def rotate(world: World) -> None:
    world.api.token = world.shown = "renewed"


async def rotate_late(world: World) -> None:
    world.api.token = "renewed"

    async def renew() -> None:
        await trio.sleep(20.0)
        world.shown = "renewed"

    world.nursery.start_soon(renew)


async def vanish(world: World) -> None:
    await world.wire.vanish()

    async def come_back() -> None:
        await trio.sleep(300.0)
        world.wire.away = False

    world.nursery.start_soon(come_back)


async def slow_down(world: World) -> None:
    world.api.pace = 0.25


async def forget(world: World) -> None:
    world.api.version += 1
    world.api.forget()


@dataclass
class Case:
    """What happens, and what is to come of it."""

    name: str
    faults: list[Fault]  # what the next requests are answered
    lists: int = 1  # of all there is, from the beginning on: 1 if the watch goes on where it was
    within: tuple[float, float] = AT_ONCE
    words: str = ""  # what is logged
    arrange: Callable[[World], Awaitable[None]] | None = None


MATRIX = [
    # The watch ends or breaks: it goes on where it was.
    Case("the server ends the watch", []),
    Case("the server ends it again and again", of_watch(body=b"") * 5, within=SOON),
    Case("the connection breaks", of_watch(body=b"", cut=True), words="cannot be reached"),
    Case("it breaks in the middle of a line", of_watch(body=b'{"type": "ADDED", "obj', cut=True), words="cannot be r"),
    Case("it ends in the middle of a line", of_watch(body=b'{"type": "ADDED", "obj')),
    Case("nothing comes any more", of_watch(body=b"", hang=True), within=(SILENCE, SILENCE + 1)),
    Case("each byte comes alone and late", [], within=(30.0, PATIENCE), arrange=slow_down),
    Case("the server is away for minutes", [], within=(300.0, 300.0 + LONGEST_PAUSE), words="refused", arrange=vanish),
    # It is not let in, or not now: it goes on where it was.
    Case("401, a new token is there", [], arrange=rotate),
    Case("401, a new token comes later", [], within=(20.0, 36.0), words="does not know us", arrange=rotate_late),
    Case("403", of_watch(403), words="does not let us"),
    Case("404", of_watch(404), words="refused pods"),
    Case("409", of_watch(409), words="refused pods"),
    Case("429", of_watch(429), words="too busy"),
    Case("429 with Retry-After", of_watch(429, headers={"Retry-After": "7"}), within=(7.0, 7.5), words="too busy"),
    Case("429 that asks for a day", of_watch(429, headers={"Retry-After": "86400"}), within=(LONGEST_WAIT, 121.0)),
    Case("429 with a date", of_watch(429, headers={"Retry-After": "Sun, 22 Nov 2026 04:00:00 GMT"})),
    Case("500", of_watch(500), words="ill"),
    Case("502, a page of a proxy", of_watch(502, b"<html>"), words="ill: status 502"),
    Case("503 with Retry-After", of_watch(503, headers={"Retry-After": "2"}), within=(2.0, 2.5)),
    Case("503 for long", of_watch(503) * 12, within=(30.0, 120.0)),
    Case("504", of_watch(504), words="ill"),
    # Its version is too old, or what came cannot be trusted: all is listed anew.
    Case("410 as the answer", of_watch(410), 2, words="begun anew"),
    Case("410 as an event", of_watch(body=error(410)), 2, words="begun anew"),
    Case("410 because the server did forget", [], 2, words="begun anew", arrange=forget),
    Case("410 again and again", [GONE, *of_list(410)[1:] * 5], 2, within=SOON, words="begun anew"),
    Case("500 as an event", of_watch(body=error(500)), 2, words="the server said 500; all is listed anew"),
    Case("429 as an event", of_watch(body=error(429, details={"retryAfterSeconds": 4})), 2, within=(4.0, 4.5)),
    Case("an event that is no JSON", of_watch(body=b"what?\n"), 2, words="makes no sense"),
    Case("an event that is a list", of_watch(body=b"[]\n"), 2, words="makes no sense"),
    Case("an event of nothing", of_watch(body=b'{"type": "ADDED", "object": null}\n'), 2, words="makes no sense"),
    Case("an event without a version", of_watch(body=b'{"type": "ADDED", "object": {"metadata": {}}}\n'), 2),
    Case("an error that is none", of_watch(body=b'{"type": "ERROR", "object": "no"}\n'), 2, words="makes no sense"),
    Case("a line without an end", of_watch(body=b"x" * 1001), 2, words="longer than 1000 bytes"),
    # The list that follows fails: it is asked for again.
    Case("list: 401", of_list(401), 2),
    Case("list: 403", of_list(403), 2, words="does not let us"),
    Case("list: 404", of_list(404), 2, words="has no list of"),
    Case("list: 409", of_list(409), 2),
    Case("list: 410", of_list(410), 2),
    Case("list: 410 on its second page", [GONE, Fault(part="continue=", status=410)], 2),
    Case("list: 429 with Retry-After", of_list(429, headers={"Retry-After": "3"}), 2, within=(3.0, 3.5)),
    Case("list: 500", of_list(500), 2),
    Case("list: 503 for long", [GONE, *of_list(503)[1:] * 13], 2, within=(2.0, 60.0), words="too busy or ill"),
    Case("list: no JSON", of_list(body=b"what?"), 2, words="has no list of"),
    Case("list: of nothing", of_list(body=b'{"items": null}'), 2, words="has no list of"),
    Case("list: it breaks in its middle", of_list(body=b'{"items": [', cut=True), 2),
    Case("list: nothing comes", of_list(body=b"", hang=True), 2, within=(10.0, 11.0)),
]


@pytest.mark.parametrize("case", MATRIX, ids=lambda case: case.name)
async def test_the_watch_failure_matrix(
    autojump_clock: MockClock,
    world: World,
    case: Case,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(watching, "LONGEST_EVENT", 1000)
    monkeypatch.setattr(watching, "PAGE", 2)
    caplog.set_level(logging.INFO)
    world.api.faults += [Fault(**vars(fault)) for fault in case.faults]
    if case.arrange is not None:
        await case.arrange(world)
    begin = trio.current_time()
    await world.api.end_streams()
    world.put("made", "first")
    world.put("changed", "second")
    world.api.drop("pods", "deleted")
    world.api.drop("pods", "again")
    world.put("again", "second")
    await world.told.until(lambda told: told.things == world.truth)
    least, most = case.within
    assert least <= trio.current_time() - begin <= most
    assert world.told.lists == case.lists
    assert world.api.faults == []
    assert case.words in caplog.text
    world.put("last", "first")  # and it goes on
    await world.told.until(lambda told: told.things == world.truth)
    assert world.told.lists == case.lists
    assert world.watch.problem == ""


async def test_who_is_away_is_asked_ever_less(autojump_clock: MockClock, world: World) -> None:
    await world.wire.vanish()
    world.wire.attempts.clear()
    await trio.sleep(600.0)
    pauses = [later - before for before, later in zip(world.wire.attempts, world.wire.attempts[1:], strict=False)]
    assert 600.0 / LONGEST_PAUSE < len(pauses) < 100
    assert all(LONGEST_PAUSE / 2 <= pause <= LONGEST_PAUSE for pause in pauses[-10:])
    assert len(set(pauses[-10:])) == 10  # not all replicas at once


async def test_a_quiet_watch_is_asked_for_again_at_once_when_it_ends(autojump_clock: MockClock, world: World) -> None:
    for _ in range(5):
        await trio.sleep(240.0)
        await world.api.end_streams()
        before = trio.current_time()
        world.put("made", str(before))
        await world.told.until(lambda told: told.things == world.truth)
        assert trio.current_time() - before < 0.1
    assert world.told.lists == 1


async def test_what_is_wrong_is_logged_once(
    autojump_clock: MockClock, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world.api.faults += of_watch(503, b'{"message": "etcd is gone"}') * 20
    await world.api.end_streams()
    await trio.sleep(600.0)
    world.put("made", "first")
    await world.told.until(lambda told: told.things == world.truth)
    ours = [record.getMessage().partition(": ")[2] for record in caplog.records if record.name == watching.__name__]
    assert ours == ["the cluster is too busy or ill: etcd is gone; it is tried again", "heard again"]


async def test_a_server_that_is_away_at_the_start_is_waited_for(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with new_world(monkeypatch) as world:
        world.wire.away = True
        world.put("made", "first")
        world.nursery.start_soon(world.run)
        await trio.sleep(100.0)
        assert "cannot be reached" in world.watch.problem
        assert not world.watch.listed.is_set()
        assert world.told.lists == 0
        world.wire.away = False
        with trio.fail_after(LONGEST_PAUSE + 5.0):
            await world.watch.listed.wait()
        assert world.told.things == world.truth
        assert world.watch.problem == ""
