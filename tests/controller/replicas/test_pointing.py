"""The socket of a home that commands and gateways use: somebody is there, and it is the leader if there is one."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from controller.replicas.pointing import LOOK_EVERY, keep_pointed
from tests.controller.runtimes.homes import new_home


@pytest.fixture
def run() -> Iterator[Path]:
    with new_home() as home:
        yield home


def listening(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    made.listen()
    return made


async def test_it_leads_to_the_leader_and_else_to_whoever_is_there(
    run: Path, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    link, one, other = run / "api.sock", run / "api-one.sock", run / "api-other.sock"
    leader = one

    async def reached() -> str:
        await trio.sleep(3 * LOOK_EVERY)
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(link))
            return Path(caller.getpeername()).name if caller.getpeername() else link.readlink().name

    with listening(link):  # of a controller that was not a replica
        pass
    with listening(one):
        with listening(other):
            for own in (one, other):
                nursery.start_soon(keep_pointed, link, own, lambda own=own: leader == own)
            assert await reached() == one.name
            leader = other
            assert await reached() == other.name
            leader = run
            assert await reached() == other.name, "as long as it answers"
        assert await reached() == one.name
    nursery.cancel_scope.cancel()
