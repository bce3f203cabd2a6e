"""psycopg, whose wheel brings the newest libpq: in threads and in asyncio, by every way that libpq knows."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psycopg

from tests.running import PATIENCE
from tests.scenarios.clients.driven import Client, SqlError
from tests.scenarios.databases import Way

_T = TypeVar("_T")


def told(error: psycopg.Error) -> SqlError:
    """Give what psycopg says; of a refused login libpq has only the words."""
    return SqlError(error.sqlstate or "", error.diag.message_primary or str(error))


class Psycopg(Client):
    """psycopg in threads. `cancel` is PQcancel, without TLS and on one connection; `cancel_safe` is PQcancelCreate."""

    def __init__(self, way: Way, *, safe: bool = True, **options: object) -> None:
        self._safe = safe
        try:
            self.connection = way.connect(**options)
        except psycopg.Error as error:
            raise told(error) from error

    def ask(self, sql: str) -> str:
        try:
            row = self.connection.execute(sql.encode()).fetchone()
        except psycopg.Error as error:
            raise told(error) from error
        assert row
        return str(row[0])

    def interrupt(self, sql: str, running: Callable[[], None]) -> None:
        def cancel() -> None:
            running()
            if self._safe:
                self.connection.cancel_safe(timeout=PATIENCE)
            else:
                self.connection.cancel()

        canceller = threading.Thread(target=cancel)
        canceller.start()
        try:
            self.ask(sql)
        finally:
            canceller.join(PATIENCE)

    def close(self) -> None:
        self.connection.close()


class AsyncPsycopg(Client):
    """psycopg in asyncio. What cancels a task there cancels its statement."""

    def __init__(self, way: Way, **options: object) -> None:
        self._runner = asyncio.Runner()
        try:
            connect = psycopg.AsyncConnection.connect(way.conninfo(**options), autocommit=True)
            self._connection = self._run(connect)
        except BaseException:
            self._runner.close()
            raise

    def ask(self, sql: str) -> str:
        return self._run(self._ask(sql))

    def interrupt(self, sql: str, running: Callable[[], None]) -> None:
        async def cancelled() -> None:
            asking = asyncio.ensure_future(self._ask(sql))
            await asyncio.to_thread(running)
            await self._connection.cancel_safe(timeout=PATIENCE)
            await asking

        self._run(cancelled())

    def close(self) -> None:
        self._run(self._connection.close())
        self._runner.close()

    async def _ask(self, sql: str) -> str:
        row = await (await self._connection.execute(sql.encode())).fetchone()
        assert row
        return str(row[0])

    def _run(self, doing: Awaitable[_T]) -> _T:
        async def do() -> _T:
            return await doing

        try:
            return self._runner.run(do())
        except psycopg.Error as error:
            raise told(error) from error
