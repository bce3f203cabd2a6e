"""What does a proxy cost a Postgres client: to connect, to ask, to fetch much, and under pgbench?

Clients connect as most do: StartTLS, then SCRAM. HAProxy does not speak StartTLS, so it is reached by direct TLS, which
pgbench before version 17 cannot do. pgbouncer logs in at the server once and hands that session to later clients, which
no other peer does: its connects are of another kind. "Podgate, by token" is an endpoint that is not public: clients
log in with the gateway, and it with the server. "Podgate, direct TLS" is reached as HAProxy is.
"""

import os
import re
import subprocess
import sys

from bench.experiment import MICROSECONDS, Experiment, Round
from bench.load import openssl
from bench.load.driver import Load, LoadFailed
from bench.load.postgres_server import postgres
from bench.peers.all import DIRECT, PEERS
from bench.peers.peer import HOST, Mode
from bench.peers.pgbouncer import PASSWORD, ROLE
from bench.record import Metric

CLIENTS = (1, 8)
CASES = {"connect": "connect", "select": "SELECT 1", "rows": "100,000 rows"}
CPU_PER_ANSWER = Metric("cpu for each", "µs")
CPU_PER_TRANSACTION = Metric("cpu per transaction", "µs")
TRANSACTIONS = Metric("transactions per second", "tps", "more")
PGBENCH = "pgbench -S -M prepared"


def measure(turn: Round) -> None:
    """Connect, ask, fetch, and run pgbench."""
    direct_tls = turn.peer != DIRECT and PEERS[turn.peer].direct_tls
    mode = "plain" if turn.peer == DIRECT else "direct" if direct_tls else "starttls"
    for what, case in CASES.items():
        command = [sys.executable, "-P", "-m", "bench.load.postgres_client", str(turn.port), mode, what]
        with Load([*command, str(turn.seconds)], openssl.ENVIRONMENT) as load:
            result, cpu = turn.measure(load)
        turn.add_latencies(case, result["quantiles"])
        if turn.program:
            turn.add(case, CPU_PER_ANSWER, cpu / result["count"] * MICROSECONDS)
    if not direct_tls:
        for clients in CLIENTS:
            _pgbench(turn, clients)


def _pgbench(turn: Round, clients: int) -> None:
    tls = "require" if turn.program else "disable"
    to = f"host={HOST} hostaddr=127.0.0.1 port={turn.port} user={ROLE} dbname=postgres sslmode={tls} gssencmode=disable"
    seconds = max(1, round(turn.seconds))  # pgbench counts in whole ones
    command = [turn.extra, "-n", "-S", "-M", "prepared", "-c", str(clients), "-j", "1", "-T", str(seconds), to]
    before = turn.cpu()
    environment = {**os.environ, **openssl.ENVIRONMENT, "PGPASSWORD": PASSWORD}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    cpu = turn.cpu() - before
    count = re.search(r"actually processed: (\d+)", done.stdout)
    rate = re.search(r"tps = ([\d.]+)", done.stdout)
    if done.returncode or not count or not rate:
        raise LoadFailed(f"pgbench: {(done.stderr.strip() or 'it said nothing').splitlines()[-1]}")
    turn.add(PGBENCH, TRANSACTIONS, float(rate[1]), clients, "clients")
    if turn.program:
        turn.add(PGBENCH, CPU_PER_TRANSACTION, cpu / int(count[1]) * MICROSECONDS, clients, "clients")


POSTGRES = Experiment(
    name="postgres",
    asks="What does a proxy cost a Postgres client?",
    limits="Clients and PostgreSQL share the other core, which at 8 clients is the limit; connecting is mostly "
    "the server's new process and SCRAM. libpq is told to offer X25519 only: what it would agree on with proxies that "
    "know it (X25519MLKEM768 with OpenSSL 3.5) outlives quantum computers, and costs both sides more.",
    measure=measure,
    peers=("podgate", "podgate-direct", "podgate-token", DIRECT, "traefik", "pgbouncer", "haproxy"),
    mode=Mode.POSTGRES,
    upstream=postgres,
)
