"""A whole gateway with one database behind it, and Postgres clients who come to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
import trustme

from certs.leaf import Leaf
from gateway.peers import Peers
from gateway.supervisor import Supervisor
from gateway.wire.pgmessage import CancelKey
from router.access import AccessLevel
from router.database import NO_DATABASE
from router.database import Database as Limits
from router.model import Protocol, Route
from router.routedocument import parse_address
from router.snapshot import Version
from tests.gateway.databases import Database, Session, cancel, log_in
from tests.gateway.supervising import Told, snapshot, supervising
from tests.peers import DEADLINE

HOST = "db.pods.test"


class Site:
    """A gateway under way, and its clients."""

    def __init__(self, supervisor: Supervisor, ca: trustme.CA) -> None:
        self.supervisor, self.ca = supervisor, ca
        self.port = int(supervisor.addresses[0][1])
        self.sessions: list[Session] = []

    async def log_in(self, version: tuple[int, int] = (3, 0)) -> Session:
        session = await trio.to_thread.run_sync(log_in, self.port, self.ca, HOST, version)
        self.sessions.append(session)
        return session

    async def cancel(self, key: CancelKey) -> None:
        await trio.to_thread.run_sync(cancel, self.port, key)

    async def session_of(self, worker: int) -> Session:
        """Log in until it is a worker's turn."""
        with trio.fail_after(DEADLINE):
            while (session := await self.log_in()).owner.worker != worker:
                session.client.close()
        return session


@asynccontextmanager
async def site(
    directory: Path, ca: trustme.CA, leaf: Leaf, real: Database, workers: int = 1, *, replica: int = 0,
    drain: float = 0.0, peers: Peers | None = None, limits: Limits = NO_DATABASE,
) -> AsyncIterator[Site]:  # fmt: skip
    source = Told()
    route = Route(HOST, Protocol.POSTGRES, (parse_address(real.address),), AccessLevel.PUBLIC, database=limits)
    async with supervising(source, directory, leaf, workers, replica=replica, drain=drain, peers=peers) as supervisor:
        source.say(snapshot(1, [route]))
        await source.until_acknowledged(Version("one", 1))
        under_way = Site(supervisor, ca)
        try:
            yield under_way
        finally:
            for session in under_way.sessions:
                session.client.close()
