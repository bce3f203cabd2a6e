"""The store in a PostgreSQL server, for controllers that are replicas of each other.

Every wait has an end on both sides: the server ends a transaction that its client leaves idle, such as one of a
process that was stopped in the middle, so that nobody else waits for it longer than that. A connection that broke is
found out before it is used (`pool_pre_ping`), so the store comes back by itself when its server does.
"""

import os
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakSet

import psycopg
from psycopg import pq
from sqlalchemy import URL, Connection, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from certs.files import CertificateProblem, read_private
from controller.store.database import Database, StoreFailure, migrate

DRIVER = "postgresql+psycopg"
ADDRESS = "PODGATE_DATABASE_URL"  # not an argument: those everybody on the machine can read
ADDRESS_FILE = "PODGATE_DATABASE_URL_FILE"  # a file that holds it
CONNECT_LIMIT = 3  # seconds until a server that says nothing is given up
LOCK_LIMIT = 5  # seconds that a replica waits for another's transaction
IDLE_LIMIT = 4  # seconds that a transaction may do nothing: less than others wait for it
STATEMENT_LIMIT = 15  # seconds of one statement
MIGRATION_LIMIT = 300  # seconds that a replica takes to bring the tables to its version, and others wait for it
MIGRATION_LOCK = 0x706F6467617465  # `podgate`: replicas that start together migrate one after the other
LONGEST_REASON = 400  # characters
AWAY = "it is used again when it is back: try again then"
NOT_LET_IN = f"mend the user, the password or the database's name in ${ADDRESS}"
AT_START = f"see that it runs, and mend ${ADDRESS} if that is wrong; then start this controller again"
MOST_CONNECTIONS = 4  # of one replica, beside the one that leads and the one that listens
SILENCE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}


def address_of_environment(environment: Mapping[str, str]) -> URL | None:
    """Find out where the server is, if there is one. Raises ValueError, whose text never holds the password."""
    text, path = environment.get(ADDRESS, "").strip(), environment.get(ADDRESS_FILE, "")  # files end in a newline
    if text and path:
        raise ValueError(f"${ADDRESS} and ${ADDRESS_FILE} are both set; leave one out")
    if path:
        try:
            text = read_private(Path(path), "a password").decode().strip()
        except CertificateProblem as problem:
            raise ValueError(f"${ADDRESS_FILE}: {problem}") from None
        except UnicodeError:  # its text could hold the password
            raise ValueError(f"${ADDRESS_FILE}: {path} is no text") from None
        if not text:
            raise ValueError(f"${ADDRESS_FILE}: {path} is empty; write the database's address there")
    try:
        return parse_url(text) if text else None
    except ValueError as error:
        raise ValueError(f"${ADDRESS_FILE if path else ADDRESS} is not usable: {error}") from None


def parse_url(text: str) -> URL:
    """Read where the server is. Raises ValueError, whose text never holds the password."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        url = None
    if url is None or url.drivername != DRIVER or not url.database:
        raise ValueError(f"expected {DRIVER}://USER:PASSWORD@HOST:PORT/DATABASE")
    if "@" in f"{url.host}{url.database}":  # a part of the password, which then would be told as the place
        raise ValueError("write @ in the password as %40, and so each sign there that is no letter or digit")
    return url


def open_server(url: URL) -> Database:
    """Connect to the server and bring the tables to this version. Raises StoreFailure."""
    engine = create_engine(
        url,
        connect_args=arguments(url),
        hide_parameters=True,  # they are secrets too
        pool_size=MOST_CONNECTIONS,
        max_overflow=0,
        pool_timeout=LOCK_LIMIT,
        pool_pre_ping=True,
    )
    name = name_of(url)
    made: WeakSet[psycopg.Connection[Any]] = WeakSet()
    event.listen(engine, "connect", lambda connection, _entry: made.add(connection))
    database = Database(
        engine, name, lambda error: failure_of(error.orig, name), shared=True, cut=lambda: _cut_all(made)
    )
    opening = replace(database, failure=lambda error: failure_of(error.orig, name, AT_START))
    try:
        with opening.transaction() as connection:
            _migrate_alone(connection, name)
    except StoreFailure:
        engine.dispose()
        raise
    return database


def connect(url: URL, **settings: object) -> psycopg.Connection[tuple[object, ...]]:
    """Make a connection beside the store's, each statement a transaction. Raises psycopg.Error."""
    _, facts = url.get_dialect()().create_connect_args(url)
    return psycopg.connect(**{**facts, **arguments(url, **settings)}, autocommit=True)


