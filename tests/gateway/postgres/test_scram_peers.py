"""SCRAM with those it is for: clients that log in to us, and a PostgreSQL that we log in to."""

import asyncio
import os
import pwd
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import asyncpg
import pg8000.native
import psycopg
import pytest
import trustme
from psycopg.conninfo import make_conninfo

from certs.leaf import Leaf
from controller.runtimes.software import find
from gateway.postgres.scram import PLAIN, PLUS, ScramClient
from gateway.wire.pgmessage import (
    Auth,
    Message,
    negotiated_minor,
    parse_authentication,
    parse_error,
    parse_key,
    parse_message,
    parse_offer,
    sasl_initial,
    sasl_response,
)
from gateway.wire.postgres import startup_message
from gateway.wire.verdict import More
from tests.gateway.postgres.logins import DATABASE, USER, serving
from tests.peers import DEADLINE, leaf_of, trusting

TOKENS = ("one", "two", "three")


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture(scope="module")
def leaf(ca: trustme.CA) -> Leaf:
    return leaf_of(ca, "localhost")


# ---- clients


def connect(port: int, token: str, **more: str) -> None:
    facts = {"host": "localhost", "hostaddr": "127.0.0.1", "sslmode": "require", "gssencmode": "disable"}
    told = {**facts, "user": USER, "dbname": DATABASE, "require_auth": "scram-sha-256", **more}
    psycopg.connect(make_conninfo("", port=port, password=token, **told)).close()


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("way", ["postgres", "direct"])
def test_libpq_binds_the_channel(leaf: Leaf, tmp_path: Path, token: str, way: str) -> None:
    with serving(leaf, tmp_path, TOKENS) as served:
        connect(served.port, token, channel_binding="require", sslnegotiation=way)
    assert [(login.mechanism, login.token) for login in served.logins] == [(PLUS, token)]


def test_libpq_without_binding(leaf: Leaf, tmp_path: Path) -> None:
    with serving(leaf, tmp_path, TOKENS) as served:
        connect(served.port, "two", channel_binding="disable")
    assert [(login.mechanism, login.token) for login in served.logins] == [(PLAIN, "two")]


def test_libpq_that_would_bind_where_we_cannot(leaf: Leaf, tmp_path: Path) -> None:
    with serving(leaf, tmp_path, TOKENS, binds=False) as served:
        connect(served.port, "two")
        with pytest.raises(psycopg.OperationalError, match="channel binding"):
            connect(served.port, "two", channel_binding="require")
    assert [login.token for login in served.logins] == ["two", ""]
    assert b"\0\0\0 y,,n=,r=" in served.logins[0].inside[1]


def test_libpq_with_a_wrong_token(leaf: Leaf, tmp_path: Path) -> None:
    with serving(leaf, tmp_path, TOKENS) as served, pytest.raises(psycopg.OperationalError, match="denied"):
        connect(served.port, "four")
    assert [login.denied for login in served.logins] == ["scram: the proof fits no token of the user"]


def test_libpq_and_another_certificate(ca: trustme.CA, leaf: Leaf, tmp_path: Path) -> None:
    """What a man in the middle has is another certificate: the proof is bound to the one that libpq saw."""
    with serving(leaf, tmp_path, TOKENS) as served:
        served.binding = served.binding and bytes(len(served.binding))
        with pytest.raises(psycopg.OperationalError, match="denied"):
            connect(served.port, "one")
    assert [login.denied for login in served.logins] == ["scram: bound to another channel than this one"]


def test_asyncpg(ca: trustme.CA, leaf: Leaf, tmp_path: Path) -> None:
    async def connect_and_go(port: int) -> None:
        told = {"user": USER, "database": DATABASE, "password": "three", "ssl": trusting(ca)}
        connection = await asyncpg.connect(host="localhost", port=port, **told)
        connection.terminate()

    with serving(leaf, tmp_path, TOKENS) as served:
        asyncio.run(connect_and_go(served.port))
    assert [(login.mechanism, login.token) for login in served.logins] == [(PLAIN, "three")]


def test_pg8000(ca: trustme.CA, leaf: Leaf, tmp_path: Path) -> None:
    with serving(leaf, tmp_path, TOKENS) as served:
        pg8000.native.Connection(
            USER, host="localhost", port=served.port, database=DATABASE, password="three", ssl_context=trusting(ca)
        ).close()
    assert [(login.mechanism, login.token) for login in served.logins] == [(PLUS, "three")]


