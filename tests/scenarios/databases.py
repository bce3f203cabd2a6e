"""Two Postgres pods of the shared Podgate and the ways into them: by the database's own password, and by a token."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import psycopg
from psycopg.conninfo import make_conninfo

from tests.running import PATIENCE, Pod, Podgate

SOON = 20.0  # seconds: far less than the minute that a statement would sleep, enough for a busy machine
SLEEPING = """
    select count(*) from pg_stat_activity
    where query like %s and wait_event = 'PgSleep' and pid <> pg_backend_pid()
"""
GONE = "select count(*) from pg_stat_activity where query like %s and state = 'active' and pid <> pg_backend_pid()"


@dataclass(frozen=True, slots=True)
class Way:
    """Who comes, and where to: all that a client is told."""

    host: str
    port: int
    ca: Path
    database: str
    user: str
    password: str

    def conninfo(self, **more: object) -> str:
        """Give libpq's connection string, certificate verified; `more` comes on top or in place of what is there."""
        facts = {
            "host": self.host,
            "hostaddr": "127.0.0.1",
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "dbname": self.database,
            "sslmode": "verify-full",
            "sslrootcert": str(self.ca),
            "connect_timeout": PATIENCE,
        }
        told = {name: value for name, value in {**facts, **more}.items() if value is not None}
        return make_conninfo("", **{name: str(value) for name, value in told.items()})

    def connect(self, **more: object) -> psycopg.Connection:
        """Connect by psycopg, each statement a transaction of its own."""
        return psycopg.connect(self.conninfo(**more), autocommit=True)

    def with_user(self, user: str) -> "Way":
        return replace(self, user=user)

    def with_password(self, password: str) -> "Way":
        return replace(self, password=password)


def into(podgate: Podgate, pod: Pod, user: str, password: str) -> Way:
    """Give the way into a pod for somebody."""
    endpoint = pod["endpoints"][0]
    return Way(endpoint["host"], endpoint["port"], podgate.ca, pod["name"], user, password)


def owner_of(podgate: Podgate, pod: Pod) -> Way:
    """Give the way into a public pod for the owner of its database."""
    credential = pod["credentials"]["owner"]
    return into(podgate, pod, credential["user"], credential["password"])


class Watcher:
    """A second connection of the same caller, which sees what the first one does."""

    def __init__(self, way: Way) -> None:
        self._connection = way.connect(options=f"-c statement_timeout={PATIENCE}s")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def sleeping(self, mark: str) -> Callable[[], None]:
        """Give what waits until the database sleeps in a statement that has `mark` in it."""
        return lambda: self._until(SLEEPING, mark, 1)

    def wait_until_over(self, mark: str) -> None:
        """Wait until no such statement runs any more."""
        self._until(GONE, mark, 0)

    def _until(self, question: str, mark: str, expected: int) -> None:
        # The mark is a parameter of a prepared statement, so that these questions do not find one another.
        while self._connection.execute(question, (f"%{mark}%",)).fetchone() != (expected,):
            self._connection.execute("select pg_sleep(0.01)")
