"""A real PostgreSQL server for the controller's store, that can be killed, stopped and started again."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import psycopg
from psycopg import pq, sql
from sqlalchemy import URL

from bench.load.postgres_server import programs
from controller.store.postgres import connect
from controller.store.store import Store
from controller.store.turns import BEGIN_TERM, CHANNEL
from tests.ports import free_port

PASSWORD = "not a secret, but never to be seen"
PATIENCE = 60.0  # seconds until a server has to be there
SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = '32MB'
fsync = off
max_connections = 60
"""


class Server:
    """A server on a port of its own; each test has a database of its own in it."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._directory = directory
        self._data = directory / "data"
        self._process: subprocess.Popen[bytes] | None = None
        password = directory / "password"
        password.write_text(PASSWORD)
        made = ["-D", str(self._data), "-U", "podgate", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync"]
        self._run("initdb", *made, "--encoding=UTF8", "--locale=C").wait()
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(f"{SETTINGS}port = {self.port}\n")

    @property
    def runs(self) -> bool:
        """Tell whether it was started, and not stopped since."""
        return self._process is not None

    def start(self) -> None:
        """Start it, and wait until it takes clients."""
        self._process = self._run("postgres", "-D", str(self._data))
        deadline = time.monotonic() + PATIENCE
        while pq.PGconn.ping(f"host=127.0.0.1 port={self.port} connect_timeout=2".encode()) != pq.Ping.OK:
            assert self._process.poll() is None, (self._directory / "log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL takes no clients"
            time.sleep(0.02)  # libpq has nothing to wait on for this

    def freeze(self) -> None:
        """Stop all of it in the middle of whatever it does; its connections stay open."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        assert self._process is not None
        main = self._process.pid
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        for process in (main, *map(int, children)):  # first the one that makes the others
            os.kill(process, number)

    def stop(self, *, immediate: bool = False) -> None:
        """End it as its administrator does: sessions are told so, and cut off. `immediate`: as if it had crashed."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)  # else its fast shutdown
            self._process.wait(PATIENCE)
            self._process = None

    def database(self) -> URL:
        """Make a new database, and give its address."""
        name = f"test_{token_hex(4)}"
        with self.connect("postgres") as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def url(self, database: str, port: int | None = None) -> URL:
        return URL.create("postgresql+psycopg", "podgate", PASSWORD, "127.0.0.1", port or self.port, database)

    def connect(self, database: str | None) -> psycopg.Connection[tuple[object, ...]]:
        """Log in as the administrator."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="podgate", password=PASSWORD, dbname=database, autocommit=True
        )

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses root
        with (self._directory / "log").open("ab") as log:
            return subprocess.Popen(
                [str(programs() / program), *arguments], stdout=log, stderr=log, cwd="/", user=user, extra_groups=[]
                if user else None, env={"PATH": os.defpath, "LC_ALL": "C"},
            )  # fmt: skip


def lead(store: Store, replica: str) -> int:
    """Let a store's replica lead, as who gets the lock does; give its term."""
    with connect(store._engine.url) as session:
        (term, _told) = session.execute(BEGIN_TERM.encode(), (replica, "", CHANNEL)).fetchone() or (None, "")
    assert isinstance(term, int)
    store.lead(term, replica)
    return term


@contextmanager
def server() -> Iterator[Server]:
    """Run a server while the block runs."""
    directory = Path(tempfile.mkdtemp(prefix="pgdb", dir="/tmp"))
    if os.geteuid() == 0:
        shutil.chown(directory, "nobody")
    made = Server(directory)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(directory)
