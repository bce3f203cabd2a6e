"""The loop: tasks wait and are woken for what they wait for, time limits nest, timers are cancelled, wheels turn."""

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from gateway.loop import Loop
from gateway.waiting import MOST_THREADS, Cancelled, TooSlow, in_thread, pause, readable, time_limit, told, writable
from gateway.wheel import Wheel
from tests.gateway.driving import drive


def test_a_task_waits_for_bytes_and_for_room() -> None:
    near, far = socket.socketpair()
    near.setblocking(False)

    async def talk() -> bytes:
        await writable(near)
        near.send(b"question")
        far.send(far.recv(16).upper())
        await readable(near)
        return near.recv(16)

    with near, far:
        assert drive(talk()) == b"QUESTION"


def test_a_time_limit_ends_what_waits_for_ever() -> None:
    near, far = socket.socketpair()

    async def wait() -> str:
        try:
            with time_limit(0.01):
                await readable(near)
        except TooSlow:
            return "too slow"
        return "readable"

    with near, far:
        assert drive(wait()) == "too slow"


@pytest.mark.parametrize(
    ("outer", "inner", "seen"),
    [(0.01, 60, ["outer"]), (60, 0, ["inner", "inner"]), (0, 0, ["outer"])],
    ids=["the outer ends first", "the inner ends first", "both end at once"],
)
def test_nested_limits_are_not_taken_for_each_other(outer: float, inner: float, seen: list[str]) -> None:
    async def wait() -> list[str]:
        ended = []
        try:
            with time_limit(outer):
                for _ in range(2):
                    try:
                        with time_limit(inner):
                            await pause(60)
                    except TooSlow:
                        ended.append("inner")
        except TooSlow:
            ended.append("outer")
        return ended

    assert drive(wait()) == seen


def test_a_limit_that_was_kept_leaves_nothing_behind() -> None:
    async def wait() -> None:
        for _ in range(1000):
            with time_limit(3600):
                await pause(0)

    loop = Loop()

    async def run() -> None:
        await wait()
        loop.stop()

    loop.spawn(run())
    loop.run()
    assert len(loop._timers) < 10


def test_blocking_work_is_done_elsewhere_and_its_error_raised_here() -> None:
    def fail() -> None:
        raise OSError("no such host")

    async def resolve() -> int:
        with pytest.raises(OSError, match="no such host"):
            await in_thread(fail)
        return await in_thread(lambda: 7)

    assert drive(resolve()) == 7


def test_threads_are_bounded_and_given_back() -> None:
    release = threading.Event()

    async def look_up(place: int) -> None:
        await in_thread(release.wait)
        ended.append(place)

    async def one_too_many() -> None:
        with pytest.raises(OSError, match="being looked up already"):
            await in_thread(release.wait)
        release.set()

    ended: list[int] = []
    loop = Loop()
    for place in range(MOST_THREADS):
        loop.spawn(look_up(place))
    loop.spawn(one_too_many())

    async def stop() -> None:
        while len(ended) < MOST_THREADS:
            await pause(0.001)
        assert await in_thread(lambda: "room again") == "room again"
        loop.stop()

    loop.spawn(stop())
    loop.run()
    assert sorted(ended) == list(range(MOST_THREADS))


def test_a_word_for_an_earlier_wait_does_not_end_a_later_one() -> None:
    words: list[Callable[[], None]] = []

    async def wait() -> list[str]:
        seen = []
        try:
            with time_limit(0.01):
                await told(words.append)
        except TooSlow:
            seen.append("no word")
        words[0]()  # too late
        await pause(0.01)
        seen.append("paused")
        return seen

    assert drive(wait()) == ["no word", "paused"]


def test_the_end_of_the_loop_cancels_tasks_where_they_wait() -> None:
    ended: list[str] = []
    loop = Loop()

    async def wait() -> None:
        try:
            await pause(3600)
        except Cancelled:
            ended.append("cancelled")
            raise

    async def stop() -> None:
        loop.stop(lambda: ended.append("last"))

    loop.spawn(wait())
    loop.spawn(stop())
    loop.run()
    assert ended == ["cancelled", "last"]
    loop.call(ended.append, "after the end")  # forgotten


def test_a_task_that_has_not_begun_lets_go_of_what_it_was_given() -> None:
    kept: list[str] = []
    loop = Loop()

    async def keep() -> None:
        try:
            await pause(3600)
        finally:
            kept.append("let go")

    loop.call(loop.spawn, keep())
    loop.call(loop.cancel_tasks)
    loop.stop()
    loop.run()
    assert kept == ["let go"]


def test_a_task_that_fails_takes_nothing_else_down(caplog: pytest.LogCaptureFixture) -> None:
    loop = Loop()

    async def fail() -> None:
        raise ValueError("a fault of ours")

    async def stop() -> None:
        loop.stop()

    loop.spawn(fail())
    loop.spawn(stop())
    loop.run()
    assert "a fault of ours" in caplog.text


@dataclass(eq=False)
class Item:
    due: int = 0


def test_a_wheel_looks_at_what_is_due_and_lets_go_of_what_is_dropped() -> None:
    loop = Loop()
    kept, dropped, moved = Item(), Item(), Item()
    seen: list[Item] = []

    def look(item: Item) -> None:
        seen.append(item)
        loop.stop()

    wheel: Wheel[Item] = Wheel(loop, look)
    for item in (kept, dropped, moved):
        wheel.put(item, loop.now)
    wheel.drop(dropped)
    wheel.put(moved, loop.now + 3600)
    loop.run()
    assert seen == [kept]
    wheel.drop(moved)
    assert wheel._places == {}
