"""The feed: what gateways get, what they acknowledge, and what that says of a route."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from controller.feed import PING_EVERY, REMEMBERED_DELTAS, Feed
from controller.gateways import NotLive, NotPublished
from controller.pacing import LONGEST_GATHERING, PIECES_A_SECOND, Pace
from controller.pulse import Pulse
from router.credentials import Key, Token, User
from router.model import Protocol, Route, RouteState, TcpAddress
from router.snapshot import MOST_REJECTED, Rejected, Routes, Version, advance
from tests.peers import DEADLINE


def route(host: str, port: int = 1, state: RouteState = RouteState.AVAILABLE) -> Route:
    return Route(host, Protocol.TCP, (TcpAddress("127.0.0.1", port),), state=state)


@pytest.fixture
def feed() -> Feed:
    return Feed(Pulse())


async def following(stream: AsyncGenerator[bytes, None], routes: Routes, version: Version) -> Routes:
    """Read until `version`, as a gateway does."""
    while routes.version != version:
        for line in (await anext(stream)).splitlines():
            document: dict[str, Any] = json.loads(line)
            if document["kind"] != "ping":
                routes = advance(routes, document)
    return routes


async def test_a_snapshot_and_then_deltas_lead_to_the_published_table(feed: Feed) -> None:
    feed.put("a", (route("a.x"), route("b.x")))
    async with aclosing(feed.follow("one", 2)) as stream:
        routes = await following(stream, Routes(), feed.version)
        assert {each.host for each in routes.table} == {"a.x", "b.x"}
        feed.put("a", (route("a.x", 2),))
        feed.put("c", (route("c.x"),))
        routes = await following(stream, routes, feed.version)
        assert set(routes.table) == {route("a.x", 2), route("c.x")}
        assert len(feed) == 2


async def test_what_did_not_change_is_no_new_version(feed: Feed) -> None:
    feed.put("a", (route("a.x"),))
    version = feed.version
    feed.put("a", (route("a.x"),))
    feed.put("nobody", ())
    assert feed.version == version


async def test_two_lives_are_two_epochs(feed: Feed) -> None:
    assert feed.version.epoch != Feed(Pulse()).version.epoch


@pytest.mark.parametrize(("changes", "kinds"), [(REMEMBERED_DELTAS, {"delta"}), (REMEMBERED_DELTAS + 1, {"snapshot"})])
async def test_a_gateway_far_behind_gets_a_snapshot(feed: Feed, changes: int, kinds: set[str]) -> None:
    async with aclosing(feed.follow("slow", 1)) as stream:
        routes = await following(stream, Routes(), feed.version)
        for port in range(1, changes + 1):
            feed.put("a", (route("a.x", port),))
        lines = (await anext(stream)).splitlines()
        assert {json.loads(line)["kind"] for line in lines} == kinds
        for line in lines:
            routes = advance(routes, json.loads(line))
        assert (routes.version, list(routes.table)) == (feed.version, [route("a.x", changes)])


async def test_what_is_remembered_is_bounded_in_bytes(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.feed.MOST_REMEMBERED", 10_000)
    async with aclosing(feed.follow("slow", 1)) as stream:
        routes = await following(stream, Routes(), feed.version)
        feed.put("a", (route("a.x"),))
        feed.put("b", tuple(route(f"{number}.x") for number in range(100)))
        (line,) = (await anext(stream)).splitlines()
        assert json.loads(line)["kind"] == "snapshot"
        assert len(advance(routes, json.loads(line)).table) == 101


async def test_gateways_that_come_together_get_one_snapshot(feed: Feed) -> None:
    feed.put("a", (route("a.x"),))
    async with aclosing(feed.follow("one", 1)) as first, aclosing(feed.follow("two", 1)) as second:
        line = await anext(first)
        assert await anext(second) is line
    feed.put("a", (route("a.x", 2),))
    async with aclosing(feed.follow("three", 1)) as third:
        (table,) = advance(Routes(), json.loads(await anext(third))).table
        assert table == route("a.x", 2)


async def test_changes_that_come_one_after_the_other_travel_together(feed: Feed, autojump_clock: MockClock) -> None:
    async with aclosing(feed.follow("one", 1)) as stream, aclosing(feed.follow("two", 1)) as other:
        await anext(stream)
        await anext(other)
        begun = trio.current_time()
        told: list[tuple[float, int]] = []
        for put in ((1,), (2, 3)):  # two while the first is on its way
            for port in put:
                feed.put("a", (route("a.x", port),))
            lines = (await anext(stream)).splitlines()
            told.append((trio.current_time() - begun, len(lines)))
            feed.acknowledge("one", feed.version, ())
        assert told == [(0.0, 1), (pytest.approx(2 / PIECES_A_SECOND), 2)]
        await trio.sleep(1.0)
        feed.put("a", (route("a.x", 4),))
        before = trio.current_time()
        await anext(stream)
        assert trio.current_time() == before, "nothing else had changed for long"


@pytest.mark.parametrize(
    ("took", "gateways", "pause"),
    [
        (0.001, 1, 1 / PIECES_A_SECOND),
        (0.001, 10, 10 / PIECES_A_SECOND),
        (0.06, 10, 0.12),
        (1.0, 10, LONGEST_GATHERING),
        (0.001, 1000, LONGEST_GATHERING),
    ],
)
def test_a_gateway_is_told_more_after_a_pause_and_later_the_longer_it_took(
    took: float, gateways: int, pause: float
) -> None:
    pace = Pace()
    assert pace.due(100.0, gateways) < 100.0, "the first at once"
    pace.told(7, 100.0)
    pace.acknowledged(6, 100.0)
    pace.acknowledged(8, 100.0 + took)
    assert pace.due(100.0 + took, gateways) == pytest.approx(100.0 + pause)
    pace.told(9, 200.0)
    assert pace.due(200.05, 1) == pytest.approx(200.1), "while it owes an acknowledgement: as long again"


async def test_one_that_does_not_acknowledge_is_told_all_the_same(feed: Feed, autojump_clock: MockClock) -> None:
    async with aclosing(feed.follow("one", 1)) as stream:
        await anext(stream)
        for number in range(3):
            feed.put("a", (route("a.x", number + 1),))
            begun = trio.current_time()
            await anext(stream)
            assert trio.current_time() - begun <= LONGEST_GATHERING + 0.001


async def test_a_ping_when_nothing_happens(feed: Feed, autojump_clock: MockClock) -> None:
    async with aclosing(feed.follow("one", 1)) as stream:
        await anext(stream)
        before = trio.current_time()
        assert json.loads(await anext(stream)) == {"kind": "ping"}
        assert trio.current_time() - before == PING_EVERY


async def test_a_gateway_is_live_while_its_stream_is_open(feed: Feed) -> None:
    async with aclosing(feed.follow("one", 3)) as stream:
        await anext(stream)
        assert feed.gateways["one"].workers == 3
    assert feed.gateways == {}


async def test_a_later_stream_of_a_replica_ends_the_earlier(feed: Feed) -> None:
    async with aclosing(feed.follow("one", 1)) as earlier, aclosing(feed.follow("one", 2)) as later:
        await anext(earlier)
        ended = trio.Event()

        async def read_to_the_end() -> None:
            async for _line in earlier:
                pass
            ended.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_to_the_end)
            await wait_all_tasks_blocked()
            await anext(later)
            with trio.fail_after(DEADLINE):
                await ended.wait()
        assert feed.gateways["one"].workers == 2


async def test_routed_needs_one_gateway_and_the_word_of_all(feed: Feed) -> None:
    feed.put("a", (route("a.x"), route("b.x")))
    assert not feed.routed("a")
    async with aclosing(feed.follow("one", 1)) as one, aclosing(feed.follow("two", 1)) as two:
        await anext(one)
        await anext(two)
        feed.acknowledge("one", feed.version, [])
        assert not feed.routed("a")
        feed.acknowledge("two", feed.version, [])
        assert feed.routed("a")
        assert feed.current(feed.gateways["one"])
        feed.put("b", (route("c.x"),))
        assert feed.routed("a")
        assert not feed.current(feed.gateways["one"])
        feed.put("a", (route("a.x", 2), route("b.x")))
        assert not feed.routed("a")


@pytest.mark.parametrize("state", [RouteState.STARTING, RouteState.STOPPED, RouteState.FAILED])
async def test_a_route_that_is_not_available_is_not_routed(feed: Feed, state: RouteState) -> None:
    feed.put("a", (route("a.x"), route("b.x", state=state)))
    async with aclosing(feed.follow("one", 1)) as stream:
        await anext(stream)
        feed.acknowledge("one", feed.version, [])
        assert not feed.routed("a")


async def test_a_rejected_route_is_not_routed_until_it_is_mended(feed: Feed) -> None:
    feed.put("a", (route("a.x"),))
    feed.put("b", (route("b.x"),))
    async with aclosing(feed.follow("one", 1)) as stream:
        await anext(stream)
        feed.acknowledge("one", feed.version, [Rejected("a.x", "bad"), Rejected("route 7", "no host")])
        assert (feed.routed("a"), feed.routed("b")) == (False, True)
        feed.put("b", (route("b.x", 2),))
        feed.acknowledge("one", feed.version, [])
        assert not feed.routed("a"), "what was not changed is still rejected"
        rejected_in = feed.version
        feed.put("a", (route("a.x", 2),))
        feed.acknowledge("one", rejected_in, [])
        assert not feed.routed("a")
        feed.acknowledge("one", feed.version, [])
        assert feed.routed("a")
        assert feed.gateways["one"].rejected == {}


async def test_acknowledgements_that_say_nothing_new(feed: Feed) -> None:
    with pytest.raises(NotLive):
        feed.acknowledge("one", feed.version, [])
    async with aclosing(feed.follow("one", 1)) as stream:
        await anext(stream)
        feed.put("a", (route("a.x"),))
        with pytest.raises(NotPublished):
            feed.acknowledge("one", feed.version._replace(number=99), [])
        feed.acknowledge("one", Version("another life", 99), [])
        assert not feed.routed("a")
        feed.acknowledge("one", feed.version, [])
        feed.acknowledge("one", feed.version._replace(number=1), [])
        assert feed.routed("a"), "an older word does not take back a newer one"


async def test_what_has_no_routes_any_more_is_gone(feed: Feed) -> None:
    feed.put("a", (route("a.x"),))
    async with aclosing(feed.follow("one", 1)) as stream:
        routes = await following(stream, Routes(), feed.version)
        feed.put("a", ())
        assert list((await following(stream, routes, feed.version)).table) == []
        assert len(feed) == 0


async def test_credentials_travel_beside_the_routes(feed: Feed) -> None:
    alice, token = User("alice", frozenset({"lab"}), 1.0), Token("t", "a" * 64, "alice")
    feed.put_credentials("user:alice", (alice, token))
    feed.put("a", (route("a.x"),))
    async with aclosing(feed.follow("one", 1)) as stream:
        routes = await following(stream, Routes(), feed.version)
        assert (set(routes.credentials), len(feed)) == ({alice, token}, 1)
        version = feed.version
        feed.put_credentials("user:alice", (token, alice))
        feed.put_credentials("user:nobody", ())
        assert feed.version == version, "nothing changed"
        feed.put_credentials("user:alice", (replace(alice, since=2.0),))
        feed.put_credentials("keys", (Key("k1", b"x" * 32),))
        routes = await following(stream, routes, feed.version)
        assert set(routes.credentials) == {replace(alice, since=2.0), Key("k1", b"x" * 32)}
        feed.put_credentials("user:alice", ())
        feed.put_credentials("keys", ())
        routes = await following(stream, routes, feed.version)
        assert (len(routes.credentials), len(routes.table)) == (0, 1)


async def test_what_a_gateway_says_it_rejects_is_bounded(feed: Feed) -> None:
    """It may tell again and again of one version, each time of other hosts."""
    async with aclosing(feed.follow("one", 1)) as stream:
        await anext(stream)
        told: list[Rejected] = []
        for number in range(3):
            told = [Rejected(f"{number}.{each}", "no") for each in range(MOST_REJECTED)]
            feed.acknowledge("one", feed.version, told)
        assert list(feed.gateways["one"].rejected) == [host for host, _ in told]


async def test_a_rejected_record_is_remembered_until_it_is_mended(feed: Feed) -> None:
    feed.put_credentials("user:alice", (User("alice"),))
    async with aclosing(feed.follow("one", 1)) as stream:
        await anext(stream)
        feed.acknowledge("one", feed.version, [Rejected("user:alice", "bad")])
        feed.put("a", (route("a.x"),))
        feed.acknowledge("one", feed.version, [])
        assert set(feed.gateways["one"].rejected) == {"user:alice"}
        assert feed.routed("a")
        feed.put_credentials("user:alice", (User("alice", since=1.0),))
        feed.acknowledge("one", feed.version, [])
        assert feed.gateways["one"].rejected == {}
