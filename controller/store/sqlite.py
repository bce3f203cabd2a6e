"""The store as a file: who may read it, how it is kept safe, and which version of the tables it holds.

WAL with synchronous=FULL: what a transaction wrote is on the disk when it returns (sqlite.org/pragma.html). Python's
sqlite3 begins transactions by its own rules; here SQLAlchemy says BEGIN itself, so that changes of tables are
transactional too and a killed migration leaves the file as it was.
"""

import os
import sqlite3
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from controller.store.database import Database, StoreFailure, migrate

BUSY_WAIT = 5.0  # seconds to wait for somebody who looks at the file with another program


def open_file(path: Path) -> Database:
    """Open the store's file, make it if there is none, and bring its tables to this version. Raises StoreFailure."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
    except OSError as error:
        raise StoreFailure(
            f"store: {path} cannot be opened for writing: {error.strerror}; mend its owner, mode or disk",
        ) from error
    connecting = {"timeout": BUSY_WAIT, "check_same_thread": False}
    engine = create_engine(f"sqlite:///{path}", connect_args=connecting, hide_parameters=True)  # they are secrets too
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    database = Database(engine, str(path), partial(_failure, path=path))
    try:
        with database.transaction() as connection:
            _check(connection, path)
            migrate(connection, database.name)
    except StoreFailure:
        engine.dispose()
        raise
    return database


def _prepare(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _check(connection: Connection, path: Path) -> None:
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if found != "ok":
        raise _damaged(path, str(found))


def _failure(error: DBAPIError, path: Path) -> StoreFailure:
    cause = error.orig
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF  # the primary code, without its extension
    if code == sqlite3.SQLITE_FULL:
        return StoreFailure(f"store: no space left for {path}; free some and try again", full=True)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return _damaged(path, str(cause))
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return StoreFailure(f"store: {path} cannot be written ({cause}); mend its owner, mode or disk")
    return StoreFailure(f"store: {path}: {cause}; try again, and see the disk if it stays so")


def _damaged(path: Path, found: str) -> StoreFailure:
    return StoreFailure(f"store: {path} is damaged ({found}); put back a copy of it, or move it away to start anew")
