"""Short connections in a row while routes and the certificate change under them: none fails, and nothing is left open.

PODGATE_SHORT_CONNECTIONS sets how many; the default keeps the test suite short.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from certs.authority import Authority
from tests.ports import free_port
from tests.running import PATIENCE, Pod, Podgate, descriptors

CONNECTIONS = int(os.environ.get("PODGATE_SHORT_CONNECTIONS", "600"))
CLIENTS = 4  # side by side
HOST = "db.example.test"


class StaticGateway:
    """`podgate gateway` before one upstream, with files that the test replaces."""

    def __init__(self, directory: Path, upstream: str) -> None:
        self.directory = directory
        self.upstream = upstream
        self.port = free_port()
        self.authority = Authority.open(directory / "authority")
        self.changes = 0
        self.log: list[str] = []
        self.change()

    def change(self) -> None:
        """Replace the routes, then key and certificate, each as a whole; the gateway may look at any moment between."""
        self.changes += 1
        leaf = self.authority.issue([HOST], datetime.now(UTC))
        passing = f'access = "public"\n[[route]]\nhost = "passing-{self.changes}.example.test"\nprotocol = "tcp"\n'
        route = f'[[route]]\nhost = "{HOST}"\nprotocol = "postgres"\nupstreams = ["{self.upstream}"]\n'
        files = {"routes.toml": (route + passing).encode(), "key.pem": leaf.key_pem, "cert.pem": leaf.chain_pem}
        for name, data in files.items():
            new = self.directory / f"{name}.new"
            new.write_bytes(data)
            new.chmod(0o600)
            new.replace(self.directory / name)

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[str]]:
        files = {"--routes": "routes.toml", "--certificate": "cert.pem", "--key": "key.pem", "--home": "home"}
        command = [sys.executable, "-m", "podgate", "gateway", "--listen", f"127.0.0.1:{self.port}", "--workers", "2"]
        for option, name in files.items():
            command += [option, str(self.directory / name)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        up = threading.Event()
        log = threading.Thread(target=self._read_log, args=(process, up))
        log.start()
        try:
            assert up.wait(PATIENCE), "".join(self.log)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
            log.join(PATIENCE)

    def _read_log(self, process: subprocess.Popen[str], up: threading.Event) -> None:
        assert process.stderr is not None
        with process.stderr as lines:
            for line in lines:
                self.log.append(line)
                if "gateway is up" in line:
                    up.set()


def connect_in_a_row(conninfo: str, count: int, failures: list[str]) -> None:
    for number in range(count):
        try:
            with psycopg.connect(conninfo) as connection:
                if connection.execute("select %s::int", (number,)).fetchone() != (number,):
                    failures.append("wrong answer")
        except psycopg.Error as error:
            failures.append(str(error))


def test_none_fails_and_nothing_stays_open(podgate: Podgate, database: Pod, tmp_path: Path) -> None:
    (upstream,) = (podgate.home / "pods").glob("mydb-*/run/.s.PGSQL.5432")
    static = StaticGateway(tmp_path, f"unix:{upstream}")
    owner = database["credentials"]["owner"]
    conninfo = (
        f"host={HOST} hostaddr=127.0.0.1 port={static.port} sslmode=verify-full sslrootcert={static.authority.path} "
        f"dbname=mydb user={owner['user']} password={owner['password']}"
    )
    failures: list[str] = []
    with static.running() as gateway:
        connect_in_a_row(conninfo, 20, failures)
        before = descriptors(gateway.pid)
        clients = [
            threading.Thread(target=connect_in_a_row, args=(conninfo, CONNECTIONS // CLIENTS, failures))
            for _ in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        while any(client.is_alive() for client in clients):
            static.change()
            clients[0].join(0.3)
        connect_in_a_row(conninfo, 20, failures)
        after = descriptors(gateway.pid)
    assert failures == []
    assert static.changes > 2
    assert any("a new one for db.example.test is in use" in line for line in static.log)
    assert after <= before + 2 * CLIENTS, "descriptors of closed connections are still open"
