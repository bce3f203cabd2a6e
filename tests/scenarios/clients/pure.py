"""pg8000, in Python to the last byte; it shows every field of an error, also of a refused login."""

import ssl
from collections.abc import Callable

import pg8000.dbapi

from tests.running import PATIENCE
from tests.scenarios.clients.driven import Client, SqlError
from tests.scenarios.databases import Way


class Refused(SqlError):
    """An error with its hint."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__(fields["C"], fields["M"])
        self.severity = fields["S"]
        self.hint = fields.get("H", "")


class Pg8000(Client):
    """pg8000. It knows no way to cancel."""

    def __init__(self, way: Way, *, address: str = "", **startup: str) -> None:
        """`address` is where to connect if not to the host by its name: the way of a client without a server name."""
        context = ssl.create_default_context(cafile=str(way.ca))
        context.check_hostname = not address
        try:
            self._connection = pg8000.dbapi.connect(
                way.user, host=address or way.host, port=way.port, password=way.password, database=way.database,
                ssl_context=context, timeout=PATIENCE, startup_params=startup,
            )  # fmt: skip
        except pg8000.dbapi.DatabaseError as error:
            raise _told(error) from error
        self._connection.autocommit = True

    def ask(self, sql: str) -> str:
        cursor = self._connection.cursor()
        try:
            cursor.execute(sql)
        except pg8000.dbapi.DatabaseError as error:
            raise _told(error) from error
        return str(cursor.fetchone()[0])

    def interrupt(self, sql: str, running: Callable[[], None]) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self._connection.close()


def _told(error: pg8000.dbapi.DatabaseError) -> SqlError:
    fields = error.args[0]
    return Refused(fields) if isinstance(fields, dict) else SqlError("", str(error))
