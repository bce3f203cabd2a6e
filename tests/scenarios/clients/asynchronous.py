"""asyncpg, which speaks the protocol itself and has TLS from Python."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from tests.running import PATIENCE
from tests.scenarios.clients.driven import Client, SqlError
from tests.scenarios.databases import Way

_T = TypeVar("_T")


class Asyncpg(Client):
    """asyncpg. It cancels the statement of a task that is cancelled, by TLS."""

    def __init__(self, way: Way, *, direct: bool = False, **settings: str) -> None:
        self._runner = asyncio.Runner()
        context = ssl.create_default_context(cafile=str(way.ca))
        try:
            connect = asyncpg.connect(
                host=way.host, port=way.port, user=way.user, password=way.password, database=way.database,
                ssl=context, direct_tls=direct, timeout=PATIENCE, server_settings=settings,
            )  # fmt: skip
            self._connection = self._run(connect)
        except BaseException:
            self._runner.close()
            raise

    def ask(self, sql: str) -> str:
        return str(self._run(self._connection.fetchval(sql)))

    def interrupt(self, sql: str, running: Callable[[], None]) -> None:
        async def cancelled() -> None:
            asking = asyncio.ensure_future(self._connection.fetchval(sql))
            await asyncio.to_thread(running)
            asking.cancel()
            try:
                await asking
            except asyncio.CancelledError:
                # asyncpg keeps the database's answer to itself; only after it can the connection be used again.
                assert await self._connection.fetchval("select 1") == 1
                raise SqlError("57014", "cancelled") from None

        self._run(cancelled())

    def close(self) -> None:
        self._run(self._connection.close())
        self._runner.close()

    def _run(self, doing: Awaitable[_T]) -> _T:
        async def do() -> _T:
            return await doing

        try:
            return self._runner.run(do())
        except asyncpg.exceptions.PostgresError as error:
            raise SqlError(error.as_dict()["sqlstate"], str(error)) from error
