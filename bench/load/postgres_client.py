"""A Postgres client on libpq: python -m bench.load.postgres_client PORT MODE connect|select|rows SECONDS

MODE is plain, starttls or direct. It talks as load.h says. libpq does the work; the interpreter's share of a query is a
few microseconds, the same for every peer.
"""

import json
import sys
import time

from psycopg import pq
from psycopg.pq.abc import PGconn

from bench.latency import quantiles
from bench.peers.peer import HOST
from bench.peers.pgbouncer import PASSWORD, ROLE

TLS = {
    "plain": "sslmode=disable",
    "starttls": "sslmode=require",
    "direct": "sslmode=require sslnegotiation=direct",
}
QUERIES = {"select": b"SELECT 1", "rows": b"SELECT * FROM pgbench_accounts LIMIT 100000"}
WARM_UP = 3  # times


def open_connection(port: int, mode: str) -> PGconn:
    """Connect and log in."""
    to = f"host={HOST} hostaddr=127.0.0.1 port={port} user={ROLE} password={PASSWORD} dbname=postgres"
    connection = pq.PGconn.connect(f"{to} gssencmode=disable {TLS[mode]}".encode())
    if connection.status != pq.ConnStatus.OK:
        sys.exit(connection.get_error_message())
    return connection


def ask(connection: PGconn, query: bytes) -> None:
    """Ask and take the whole answer."""
    result = connection.exec_(query)
    if result.status != pq.ExecStatus.TUPLES_OK:
        sys.exit(result.get_error_message())


def main(port: int, mode: str, what: str, seconds: float) -> None:
    """Warm up, wait, measure, tell, hold."""
    connection = open_connection(port, mode)

    def once() -> None:
        if what == "connect":
            open_connection(port, mode).finish()
        else:
            ask(connection, QUERIES[what])

    for _ in range(WARM_UP):
        once()
    print("ready", flush=True)
    sys.stdin.readline()
    taken: list[float] = []
    began = time.perf_counter()
    while not taken or time.perf_counter() < began + seconds:
        start = time.perf_counter()
        once()
        taken.append((time.perf_counter() - start) * 1e6)
    result = {"count": len(taken), "seconds": time.perf_counter() - began, "quantiles": quantiles(taken)}
    print(json.dumps(result), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4]))
