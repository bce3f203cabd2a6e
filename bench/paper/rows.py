"""Postgres rows: the same question of a table, by psycopg, which makes Python objects, and by libpq alone.

Clients log in as most do, by StartTLS and SCRAM; HAProxy, which does not know StartTLS, by direct TLS. Samples are
taken as those of the graph: from the first packet, and from the open connection.
"""

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo
from psycopg.pq.abc import PGconn, PGresult

from bench.load.postgres_server import cluster
from bench.paper.backends import Login, Way
from bench.paper.graph import WrongAnswer
from bench.paper.plan import PSYCOPG
from bench.peers.pgbouncer import PASSWORD, ROLE

MAKE = """
    create table if not exists podgate_bench_rows
    (number integer primary key, name text, weight double precision, kind text, seen boolean)
"""
FILL = """
    insert into podgate_bench_rows select n, 'row ' || n, n * 0.5, 'sample', true from generate_series(1, %s) n
    on conflict do nothing
"""
QUERY = "select * from podgate_bench_rows limit %s"
Failures = (psycopg.Error, OSError)


@contextmanager
def database(directory: Path) -> Iterator[tuple[int, Login]]:
    """Run the database while the block runs; give its port and how to log in. Raises Missing."""
    with cluster(directory) as port:
        yield port, Login(ROLE, PASSWORD, "postgres")


def fill(way: Way, most: int) -> None:
    """Make the rows; what is there stays."""
    with psycopg.connect(conninfo(way), autocommit=True) as connection:
        connection.execute(MAKE)
        connection.execute(FILL, (most,))
        connection.execute("vacuum (analyze) podgate_bench_rows")


def ask(way: Way, client: str, size: int) -> tuple[float, float]:
    """Ask for `size` rows; give the seconds to an open connection, and from there to the last row."""
    return by_psycopg(way, size) if client == PSYCOPG else by_libpq(way, size)


def by_psycopg(way: Way, size: int) -> tuple[float, float]:
    """Ask as a program does, and take every row as a tuple."""
    began = time.perf_counter()
    with psycopg.connect(conninfo(way), autocommit=True) as connection:
        connected = time.perf_counter()
        count = len(connection.execute(QUERY % size).fetchall())
        ended = time.perf_counter()
    return _checked(size, count, connected - began, ended - connected)


def by_libpq(way: Way, size: int) -> tuple[float, float]:
    """Ask for the same, and make nothing of it in Python."""
    began = time.perf_counter()
    connection = pq.PGconn.connect(conninfo(way).encode())
    if connection.status != pq.ConnStatus.OK:
        raise OSError(connection.get_error_message().strip())
    connected = time.perf_counter()
    result = _result(connection, (QUERY % size).encode())
    ended = time.perf_counter()
    count, problem = result.ntuples, result.get_error_message().strip()
    result.clear()
    connection.finish()
    if problem and count != size:
        raise OSError(problem)
    return _checked(size, count, connected - began, ended - connected)


def _result(connection: PGconn, query: bytes) -> PGresult:
    """Do what PQexec does, which cannot be interrupted: wait here, and have libpq take what came."""
    connection.send_query(query)
    while connection.is_busy():
        select.select([connection.socket], [], [])
        connection.consume_input()
    result = connection.get_result()
    if result is None:
        raise OSError("libpq gave no result")
    return result


def conninfo(way: Way) -> str:
    """Give libpq's connection string."""
    facts: dict[str, object] = {
        "host": way.host or way.address, "port": way.port, "user": way.login.user, "password": way.login.password,
        "dbname": way.login.database, "gssencmode": "disable", "connect_timeout": 30,
        "sslmode": "verify-full" if way.host else "disable",
    }  # fmt: skip
    if way.host:
        facts["sslrootcert"] = str(way.ca) if way.ca else "system"
    if not way.uri:
        facts["hostaddr"] = way.address
    if way.direct_tls:
        facts["sslnegotiation"] = "direct"
    return make_conninfo("", **{name: str(value) for name, value in facts.items()})


def _checked(size: int, count: int, connecting: float, asking: float) -> tuple[float, float]:
    if count != size:
        raise WrongAnswer(f"{count} rows came, {size} were asked for")
    return connecting, asking