def cut(connection: psycopg.Connection[Any]) -> None:
    """Have whoever waits for an answer on a connection wait no longer; it is of no use after that."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as stream:
        stream.shutdown(socket.SHUT_RDWR)


def arguments(url: URL, **settings: object) -> dict[str, Any]:
    """Give libpq's parameters of every connection; `settings` are the server's, beside the limits and the address's."""
    limits = {
        "lock_timeout": f"{LOCK_LIMIT}s",
        "statement_timeout": f"{STATEMENT_LIMIT}s",
        "idle_in_transaction_session_timeout": f"{IDLE_LIMIT}s",
    }
    given = [option for option in [url.query.get("options")] if isinstance(option, str)]
    options = " ".join([*given, *(f"-c {name}={value}" for name, value in (limits | settings).items())])
    return {"connect_timeout": CONNECT_LIMIT, "application_name": "podgate", "options": options, **SILENCE}


def name_of(url: URL) -> str:
    """Say where the server is, without how to get in."""
    hosts = url.host or url.query.get("host") or "its socket"
    where = hosts if isinstance(hosts, str) else ",".join(hosts)
    return f"the database {url.database} at {where}{f':{url.port}' if url.port else ''}"


def failure_of(cause: BaseException | None, name: str, away: str = AWAY) -> StoreFailure:
    """Say what an error of the driver means; of its text only what quotes no rows. `away`: what to do if it is that."""
    code = getattr(cause, "sqlstate", None)
    if isinstance(cause, psycopg.OperationalError) and cause.pgconn is not None and _asked_who(cause.pgconn):
        return StoreFailure(f"store: {name} does not let this controller in ({_told_by(cause)}); {NOT_LET_IN}")
    if isinstance(cause, psycopg.OperationalError) and (code is None or code[:2] in ("08", "57")):
        return StoreFailure(f"store: {name} does not answer ({_told_by(cause)}); {away}")
    if code == "53100":  # disk_full
        return StoreFailure(f"store: no space left for {name}; free some and try again", full=True)
    if code in ("55P03", "40001", "40P01"):  # lock_not_available, serialization_failure, deadlock_detected
        return StoreFailure(f"store: {name} is held by another replica; try again")
    if code == "25P03":  # idle_in_transaction_session_timeout
        return StoreFailure(f"store: {name} has let others go first, for this controller was asleep; try again")
    if code == "25006":  # read_only_sql_transaction
        return StoreFailure(f"store: {name} takes no changes now; give the address of the primary server")
    if code == "42501":  # insufficient_privilege
        return StoreFailure(f"store: the user of {name} may not make tables there; let that user own the database")
    told = cause.diag.message_primary if isinstance(cause, psycopg.Error) else None
    return StoreFailure(f"store: {name}: {told or type(cause).__name__}; try again, and see its log if it stays so")


def _cut_all(connections: Iterable[psycopg.Connection[Any]]) -> None:
    for connection in list(connections):
        cut(connection)


def _migrate_alone(connection: Connection, name: str) -> None:
    """Bring the tables to this version while no other replica does. That may take longer than a change."""
    for limit in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
        connection.exec_driver_sql(f"SET LOCAL {limit} = '{MIGRATION_LIMIT}s'")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
    migrate(connection, name)


def _asked_who(failed: pq.abc.PGconn) -> bool:
    """Tell whether the server had answered when a connection to it failed: it asked for a password."""
    return bool(failed.used_password or failed.needs_password)


def _told_by(cause: BaseException) -> str:
    """Write what libpq says of a server, or of several, in one line."""
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return " ".join(lines)[:LONGEST_REASON] or type(cause).__name__
