"""Versions of the store: what a gateway is told when the replica it follows is another."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
import trio
import trio.testing

from controller.feed import REMEMBERED_DELTAS
from controller.pulse import Pulse
from controller.replicas.feed import SharedFeed
from router.access import AccessLevel
from router.model import Protocol, Route, RouteState
from router.snapshot import NO_VERSION, Routes, Version, advance


def route(host: str = "a.test", state: RouteState = RouteState.STARTING) -> Route:
    return Route(host, Protocol.TCP, (), AccessLevel.READ, state=state)


@pytest.fixture
def feed() -> SharedFeed:
    return SharedFeed(Pulse(), Version("e", 10))


async def read(stream: AsyncGenerator[bytes, None], routes: Routes) -> Routes:
    for line in (await anext(stream)).splitlines():
        routes = advance(routes, json.loads(line))
    return routes


async def test_a_version_is_the_number_of_the_change_in_the_store(feed: SharedFeed) -> None:
    async with aclosing(feed.follow("g", 1)) as stream:
        routes = await read(stream, Routes())
        assert routes.version == ("e", 10)
        feed.put("a", (route(),))
        assert (feed.version.number, feed.pending) == (10, True)
        feed.reach(11)
        routes = await read(stream, routes)
        assert (routes.version, feed.pending) == (("e", 11), False)
        assert routes.table.find("a.test") is not None
        feed.reach(15)  # of which nothing changed a route
        assert (await read(stream, routes)).version == ("e", 15)
        feed.reach(12)
        assert feed.version.number == 15


async def test_what_comes_together_is_all_in_the_first_version(feed: SharedFeed) -> None:
    async with aclosing(feed.follow("g", 1)) as stream:
        routes = await read(stream, Routes())
        feed.put("a", (route(),))
        feed.put("b", (route("b.test"),))
        feed.put("a", ())
        feed.reach(13)
        lines = (await anext(stream)).splitlines()
        assert len(lines) == 3
        first = advance(routes, json.loads(lines[0]))
        assert (first.table.find("a.test"), first.table.find("b.test") is None) == (None, False)


async def test_a_long_way_is_gone_by_a_snapshot(feed: SharedFeed) -> None:
    async with aclosing(feed.follow("g", 1)) as stream:
        await anext(stream)
        feed.put("a", (route(),))
        feed.reach(10 + REMEMBERED_DELTAS + 1)
        document = json.loads(await anext(stream))
        assert (document["kind"], document["version"]) == ("snapshot", 10 + REMEMBERED_DELTAS + 1)


async def test_a_gateway_that_runs_more_than_this_replica_knows_waits(
    feed: SharedFeed, autojump_clock: trio.testing.MockClock
) -> None:
    async with aclosing(feed.follow("g", 1, ran=Version("e", 12))) as stream, trio.open_nursery() as nursery:
        nursery.start_soon(reach_later, feed)
        assert (await read(stream, Routes())).version == ("e", 12)
    assert trio.current_time() < 2


async def reach_later(feed: SharedFeed) -> None:
    for number in (11, 12):
        await trio.sleep(0.5)
        feed.reach(number)


@pytest.mark.parametrize(
    ("ran", "waits"), [(Version("e", 12), True), (Version("other", 12), False), (NO_VERSION, False)]
)
async def test_no_gateway_waits_for_ever(
    feed: SharedFeed, ran: Version, waits: bool, autojump_clock: trio.testing.MockClock
) -> None:
    began = trio.current_time()
    async with aclosing(feed.follow("g", 1, ran=ran)) as stream:
        assert (await read(stream, Routes())).version == ("e", 10)
    assert (trio.current_time() - began > 1) is waits


async def test_a_pod_is_routed_when_gateways_of_all_replicas_run_it(feed: SharedFeed) -> None:
    other = SharedFeed(Pulse(), Version("e", 10))
    available = Route("a.test", Protocol.TCP, (), AccessLevel.READ, state=RouteState.AVAILABLE)
    feed.put("a", (available,))
    assert not feed.routed("a")
    async with aclosing(other.follow("g", 1)) as stream:
        await anext(stream)
        feed.elsewhere = dict(other.gateways)
        other.acknowledge("g", Version("e", 10), [])
        assert not feed.routed("a")
        feed.reach(11)
        assert not feed.routed("a")
        assert not feed.taken("a")
        other.reach(12)
        other.acknowledge("g", Version("e", 12), [])
        assert feed.routed("a")
        assert await feed.in_force(0)
