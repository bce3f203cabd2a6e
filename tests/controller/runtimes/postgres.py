"""A real Postgres pod as tests use it: who logs in how, and what came of a statement."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.controller.runtimes.homes import SECRETS

USERS = {"owner": "owner", "write": "writer", "read": "reader", "keeper": "keeper"}
DATABASE = "my_p1"

Connection = psycopg.Connection[tuple[object, ...]]


@contextmanager
def session(
    upstream: str, level: str, password: str = "", database: str = DATABASE, user: str = "", **more: str
) -> Iterator[Connection]:
    """Log in over the pod's socket, as whoever holds the secret of `level`."""
    with psycopg.connect(
        host=str(Path(upstream.removeprefix("unix:")).parent),
        user=user or USERS[level],
        password=password or SECRETS[level],
        dbname=database,
        autocommit=True,
        application_name="a test",
        options=more.get("options", ""),
    ) as connection:
        yield connection


def run(connection: Connection, statements: str) -> list[tuple[object, ...]]:
    """Run statements one after the other, outside of any transaction of ours, and give the rows of the last."""
    rows: list[tuple[object, ...]] = []
    for statement in statements.split(";;"):
        text = statement.strip().encode()
        with connection.cursor() as cursor:
            if text.startswith(b"COPY"):
                with cursor.copy(text) as copy:
                    rows = list(copy.rows())
            else:
                cursor.execute(text)
                rows = cursor.fetchall() if cursor.description else []
    return rows


def outcome(connection: Connection, statements: str) -> str:
    """Tell how statements end, `ok` or the name of the error's SQLSTATE, and take back what they did; those after a `!`
    are run outside of a transaction.
    """
    alone = statements.startswith(("!", "BEGIN"))
    try:
        run(connection, statements.removeprefix("!") if alone else f"BEGIN;; {statements}")
    except psycopg.Error as error:
        return type(error).__name__
    finally:
        connection.execute("ROLLBACK")
        connection.execute("RESET ALL")
    return "ok"


def refused(upstream: str, level: str, password: str = "", database: str = DATABASE, user: str = "") -> str:
    """Give why a login is refused; empty if it is not."""
    try:
        with session(upstream, level, password, database, user):
            return ""
    except psycopg.OperationalError as error:
        return str(error)
