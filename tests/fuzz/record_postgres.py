"""Write down how the Postgres clients of this machine open a connection.

    python -m tests.fuzz.record_postgres [NAME …]

Each logs in to a server of ours (`tests.gateway.postgres.logins`) and goes; what it sent becomes a file of
`tests/gateway/wire/recorded/postgres`. What is needed beyond the wheels of the tests: psql, node with `pg` (found by
NODE_PATH), the JDBC driver at /usr/share/java/postgresql.jar, and a resolver that knows names below .localhost.
"""

import argparse
import asyncio
import importlib.util
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import asyncpg
import pg8000.native
import psycopg
import trustme

from tests.gateway.postgres.logins import DATABASE, TOKEN, USER, serving
from tests.gateway.wire.openings import Opening, write
from tests.peers import leaf_of, trusting

HOST = "mydb.pods.localhost"
JDBC = Path("/usr/share/java/postgresql.jar")
LIBPQ = f"host={HOST} hostaddr=127.0.0.1 user={USER} dbname={DATABASE} sslmode=require"

NODE = """
const {Client} = require("pg");
const port = Number(process.argv[1]), [user, database, password] = process.argv.slice(2);
const client = new Client({host: "HOST", port, user, database, password, ssl: {rejectUnauthorized: false}});
client.connect().then(() => client.end());
console.log(require(require("path").join(require.resolve("pg"), "../../package.json")).version);
""".replace("HOST", HOST)


def psql(port: int, _ca: trustme.CA) -> str:
    told = ["psql", f"{LIBPQ} port={port}", "-c", "select 1"]
    subprocess.run(told, env={**os.environ, "PGPASSWORD": TOKEN}, capture_output=True, check=False)
    return subprocess.run(["psql", "--version"], capture_output=True, text=True, check=True).stdout.strip()


def libpq(told: str) -> Callable[[int, trustme.CA], str]:
    def connect(port: int, _ca: trustme.CA) -> str:
        psycopg.connect(f"{LIBPQ} port={port} password={TOKEN} {told}").close()
        return f"psycopg {psycopg.__version__} libpq {psycopg.pq.version()}: {told}".removesuffix(": ")

    return connect


def libpq_with_a_ticket(port: int, ca: trustme.CA) -> str:
    """It asks for GSS only if it has a Kerberos ticket to show, of whatever worth."""
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "tickets").write_bytes(_ticket())
        (Path(home) / "krb5.conf").write_text("[libdefaults]\ndefault_realm = PODS.TEST\n")
        os.environ |= {"KRB5CCNAME": f"FILE:{home}/tickets", "KRB5_CONFIG": f"{home}/krb5.conf"}
        return libpq("gssencmode=prefer")(port, ca)


def _ticket() -> bytes:
    """Make a file of credentials (MIT Kerberos, "Credential cache file format", version 4) with a ticket of zeros."""

    def text(data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + data

    def principal(*names: bytes) -> bytes:
        return struct.pack(">II", 1, len(names)) + text(b"PODS.TEST") + b"".join(map(text, names))

    now = int(time.time())
    alice, key = principal(USER.encode()), struct.pack(">H", 18) + text(bytes(32))
    times = struct.pack(">IIII", now, now, now + 86_400, 0)
    ticket = (
        alice + principal(b"krbtgt", b"PODS.TEST") + key + times + bytes(1 + 4 + 4 + 4) + text(bytes(64)) + text(b"")
    )
    return b"\5\4\0\0" + alice + ticket


def with_asyncpg(*, direct: bool) -> Callable[[int, trustme.CA], str]:
    def connect(port: int, ca: trustme.CA) -> str:
        async def run() -> None:
            told = {"user": USER, "database": DATABASE, "password": TOKEN, "ssl": trusting(ca), "direct_tls": direct}
            connection = await asyncpg.connect(host=HOST, port=port, **told)
            connection.terminate()

        asyncio.run(run())
        return f"asyncpg {version('asyncpg')}" + (": direct_tls" if direct else "")

    return connect


def with_pg8000(port: int, ca: trustme.CA) -> str:
    pg8000.native.Connection(
        USER, host=HOST, port=port, database=DATABASE, password=TOKEN, ssl_context=trusting(ca)
    ).close()
    return f"pg8000 {pg8000.__version__}"


def node(port: int, _ca: trustme.CA) -> str:
    told = ["node", "-e", NODE, str(port), USER, DATABASE, TOKEN]
    return "node-postgres " + subprocess.run(told, capture_output=True, text=True, check=True).stdout.strip()


def jdbc(port: int, _ca: trustme.CA) -> str:
    import jpype

    package = importlib.util.find_spec("arcadedb_embedded")
    assert package is not None
    assert package.origin is not None
    machine = Path(package.origin).parent / "jre/lib/server/libjvm.so"
    jpype.startJVM(str(machine), classpath=[str(JDBC)])
    driver = jpype.JClass("org.postgresql.Driver")()
    facts = jpype.JClass("java.util.Properties")()
    for name, value in {"user": USER, "password": TOKEN, "sslmode": "require"}.items():
        facts.setProperty(name, value)
    with suppress(jpype.JException):  # it asks for more than our server can answer once it is logged in
        driver.connect(f"jdbc:postgresql://{HOST}:{port}/{DATABASE}", facts).close()
    return f"pgjdbc {jpype.JClass('org.postgresql.util.DriverInfo').DRIVER_VERSION}"


CLIENTS: dict[str, Callable[[int, trustme.CA], str]] = {
    "psql15": psql,
    "libpq18": libpq(""),
    "libpq18_direct": libpq("sslnegotiation=direct"),
    "libpq18_gss": libpq_with_a_ticket,
    "libpq18_options": libpq("channel_binding=disable options='-c podgate.pod=mydb -c geqo=off'"),
    "asyncpg": with_asyncpg(direct=False),
    "asyncpg_direct": with_asyncpg(direct=True),
    "pg8000": with_pg8000,
    "node_pg": node,
    "pgjdbc": jdbc,
}


def record(name: str) -> Opening:
    """Have a client log in."""
    ca = trustme.CA(key_type=trustme.KeyType.ECDSA)
    with tempfile.TemporaryDirectory() as home, serving(leaf_of(ca, HOST), Path(home)) as served:
        client = CLIENTS[name](served.port, ca)
    login = next(login for login in served.logins if login.token)
    return Opening(re.sub(r"\s+", " ", client), served.binding or b"", tuple(login.before), tuple(login.inside))


def main() -> None:
    """Record the clients named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CLIENTS)}")
    for name in parser.parse_args().names or CLIENTS:
        found = record(name)
        write(name, found)
        sys.stdout.write(f"{name}: {found.client}, {[len(packet) for packet in found.before + found.inside]} bytes\n")


if __name__ == "__main__":
    main()
