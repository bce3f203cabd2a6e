"""What is shared at a gateway reaches into the database: each level is a role there, from the grant on and until it is
taken back. The SQL that a role may run is a table of its own, in tests/controller/templates.
"""

import os
import secrets
import select
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from tests.running import PATIENCE, Pod, Podgate
from tests.scenarios.api import call, in_force, share
from tests.scenarios.databases import SOON, Watcher, Way, into
from tests.scenarios.people import add, make_token

ROLES = {"read": "reader", "write": "writer", "manage": "owner"}
WRITES = (
    "insert into notes values ('a reader was here')",
    "set default_transaction_read_only = off; insert into notes values ('a reader was here')",
    "begin read write; insert into notes values ('a reader was here')",
    "set role writer; insert into notes values ('a reader was here')",
    "set session authorization owner",
    "set default_transaction_read_only = off; create table readers (n int)",
    "set default_transaction_read_only = off; create temporary table readers (n int)",
    "copy notes to program 'cat'",
)
NO = ("25006", "42501")  # read-only transaction, insufficient privilege


@pytest.fixture
def lena(podgate: Podgate, vault: Pod, closed: Way) -> Iterator[Way]:
    """Somebody who holds nothing of `vault` yet, which has a table; she is taken away again."""
    name = add(podgate, "lena").name
    with closed.connect() as owner:
        owner.execute("create table notes (text text); insert into notes values ('for all')")
        yield into(podgate, vault, name, make_token(podgate, "levels", name))
        owner.execute("drop table notes")
    call(podgate, "DELETE", f"users/{name}")


def held(podgate: Podgate, way: Way, level: str) -> psycopg.Connection:
    """Give a level, and come with it."""
    share(podgate, way.database, way.user, level)
    in_force(podgate, way.database)
    return way.connect()


def has_ended(connection: psycopg.Connection) -> None:
    """Wait until somebody ends an idle connection."""
    assert select.select([connection.fileno()], [], [], PATIENCE)[0]
    with pytest.raises(psycopg.OperationalError):
        connection.execute("select 1")


@pytest.mark.parametrize(("level", "role"), ROLES.items())
def test_a_level_is_a_role(podgate: Podgate, lena: Way, level: str, role: str) -> None:
    with held(podgate, lena, level) as connection:
        assert connection.execute("select current_user, session_user").fetchone() == (role, role)
        assert connection.execute("select text from notes").fetchone() == ("for all",)


def test_an_owner_is_the_owner(podgate: Podgate, vault: Pod) -> None:
    """As which administrators come: they own every pod."""
    with into(podgate, vault, "admin", make_token(podgate, "levels", "admin")).connect() as connection:
        assert connection.execute("select current_user").fetchone() == ("owner",)


def test_a_reader_writes_nothing_and_a_writer_does(podgate: Podgate, lena: Way) -> None:
    with held(podgate, lena, "read") as connection:
        for attempt in WRITES:
            with pytest.raises(psycopg.Error) as refused:
                connection.execute(attempt.encode())
            assert refused.value.sqlstate in NO, attempt
            connection.execute("rollback")
    with held(podgate, lena, "write") as connection:
        connection.execute("insert into notes values ('a writer was here')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("create table writers (n int)")
        assert connection.execute("select count(*) from notes").fetchone() == (2,)


def test_a_token_may_hold_less_than_its_user(podgate: Podgate, vault: Pod) -> None:
    capped = make_token(podgate, "capped", "anna", pod="vault", level="read")
    with into(podgate, vault, "anna", capped).connect() as connection:
        assert connection.execute("select current_user").fetchone() == ("reader",)


def test_what_is_taken_back_ends_what_is_open(podgate: Podgate, lena: Way, closed: Way) -> None:
    grant = f"pods/{lena.database}/grants/user:{lena.user}"
    with closed.connect() as other, held(podgate, lena, "write") as writer:
        share(podgate, lena.database, lena.user, "read")
        in_force(podgate, lena.database)
        has_ended(writer)
        with lena.connect() as reader:
            assert reader.execute("select current_user").fetchone() == ("reader",)
            share(podgate, lena.database, lena.user, "write")
            assert reader.execute("select current_user").fetchone() == ("reader",)
            call(podgate, "DELETE", grant)
            in_force(podgate, lena.database)
            has_ended(reader)
        with pytest.raises(psycopg.OperationalError, match="asks for access level read, and lena holds none"):
            lena.connect()
        assert other.execute("select current_user").fetchone() == ("owner",)


def test_a_token_that_is_revoked_ends_what_it_opened(podgate: Podgate, vault: Pod) -> None:
    made = call(podgate, "POST", "tokens", name="short", user="anna")
    way = into(podgate, vault, "anna", made["token"])
    with way.connect() as connection:
        call(podgate, "DELETE", f"tokens/{made['id']}")
        has_ended(connection)


# A program that a cancel does not end, since it takes it for an error like any other.
DEAF = """do $$ begin loop
    begin perform pg_sleep(60) as {}; exception when query_canceled then null; end;
end loop; end $$"""


@pytest.mark.parametrize("how", ["vanishes", "is told no"])
@pytest.mark.parametrize("work", ["select pg_sleep(60) as {}", DEAF], ids=["heeds", "deaf"])
def test_the_database_does_not_go_on_for_somebody_who(
    podgate: Podgate, lena: Way, closed: Way, how: str, work: str
) -> None:
    mark = f"left_{secrets.token_hex(4)}"
    with closing(held(podgate, lena, "read")) as connection, Watcher(closed) as watcher:
        connection.pgconn.send_query(work.format(mark).encode())
        connection.pgconn.flush()
        watcher.sleeping(mark)()
        if how == "vanishes":
            with socket.socket(fileno=os.dup(connection.fileno())) as stream:
                stream.shutdown(socket.SHUT_RDWR)  # without a goodbye
        else:
            call(podgate, "DELETE", f"pods/{lena.database}/grants/user:{lena.user}")
        began = time.monotonic()
        watcher.wait_until_over(mark)
        assert time.monotonic() - began < SOON
