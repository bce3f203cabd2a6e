"""A supervisor with real workers, and a source in the test's hand."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from certs.leaf import Leaf
from gateway.leaves import FileLeaves
from gateway.options import Options
from gateway.peers import Peers
from gateway.sources import Documents
from gateway.standing import Standing
from gateway.supervisor import Plan, Supervisor
from router.access import AccessLevel
from router.model import Protocol, Route
from router.routedocument import parse_address
from router.snapshot import Rejected, Version, snapshot_document
from tests.peers import DEADLINE, write_leaf
from tests.upstreams import Upstream

HOST = "echo.pods.test"


class Told:
    """A source that says what a test tells it to, over as many streams as a test begins."""

    def __init__(self) -> None:
        self.acknowledged: list[tuple[Version, list[str]]] = []
        self.reported: list[Mapping[str, Any]] = []
        self.followers = 0
        self.standings: list[Standing] = []
        self.away = False
        self.error: type[OSError] = OSError  # by which it is away
        self._changed = trio.Event()
        self._streams: list[trio.MemoryReceiveChannel[object]] = []
        self._pending: list[object] = []
        self._cut = trio.Event()

    async def follow(self, documents: Documents) -> None:
        self.followers += 1
        self._beat()
        if self.away:
            raise self.error("away")
        cut = self._cut
        while not cut.is_set():
            while self._pending:
                await documents.send(self._pending.pop(0))
            with trio.move_on_after(0.01):
                await cut.wait()

    async def acknowledge(self, version: Version, rejected: Sequence[Rejected]) -> None:
        if self.away:
            raise OSError("away")
        self.acknowledged.append((version, [item.host for item in rejected]))
        self._beat()

    async def report(self, entries: Sequence[Mapping[str, Any]]) -> None:
        if self.away:
            raise OSError("away")
        self.reported += entries
        self._beat()

    async def tell(self, standing: Standing) -> None:
        if self.away:
            raise OSError("away")
        self.standings.append(standing)
        self._beat()

    def reload(self) -> None:
        return

    def say(self, document: object) -> None:
        self._pending.append(document)

    def cut(self) -> None:
        """End the stream that is open; the supervisor begins another."""
        self._cut.set()
        self._cut = trio.Event()

    async def until_acknowledged(self, version: Version, times: int = 1) -> list[str]:
        """Wait for an acknowledgement; give the hosts it tells as rejected."""
        with trio.fail_after(DEADLINE):
            while [told for told, _ in self.acknowledged].count(version) < times:
                await self._changed.wait()
        return next(hosts for told, hosts in reversed(self.acknowledged) if told == version)

    async def until_followed(self, times: int) -> None:
        with trio.fail_after(DEADLINE):
            while self.followers < times:
                await self._changed.wait()

    async def until_reported(self, number: int) -> None:
        with trio.fail_after(DEADLINE):
            while len(self.reported) < number:
                await self._changed.wait()

    async def until_standing(self, holds: Callable[[Standing], bool]) -> Standing:
        """Wait for a report that is as it should be, and give it."""
        with trio.fail_after(DEADLINE):
            while not (found := [each for each in self.standings if holds(each)]):
                await self._changed.wait()
        return found[-1]

    def _beat(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


def route(host: str, upstream: Upstream) -> Route:
    return Route(host, Protocol.TCP, (parse_address(upstream.address),), AccessLevel.PUBLIC)


def snapshot(number: int, routes: Iterable[Route] = (), epoch: str = "one") -> dict[str, object]:
    return snapshot_document(Version(epoch, number), routes)


@asynccontextmanager
async def supervising(
    source: Told, directory: Path, leaf: Leaf, workers: int = 1, *, replica: int = 0, drain: float = 0.0,
    peers: Peers | None = None, health: tuple[str, int] | None = None, notice: float = 0.0,
) -> AsyncIterator[Supervisor]:  # fmt: skip
    leaves = FileLeaves(*write_leaf(leaf, directory))
    options = Options(drain=drain, replica=replica)
    plan = Plan((("127.0.0.1", 0),), workers, options, directory / "kept" / "routes.json", health, notice)
    supervisor = Supervisor(plan, source, leaves, peers)
    with trio.fail_after(2 * DEADLINE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.run)
            try:
                yield supervisor
            finally:
                supervisor.drain()


async def ask(supervisor: Supervisor, path: str, method: str = "GET") -> tuple[int, str]:
    """Ask for a page of its health; give status and text."""
    assert supervisor.health_address
    async with await trio.open_tcp_stream(*supervisor.health_address) as stream:
        await stream.send_all(f"{method} {path} HTTP/1.1\r\nHost: gateway\r\n\r\n".encode())
        told = b"".join([part async for part in stream]).decode()
    head, _, body = told.partition("\r\n\r\n")
    return int(head.split()[1]), body.strip()
