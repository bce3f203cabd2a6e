"""Gateways as the controller knows them: names, tokens that speak for them, and how far behind they are."""

from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
import trio
import trio.testing

from controller.audit import Audit
from controller.desk import Desk
from controller.feed import REMEMBERED_DELTAS, Feed
from controller.gateways import Lag, NameInUse, NotLive, Standing, Who, check_name, is_gateways, may_speak_for
from controller.gatewaytokens import GatewayTokens
from controller.identity import By
from controller.pulse import Pulse
from controller.store.store import Store
from router.model import Protocol, Route, TcpAddress
from router.snapshot import Version
from tests.peers import DEADLINE


class Clock:
    """A clock in the test's hand; seconds since 1970."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def feed(clock: Clock) -> Feed:
    return Feed(Pulse(), clock)


def publish(feed: Feed, port: int) -> None:
    feed.put("a", (Route("a.x", Protocol.TCP, (TcpAddress("127.0.0.1", port),)),))


@pytest.mark.parametrize(
    ("scope", "replica", "may"),
    [
        ("gateway", "anything", True),
        ("admin.token", "anything", True),
        ("gateway:berlin", "berlin", True),
        ("gateway:berlin", "berlin-0", True),
        ("gateway:berlin", "berlin-7d9f-x2", True),
        ("gateway:berlin", "berlin2", False),
        ("gateway:berlin", "berlin.2", False),
        ("gateway:berlin", "paris", False),
        ("gateway:berlin", "", False),
        ("gateway:berlin", "Berlin", False),
        ("gateway:berlin-0", "berlin", False),
    ],
)
def test_a_token_of_one_gateway_speaks_for_its_name_alone(scope: str, replica: str, may: bool) -> None:
    assert may_speak_for(scope, replica) is may


def test_which_scopes_are_of_gateways() -> None:
    assert [is_gateways(scope) for scope in ("gateway", "gateway:a", "admin", "gateways", "")] == [
        True, True, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["a", "berlin", "gw-1", "gw.example.org", "x" * 63])
def test_names_that_can_be(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "ä", "a b", "a/b", "a\n", "x" * 64, ".", "a:b"])
def test_names_that_cannot(name: str) -> None:
    with pytest.raises(ValueError, match="expected at most 63"):
        check_name(name)


async def test_lag_is_counted_in_versions_and_since_the_first_that_is_missed(feed: Feed, clock: Clock) -> None:
    publish(feed, 1)
    async with aclosing(feed.follow("one", 1)) as stream:
        await anext(stream)
        gateway = feed.gateways["one"]
        clock.time += 2
        assert feed.lag(gateway) == Lag(feed.version.number, 2.0)  # it has run nothing of this life yet
        feed.acknowledge("one", feed.version, [])
        assert feed.lag(gateway) == Lag(0, 0.0)
        publish(feed, 2)
        clock.time += 3
        publish(feed, 3)
        clock.time += 4
        assert feed.lag(gateway) == Lag(2, 7.0)
        feed.acknowledge("one", feed.version._replace(number=feed.version.number - 1), [])
        assert feed.lag(gateway) == Lag(1, 4.0)


async def test_lag_beyond_what_is_remembered_is_told_as_far_as_that_goes(feed: Feed, clock: Clock) -> None:
    async with aclosing(feed.follow("one", 1)) as stream:
        await anext(stream)
        feed.acknowledge("one", feed.version, [])
        for number in range(REMEMBERED_DELTAS + 10):
            publish(feed, number + 1)
            clock.time += 1
        assert feed.lag(feed.gateways["one"]) == Lag(REMEMBERED_DELTAS + 10, float(REMEMBERED_DELTAS))


async def test_a_clock_that_goes_back_makes_no_negative_lag(feed: Feed, clock: Clock) -> None:
    async with aclosing(feed.follow("one", 1)) as stream:
        await anext(stream)
        feed.acknowledge("one", feed.version, [])
        publish(feed, 1)
        clock.time -= 100
        assert feed.lag(feed.gateways["one"]) == Lag(1, 0.0)


async def test_a_name_is_one_gateways_while_it_is_live(feed: Feed) -> None:
    async with aclosing(feed.follow("one", 1, Who("first", address="192.0.2.7"))) as stream:
        await anext(stream)
        feed.stand("one", Standing(1, addresses=("10.0.0.1:443",)))
        feed.greet("one", Who("first"))
        feed.greet("one", Who())  # who does not say which life it is of is believed to be the same
        feed.greet("two", Who("second"))
        with pytest.raises(NameInUse, match=r"named 'one' is live \(at 192.0.2.7 and 10.0.0.1:443\).*--name"):
            feed.greet("one", Who("second"))
    feed.greet("one", Who("second"))


async def test_a_stream_that_comes_again_ends_the_one_before(feed: Feed) -> None:
    streams = [feed.follow("one", 1, Who("first")) for _ in range(2)]
    async with aclosing(streams[0]) as before, aclosing(streams[1]) as now:
        await anext(before)
        await anext(now)
        with trio.fail_after(DEADLINE), pytest.raises(StopAsyncIteration):
            await anext(before)
        assert set(feed.gateways) == {"one"}


def test_word_of_a_gateway_that_is_not_live_is_refused(feed: Feed) -> None:
    with pytest.raises(NotLive):
        feed.stand("one", Standing())
    with pytest.raises(NotLive):
        feed.acknowledge("one", Version("e", 1), [])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "controller.sqlite") as store:
        yield store


async def test_a_token_in_whose_place_another_came_is_revoked(store: Store) -> None:
    """Whoever follows by it must not go on because its name has a token again when that is looked at."""
    scopes: dict[str, str] = {}
    desk, changed = Desk(store), Pulse()
    tokens = GatewayTokens(desk, Audit(desk), scopes, changed)
    await tokens.create("berlin", By("admin"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tokens.revoked, "gateway:berlin")
        await trio.testing.wait_all_tasks_blocked()
        changed.beat()
        await trio.testing.wait_all_tasks_blocked()
        assert nursery.child_tasks
        (hashed,) = scopes
        scopes |= {"another": scopes.pop(hashed)}
        changed.beat()
        await trio.testing.wait_all_tasks_blocked()
        ended = not nursery.child_tasks
        nursery.cancel_scope.cancel()
    assert ended


async def test_what_speaks_for_every_name_is_never_revoked(store: Store) -> None:
    desk = Desk(store)
    tokens = GatewayTokens(desk, Audit(desk), {}, Pulse())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tokens.revoked, "gateway")
        await trio.testing.wait_all_tasks_blocked()
        assert nursery.child_tasks
        nursery.cancel_scope.cancel()
