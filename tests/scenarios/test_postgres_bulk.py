"""Much at once: a dump and its restoring, pgbench, and a gigabyte of COPY each way."""

import os
import shutil
import subprocess
from collections.abc import Callable

import psycopg
import pytest
from psycopg import sql

from tests.running import PATIENCE
from tests.scenarios.clients.tools import environment, program
from tests.scenarios.databases import Way

GIGABYTE = 1_000_000_000
LINE = 100_000  # bytes: long lines cost the database least
ROWS = 100_000
SCHEMA = """
create schema shop;
create table shop.kinds (id int primary key, name text not null unique);
create table shop.goods (id serial primary key, kind int references shop.kinds, price numeric(8, 2), made timestamptz);
create index on shop.goods (kind, price);
create view shop.dear as select * from shop.goods where price > 900;
insert into shop.kinds select n, 'kind ' || n from generate_series(1, 10) n;
"""
FILL = f"""
insert into shop.goods (kind, price, made)
    select 1 + n % 10, n % 1000, timestamptz '2026-01-01 UTC' + n * interval '1 s' from generate_series(1, {ROWS}) n
"""
SUMS = "select count(*), sum(hashtext(goods::text)) from shop.goods"
FOUND = """
select count(*) from pg_class join pg_namespace space on space.oid = relnamespace
    where nspname = 'shop' and relkind in ('r', 'i', 'v', 'S')
"""


def run(way: Way, *command: str) -> str:
    """Run a program that finds its way by libpq's variable for the password, and the rest in `dbname`."""
    done = subprocess.run(
        command, env={**os.environ, "PGPASSWORD": way.password, "PGOPTIONS": "-c synchronous_commit=off"},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_dump_of_one_pod_is_restored_into_another(public: Way, closed: Way) -> None:
    source, target = public.conninfo(password=None), closed.conninfo(password=None)
    with public.connect() as connection:
        connection.execute(SCHEMA)
        connection.execute(FILL)
        before = connection.execute(SUMS).fetchone()
        tables = connection.execute(FOUND).fetchone()
    dump = [program("pg_dump"), "--format=custom", "--schema=shop", "--no-owner", "--no-privileges", "--compress=0"]
    restore = [program("pg_restore"), "--exit-on-error", "--no-owner", f"--dbname={target}"]
    with subprocess.Popen(
        [*dump, source], stdout=subprocess.PIPE, env=environment(PGPASSWORD=public.password)
    ) as dumping:
        restoring = subprocess.run(
            restore, stdin=dumping.stdout, env=environment(PGPASSWORD=closed.password), timeout=PATIENCE, check=False
        )
    assert (dumping.returncode, restoring.returncode) == (0, 0)
    with closed.connect() as connection:
        assert connection.execute(SUMS).fetchone() == before
        assert connection.execute(FOUND).fetchone() == tables
        connection.execute("drop schema shop cascade")
    with public.connect() as connection:
        connection.execute("drop schema shop cascade")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pgbench") is None, reason="needs pgbench (postgresql-contrib)")
def test_pgbench_in_every_protocol_and_with_a_connection_each_time(way: Way) -> None:
    to = way.conninfo(password=None)
    run(way, "pgbench", "--initialize", "--quiet", "--unlogged-tables", to)
    for options in (["--protocol=simple"], ["--protocol=extended"], ["--protocol=prepared"], ["--connect"]):
        printed = run(way, "pgbench", "--no-vacuum", "--client=4", "--transactions=50", *options, to)
        assert "number of transactions actually processed: 200/200" in printed
        assert "number of failed transactions: 0" in printed
    with way.connect() as connection:
        connection.execute("drop table pgbench_accounts, pgbench_branches, pgbench_history, pgbench_tellers")


@pytest.mark.slow
@pytest.mark.parametrize("copy", ["down", "up"])
def test_a_gigabyte_of_copy(copy: str, way: Way) -> None:
    """The database writes none of it down: it makes what it sends, and forgets what it gets."""
    with way.connect() as connection:
        assert DIRECTIONS[copy](connection) == GIGABYTE


def copy_down(connection: psycopg.Connection) -> int:
    lines = "copy (select repeat('x', {} - 1) from generate_series(1, {})) to stdout"
    statement = sql.SQL(lines).format(sql.Literal(LINE), sql.Literal(GIGABYTE // LINE))
    with connection.cursor().copy(statement) as out:
        return sum(len(part) for part in out)


def copy_up(connection: psycopg.Connection) -> int:
    block = (b"x" * (LINE - 1) + b"\n") * 10
    connection.execute("create temporary table none_of_it (line text)")
    with connection.cursor() as cursor:
        with cursor.copy("copy none_of_it from stdin where line is null") as into:
            for _ in range(GIGABYTE // len(block)):
                into.write(block)
        assert cursor.rowcount == 0
    return len(block) * (GIGABYTE // len(block))


DIRECTIONS: dict[str, Callable[[psycopg.Connection], int]] = {"down": copy_down, "up": copy_up}
