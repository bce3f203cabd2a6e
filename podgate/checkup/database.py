"""The database that controllers share, if there is one. Its address holds a password, which is never told."""

import os
from collections.abc import Iterator

import psycopg
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from podgate.checkup.findings import Finding, ok, wrong

VARIABLE = "PODGATE_DATABASE_URL"
OLDEST = 14
PATIENCE = 5  # seconds
_ASK = "SELECT has_schema_privilege(current_schema(), 'CREATE'), pg_is_in_recovery()"


def look() -> Iterator[Finding]:
    """Look at the database of the environment."""
    address = os.environ.get(VARIABLE, "")
    if not address:
        return
    try:
        url = make_url(address)
    except ArgumentError:
        cure = "write it as postgresql+psycopg://USER:PASSWORD@HOST/NAME"
        yield wrong("database", f"${VARIABLE} is no address of a database", cure)
        return
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    where = f"{url.host or 'this machine'}/{url.database}"
    try:
        with psycopg.connect(plain, connect_timeout=PATIENCE) as connection:
            row = connection.execute(_ASK).fetchone()
            version = connection.info.server_version // 10000
    except (psycopg.Error, UnicodeError) as error:
        first = str(error).partition("\n")[0].replace(url.password or "\0", "…")
        yield wrong("database", f"{where} cannot be used: {first}", f"mend ${VARIABLE}, or start the database")
        return
    may_create, is_copy = row or (False, False)
    if version < OLDEST:
        yield wrong("database", f"{where} is PostgreSQL {version}", f"use {OLDEST} or newer")
    elif is_copy:
        yield wrong("database", f"{where} is a read-only copy", "give the address of the primary")
    elif not may_create:
        yield wrong("database", f"{where}: this user may not make tables there", "let the user own the database")
    else:
        yield ok("database", f"{where}, PostgreSQL {version}")