# ---- a server

PASSWORD = "simple"
ROLES = {
    "plain": PASSWORD,
    "long": "x" * 500,
    "prepared": "\u00a0p\u00e4ssw\u00f6rd\ufb01\u00ad",  # a space, a ligature, and a hyphen that goes
    "right_to_left": "\u0627\u0628",
    "mixed": "\u0627a\ufb01\u0628",  # against the rules, and so left as it is
    "unassigned": "\u0221\u00ad",
    "nothing": "\u00ad",  # of which nothing would be left
}


@pytest.fixture(scope="module")
def database() -> Iterator[Path]:
    """Run a PostgreSQL on a unix socket; give its directory."""
    found = find("postgres")
    programs = found.base / found.variables["POSTGRES_BIN"]
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        home, as_owner = Path(name), _as_owner(Path(name))
        made = ["-D", str(home / "data"), "-U", "owner", "--auth=scram-sha-256", "--no-sync", "-E", "UTF8", "-N"]
        (home / "password").write_text(PASSWORD)
        (home / "password").chmod(0o644)
        initdb = [*as_owner, str(programs / "initdb"), *made, "--locale=C", f"--pwfile={home / 'password'}"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL)
        options = ["-k", str(home), "-c", "listen_addresses=", "-c", "fsync=off"]
        postgres = [*as_owner, str(programs / "postgres"), "-D", str(home / "data"), *options]
        with subprocess.Popen(postgres, stderr=subprocess.PIPE, text=True) as server:
            assert server.stderr is not None
            for line in server.stderr:
                if "ready to accept connections" in line:
                    break
            try:
                with psycopg.connect(host=str(home), user="owner", password=PASSWORD, dbname="postgres") as owner:
                    for role, password in ROLES.items():
                        owner.execute(f"create role {role} login password {psycopg.sql.quote(password)}")
                yield home
            finally:
                server.terminate()
                server.stderr.close()


def _as_owner(directory: Path) -> list[str]:
    if os.geteuid() != 0:
        return []
    owner = pwd.getpwnam("nobody")
    os.chown(directory, owner.pw_uid, -1)
    return ["setpriv", "--reuid", "nobody", "--clear-groups"]


class Server:
    """A connection to a PostgreSQL, by our codec."""

    def __init__(self, directory: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(DEADLINE)
        self._socket.connect(str(directory / ".s.PGSQL.5432"))
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def read(self) -> Message:
        while isinstance(found := parse_message(self._unread, 10_000), More):
            piece = self._socket.recv(4096)
            assert piece, "the server has gone"
            self._unread += piece
        self._unread = self._unread[found.size :]
        return found

    def asks(self, kind: Auth) -> bytes:
        message = self.read()
        assert message.kind == b"R"
        asked, data = parse_authentication(message.body)
        assert asked == kind
        return data

    def log_in(self, user: str, password: str) -> ScramClient:
        """Log in up to the proof."""
        self.send(startup_message((3, 0), {"user": user, "database": "postgres"}))
        client = ScramClient(password, parse_offer(self.asks(Auth.SASL)))
        self.send(sasl_initial(client.mechanism, client.first()))
        self.send(sasl_response(client.final(self.asks(Auth.SASL_CONTINUE))))
        return client


@pytest.mark.parametrize("role", ROLES)
def test_a_postgres_lets_us_in_and_proves_itself(database: Path, role: str) -> None:
    with Server(database) as server:
        client = server.log_in(role, ROLES[role])
        client.verify(server.asks(Auth.SASL_FINAL))
        server.asks(Auth.OK)
        assert client.done
        told = [server.read()]
        while told[-1].kind != b"Z":
            told.append(server.read())
        keys = [parse_key(message.body) for message in told if message.kind == b"K"]
    assert [len(key.secret) for key in keys] == [4]


def test_a_postgres_says_why_not(database: Path) -> None:
    with Server(database) as server:
        server.log_in("plain", "wrong")
        message = server.read()
    fields = parse_error(message.body)
    assert (message.kind, fields.severity, fields.sqlstate) == (b"E", "FATAL", "28P01")
    assert fields.message == 'password authentication failed for user "plain"'


def test_a_postgres_that_speaks_a_lesser_version(database: Path) -> None:
    with Server(database) as server:
        server.send(startup_message((3, 9), {"user": "plain", "_pq_.nothing": "1"}))
        message = server.read()
    assert message.kind == b"v"
    assert negotiated_minor(message.body) == 2
