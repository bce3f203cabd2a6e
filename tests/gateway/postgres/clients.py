"""Clients of a gateway with a database behind it that is not public: real libpq, and one driven by hand."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
import trustme

from gateway.wire.pgmessage import parse_authentication
from gateway.wire.postgres import Startup, startup_message
from router.access import AccessLevel
from router.database import Database, Login
from tests.gateway.postgres.scripted import PASSWORD, TOKEN
from tests.gateway.running import Running
from tests.peers import SSL_REQUEST, TlsPeer, tls_to, trusting
from tests.upstreams import Upstream

BUDGET = 60.0  # seconds for an opening: more than any takes that is not hurried
HOST = "db.pods.test"
LOGINS = {
    level: (Login(name, PASSWORD),)
    for level, name in ((AccessLevel.READ, "reader"), (AccessLevel.WRITE, "writer"), (AccessLevel.OWNER, "owner"))
}
GRANTS = {"user:alice": AccessLevel.WRITE}


class Seen(list[Startup]):
    """The startup messages that a database got."""


def closed(gateway: Running, server: Upstream, access: AccessLevel = AccessLevel.READ, **more: Any) -> None:
    """Route to a database that is not public."""
    given = {"grants": GRANTS, "database": Database("mydb", LOGINS), **more}
    gateway.route(HOST, "postgres", server.address, access=access, **given)


def connect(gateway: Running, ca_file: Path, **more: str) -> psycopg.Connection:
    given = {
        "host": HOST, "hostaddr": "127.0.0.1", "port": str(gateway.port), "user": "alice", "password": TOKEN,
        "sslmode": "verify-full", "sslrootcert": str(ca_file), "connect_timeout": "60", **more,
    }  # fmt: skip
    return psycopg.connect(**given)  # type: ignore[arg-type]


def refusal(gateway: Running, ca_file: Path, **more: str) -> str:
    with pytest.raises(psycopg.OperationalError) as refused:
        connect(gateway, ca_file, **more)
    return str(refused.value)


def client_of(gateway: Running, ca: trustme.CA, host: str | None = HOST) -> TlsPeer:
    context = trusting(ca) if host else trusting(ca, check=False)
    return tls_to(gateway.port, context, host, before=(SSL_REQUEST,))


def start(peer: TlsPeer, **parameters: str) -> None:
    peer.send(startup_message((3, 0), {"user": "alice", **parameters}))


def receive_message(peer: TlsPeer) -> tuple[bytes, bytes]:
    header = peer.receive(5)
    return header[:1], peer.receive(int.from_bytes(header[1:], "big") - 4)


def kind_asked(peer: TlsPeer) -> int:
    kind, body = receive_message(peer)
    assert kind == b"R"
    return parse_authentication(body)[0]
