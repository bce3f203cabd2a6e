"""The database that controllers share, if there is one. Its address holds a password, which is never told."""

import os
from collections.abc import Iterator

import psycopg

from controller.store.postgres import ADDRESS, address_of_environment, connect, name_of
from podgate.checkup.findings import Finding, ok, wrong

OLDEST = 14
_ASK = "SELECT has_schema_privilege(current_schema(), 'CREATE'), pg_is_in_recovery()"


def look() -> Iterator[Finding]:
    """Look at the database of the environment, which is read as a controller reads it."""
    try:
        url = address_of_environment(os.environ)
    except ValueError as error:
        cure = "write it as postgresql+psycopg://USER:PASSWORD@HOST/NAME"
        yield wrong("database", str(error), cure)
        return
    if url is None:
        return
    where = name_of(url)
    try:
        with connect(url) as connection:
            row = connection.execute(_ASK).fetchone()
            version = connection.info.server_version // 10000
    except (psycopg.Error, UnicodeError) as error:
        first = str(error).partition("\n")[0].replace(url.password or "\0", "…")
        yield wrong("database", f"{where} cannot be used: {first}", f"mend ${ADDRESS}, or start the database")
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
