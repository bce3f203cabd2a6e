"""When a routes file is read: not in the middle of being written."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.sources import FILE_LOOK, UNREST, RoutesFile

TABLE = '[[route]]\nhost = "h{}.pods.test"\n'


class Followed:
    """A routes file that is followed, in virtual time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.source = RoutesFile(path)
        self._send, self._documents = trio.open_memory_channel[Any](1)

    async def run(self) -> None:
        await self.source.follow(self._send)

    async def hosts(self) -> list[str]:
        """Wait for what is read next."""
        document = await self._documents.receive()
        return [route["host"].split(".")[0] for route in document["routes"]]


@pytest.fixture
async def followed(tmp_path: Path) -> AsyncIterator[Followed]:
    path = tmp_path / "routes.toml"
    path.write_text(TABLE.format(0))
    followed = Followed(path)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(followed.run)
        assert await followed.hosts() == ["h0"]
        yield followed
        nursery.cancel_scope.cancel()


async def test_a_file_in_the_middle_of_being_written_is_left_alone(
    followed: Followed, autojump_clock: MockClock
) -> None:
    await trio.sleep(FILE_LOOK / 2)
    with followed.path.open("w") as file:  # which empties it
        for number in range(1, 4):
            await trio.sleep(FILE_LOOK)  # so that each look finds less than all of it
            file.write(TABLE.format(number))
            file.flush()
    assert await followed.hosts() == ["h1", "h2", "h3"]


async def test_a_change_is_read_within_two_looks(followed: Followed, autojump_clock: MockClock) -> None:
    await trio.sleep(FILE_LOOK / 2)
    followed.path.write_text(TABLE.format(10))  # longer: no time may have passed for the file system's clock
    began = trio.current_time()
    assert await followed.hosts() == ["h10"]
    assert trio.current_time() - began <= 2 * FILE_LOOK


async def test_a_file_that_never_rests_is_read_nevertheless(followed: Followed, autojump_clock: MockClock) -> None:
    began = trio.current_time()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            for size in range(10 * UNREST):
                followed.path.write_text(TABLE.format(1) + "#" * size)
                await trio.sleep(FILE_LOOK)

        assert await followed.hosts() == ["h1"]
        assert trio.current_time() - began <= (UNREST + 1) * FILE_LOOK
        nursery.cancel_scope.cancel()


async def test_who_asks_for_it_has_it_read_at_once(followed: Followed, autojump_clock: MockClock) -> None:
    await trio.sleep(FILE_LOOK / 2)
    began = trio.current_time()
    followed.path.write_text(TABLE.format(1))
    followed.source.reload()
    assert await followed.hosts() == ["h1"]
    assert trio.current_time() == began
