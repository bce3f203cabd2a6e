"""Failures and the pauses they make; and where a caller comes from."""

import pytest
from starlette.datastructures import Headers

from controller.callers import address_of
from controller.identity import Throttled
from controller.throttle import (
    FORGOTTEN_AFTER,
    FREE_FAILURES,
    LONGEST_PAUSE,
    MOST_REMEMBERED,
    Throttle,
    address_keys,
)
from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> Throttle:
    throttle = Throttle(clock)
    for _ in range(FREE_FAILURES):
        throttle.begin(["a"])
    return throttle


def pause(throttle: Throttle, *keys: str) -> float:
    with pytest.raises(Throttled) as caught:
        throttle.begin(keys)
    return caught.value.retry_after


def test_each_further_failure_doubles_the_pause_up_to_the_longest(throttle: Throttle, clock: Clock) -> None:
    pauses = []
    for _ in range(12):
        pauses.append(pause(throttle, "a", "b"))
        clock.now += pauses[-1]
        throttle.begin(["a"])
    assert pauses[:4] == [1.0, 2.0, 4.0, 8.0]
    assert pauses[-1] == LONGEST_PAUSE
    throttle.begin(["b"])


def test_what_succeeds_is_no_failure(throttle: Throttle, clock: Clock) -> None:
    clock.now += 1
    for _ in range(100):
        throttle.begin(["b"])
        throttle.forgive(["b"])
    throttle.begin(["a", "c"])
    throttle.forgive(["a", "c"], forget=["a"])
    for _ in range(FREE_FAILURES):
        throttle.begin(["a"])
    assert pause(throttle, "a") == 1.0


def test_failures_are_forgotten(throttle: Throttle, clock: Clock) -> None:
    clock.now += FORGOTTEN_AFTER + 1
    throttle.begin(["a"])
    throttle.begin(["a"])


def test_a_clock_that_is_set_back_makes_no_longer_pause(throttle: Throttle, clock: Clock) -> None:
    clock.now -= 900
    assert pause(throttle, "a") == 1.0


def test_what_is_remembered_is_bounded(throttle: Throttle) -> None:
    for number in range(MOST_REMEMBERED):
        throttle.begin([f"user:{number}"])
    throttle.begin(["a"])
    assert len(throttle._failures) == MOST_REMEMBERED


@pytest.mark.parametrize(
    ("address", "keys"),
    [
        ("", []),
        ("local", []),
        ("192.0.2.1", ["address:192.0.2.1"]),
        ("2001:db8::1", ["address:2001:db8::/64"]),
        ("2001:db8::ffff:0:0:2", ["address:2001:db8::/64"]),
        ("unknown", ["address:unknown"]),
    ],
)
def test_the_keys_of_an_address(address: str, keys: list[str]) -> None:
    assert address_keys(address) == keys


@pytest.mark.parametrize(
    ("given", "public", "address"),
    [
        ([], False, "local"),
        ([], True, "unknown"),
        (["192.0.2.1"], True, "192.0.2.1"),
        (["192.0.2.1"], False, "192.0.2.1"),
        (["2001:DB8::1"], True, "2001:db8::1"),
        (["192.0.2.1, 10.0.0.1"], True, "unknown"),
        (["192.0.2.1", "10.0.0.1"], True, "unknown"),
        (["local"], True, "unknown"),
        (["x" * 10000], True, "unknown"),
    ],
)
def test_where_a_caller_comes_from(given: list[str], public: bool, address: str) -> None:
    headers = Headers(raw=[(b"x-forwarded-for", each.encode()) for each in given])
    assert address_of(headers, public=public) == address
