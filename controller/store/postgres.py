"""The store in a PostgreSQL server, for controllers that are replicas of each other.

Every wait has an end on both sides: the server ends a transaction that its client leaves idle, such as one of a
process that was stopped in the middle, so that nobody else waits for it longer than that. A connection that broke is
found out before it is used (`pool_pre_ping`), so the store comes back by itself when its server does.
"""

from typing import Any

import psycopg
from sqlalchemy import URL, Connection, create_engine, make_url
from sqlalchemy.exc import ArgumentError

from controller.store.database import Database, StoreFailure, migrate

DRIVER = "postgresql+psycopg"
CONNECT_LIMIT = 3  # seconds until a server that says nothing is given up
LOCK_LIMIT = 5  # seconds that a replica waits for another's transaction
IDLE_LIMIT = 4  # seconds that a transaction may do nothing: less than others wait for it
STATEMENT_LIMIT = 15  # seconds of one statement
MIGRATION_LOCK = 0x706F6467617465  # `podgate`: replicas that start together migrate one after the other
MOST_CONNECTIONS = 4  # of one replica, beside the one that leads and the one that listens
SILENCE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}


def parse_url(text: str) -> URL:
    """Read where the server is. Raises ValueError, whose text never holds the password."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        url = None
    if url is None or url.drivername != DRIVER or not url.database:
        raise ValueError(f"expected {DRIVER}://USER:PASSWORD@HOST:PORT/DATABASE")
    return url


def open_server(url: URL) -> Database:
    """Connect to the server and bring the tables to this version. Raises StoreFailure."""
    engine = create_engine(
        url,
        connect_args=arguments(),
        hide_parameters=True,  # they are secrets too
        pool_size=MOST_CONNECTIONS,
        max_overflow=0,
        pool_timeout=LOCK_LIMIT,
        pool_pre_ping=True,
    )
    name = name_of(url)
    database = Database(engine, name, lambda error: failure_of(error.orig, name), shared=True)
    try:
        with database.transaction() as connection:
            _migrate_alone(connection, name)
    except StoreFailure:
        engine.dispose()
        raise
    return database


def arguments(**settings: object) -> dict[str, Any]:
    """Give libpq's parameters of every connection; `settings` are the server's, beside the limits."""
    limits = {
        "lock_timeout": f"{LOCK_LIMIT}s",
        "statement_timeout": f"{STATEMENT_LIMIT}s",
        "idle_in_transaction_session_timeout": f"{IDLE_LIMIT}s",
    }
    options = " ".join(f"-c {name}={value}" for name, value in (limits | settings).items())
    return {"connect_timeout": CONNECT_LIMIT, "application_name": "podgate", "options": options, **SILENCE}


def name_of(url: URL) -> str:
    """Say where the server is, without how to get in."""
    return f"the database {url.database} at {url.host or 'its socket'}{f':{url.port}' if url.port else ''}"


def failure_of(cause: BaseException | None, name: str) -> StoreFailure:
    """Say what an error of the driver means; of its text only what quotes no rows."""
    code = getattr(cause, "sqlstate", None)
    if isinstance(cause, psycopg.OperationalError) and (code is None or code[:2] in ("08", "57")):
        return StoreFailure(f"store: {name} does not answer ({_first_line(cause)}); it is tried again when it is back")
    if code == "53100":  # disk_full
        return StoreFailure(f"store: no space left for {name}; free some and try again", full=True)
    if code in ("55P03", "40001", "40P01"):  # lock_not_available, serialization_failure, deadlock_detected
        return StoreFailure(f"store: {name} is held by another replica; try again")
    if code == "25P03":  # idle_in_transaction_session_timeout
        return StoreFailure(f"store: {name} has let others go first, for this controller was asleep; try again")
    if code == "25006":  # read_only_sql_transaction
        return StoreFailure(f"store: {name} takes no changes now; give the address of the primary server")
    told = cause.diag.message_primary if isinstance(cause, psycopg.Error) else None
    return StoreFailure(f"store: {name}: {told or type(cause).__name__}; try again, and see its log if it stays so")


def _migrate_alone(connection: Connection, name: str) -> None:
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
    migrate(connection, name)


def _first_line(cause: BaseException) -> str:
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(cause).__name__
