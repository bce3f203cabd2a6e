"""Postgres' way into TLS. Each of these cost another proxy a bug (docs: CVE-2021-23214, Traefik 10619 and after)."""

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trustme

from certs.leaf import Leaf
from gateway.options import Options
from router.access import AccessLevel
from router.model import RouteState
from tests.gateway.running import Running, running
from tests.gateway.talks import error_fields, startup
from tests.peers import (
    DEADLINE,
    GSS_REQUEST,
    SSL_REQUEST,
    Ending,
    TlsPeer,
    plain_to,
    read_exactly,
    read_to_end,
    tls_to,
    trusting,
)
from tests.upstreams import echo, postgres, upstream

BUDGET = 60.0  # seconds: more than any of this takes
HOST = "db.pods.test"


@pytest.fixture
def gateway(leaf: Leaf) -> Iterator[Running]:
    with running([leaf], Options(opening_budget=BUDGET, drain=0)) as gateway:
        yield gateway


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> Path:
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


def conninfo(gateway: Running, ca_file: Path, host: str = HOST, **more: str) -> str:
    given = {
        "host": host, "hostaddr": "127.0.0.1", "port": str(gateway.port), "user": "alice", "dbname": "db",
        "sslmode": "verify-full", "sslrootcert": str(ca_file), "connect_timeout": "60", **more,
    }  # fmt: skip
    return " ".join(f"{key}={value}" for key, value in given.items())


@pytest.mark.parametrize("negotiation", ["postgres", "direct"])
def test_a_query_that_outlives_the_opening_budget_survives(gateway: Running, ca_file: Path, negotiation: str) -> None:
    with upstream(postgres(before_answer=lambda: gateway.hurry(2 * BUDGET))) as server:
        gateway.route(HOST, "postgres", server.address)
        with psycopg.connect(conninfo(gateway, ca_file, sslnegotiation=negotiation), autocommit=True) as connection:
            for _ in range(2):  # what was hurried by the first would have ended it before the second
                assert connection.pgconn.exec_(b"SELECT slow()").status == psycopg.pq.ExecStatus.COMMAND_OK


@pytest.mark.parametrize("said", [b"", SSL_REQUEST[:3], SSL_REQUEST, GSS_REQUEST, b"\x16\x03\x01"])
def test_silence_is_cut_when_the_budget_is_used_up(gateway: Running, said: bytes) -> None:
    with plain_to(gateway.port) as client, plain_to(gateway.port) as other:
        client.sendall(said)
        answer = {SSL_REQUEST: b"S", GSS_REQUEST: b"N"}.get(said, b"")
        assert read_exactly(client, len(answer)) == answer
        gateway.hurry(BUDGET / 2)
        other.sendall(SSL_REQUEST)  # answered after the hurry, and after the first was accepted
        assert other.recv(1) == b"S"
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)
        client.settimeout(DEADLINE)
        gateway.hurry(BUDGET)
        assert read_to_end(client)[0] == b""


def test_a_hello_in_two_records_after_the_ssl_request_is_read(gateway: Running, ca: trustme.CA) -> None:
    with upstream(echo) as server:
        gateway.route(HOST, "tcp", server.address)
        connection = plain_to(gateway.port)
        connection.sendall(SSL_REQUEST)
        assert connection.recv(1) == b"S"
        client = TlsPeer(connection, trusting(ca), HOST)
        hello = client.hello()
        body, half = hello[5:], len(hello) // 2
        for part in (body[:half], body[half:]):
            connection.sendall(hello[:3] + len(part).to_bytes(2, "big") + part)
        client.handshake()
        client.send(startup())
        assert client.receive(len(startup())) == startup()
        client.close()


@pytest.mark.parametrize("request_bytes", [SSL_REQUEST, GSS_REQUEST])
def test_bytes_that_follow_the_request_before_its_answer_end_the_connection(
    gateway: Running, ca: trustme.CA, request_bytes: bytes
) -> None:
    gateway.route(HOST, "postgres", "127.0.0.1:1")
    with plain_to(gateway.port) as connection:
        connection.sendall(request_bytes + TlsPeer(connection, trusting(ca), HOST).hello())
        assert read_to_end(connection)[0] == b""


def test_a_startup_without_tls_is_told_what_to_do(gateway: Running) -> None:
    with plain_to(gateway.port) as connection:
        connection.sendall(startup())
        answer, clean = read_to_end(connection)
    assert clean
    fields = error_fields(answer)
    assert (fields["S"], fields["C"]) == ("FATAL", "28000")
    assert "sslmode=verify-full" in fields["H"]


def test_psql_without_tls_shows_what_to_do(gateway: Running, ca_file: Path) -> None:
    run = subprocess.run(
        ["psql", conninfo(gateway, ca_file, sslmode="disable")], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "this server takes encrypted connections only" in run.stderr


def test_gss_encryption_is_declined_and_tls_goes_on(gateway: Running, ca: trustme.CA) -> None:
    with upstream(echo) as server:
        gateway.route(HOST, "tcp", server.address)
        client = tls_to(gateway.port, trusting(ca), HOST, before=(GSS_REQUEST, SSL_REQUEST))
        client.send(b"inside")
        assert client.receive(6) == b"inside"
        client.close()


@pytest.mark.parametrize("before", [(), (SSL_REQUEST,)], ids=["direct", "starttls"])
def test_a_hello_that_comes_byte_by_byte_is_read(leaf: Leaf, ca: trustme.CA, before: tuple[bytes, ...]) -> None:
    with running([leaf]) as gateway, upstream(echo) as server:
        gateway.route(HOST, "tcp", server.address)
        connection = plain_to(gateway.port)
        for request in before:
            for byte in request:
                connection.sendall(bytes((byte,)))
            assert connection.recv(1) == b"S"
        client = TlsPeer(connection, trusting(ca), HOST)
        for byte in client.hello():
            connection.sendall(bytes((byte,)))
        client.handshake()
        client.end()
        assert client.receive_to_end() == (b"", Ending.GOODBYE)
        client.close()


def test_a_hello_that_stops_halfway_costs_no_cpu(leaf: Leaf, ca: trustme.CA) -> None:
    with running([leaf]) as gateway, plain_to(gateway.port) as connection:
        clock = time.pthread_getcpuclockid(gateway.in_loop(threading.get_ident))
        hello = TlsPeer(connection, trusting(ca), HOST).hello()
        connection.sendall(hello[: len(hello) // 2])
        with plain_to(gateway.port) as other:  # answered after the half hello has been looked at
            other.sendall(SSL_REQUEST)
            assert other.recv(1) == b"S"
        before = time.clock_gettime(clock)
        threading.Event().wait(0.4)  # the measuring window
        assert time.clock_gettime(clock) - before < 0.1


def test_alpn_of_libpq_is_selected(gateway: Running, ca: trustme.CA) -> None:
    with upstream(echo) as server:
        gateway.route(HOST, "postgres", server.address)
        for before in ((), (SSL_REQUEST,)):
            client = tls_to(gateway.port, trusting(ca, alpn=("postgresql",)), HOST, before=before)
            assert client.tls.selected_alpn_protocol() == "postgresql"
            client.close()


# ---- the database, dialled while the client shakes hands


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE)
        yield listener


def greet(gateway: Running, ca: trustme.CA, host: str, alpn: list[str]) -> socket.socket:
    """Send a ClientHello and wait for an answer to it; the handshake stays unfinished."""
    client = plain_to(gateway.port)
    context = trusting(ca)
    if alpn:
        context.set_alpn_protocols(alpn)
    client.sendall(TlsPeer(client, context, host).hello())
    assert client.recv(1)
    return client


@pytest.mark.parametrize(("protocol", "alpn"), [("postgres", ["postgresql"]), ("bolt", [])])
def test_a_public_database_is_dialled_during_the_handshake_and_let_go_if_it_fails(
    gateway: Running, ca: trustme.CA, listening: socket.socket, protocol: str, alpn: list[str]
) -> None:
    host = gateway.route("db", protocol, f"127.0.0.1:{listening.getsockname()[1]}")
    client = greet(gateway, ca, host, alpn)
    with listening.accept()[0] as dialled:
        client.close()
        dialled.settimeout(DEADLINE)
        assert dialled.recv(1) == b""


@pytest.mark.parametrize(
    ("protocol", "alpn", "more"),
    [
        ("postgres", ["postgresql"], {"access": AccessLevel.READ}),
        ("postgres", ["postgresql"], {"ip_allow": (ip_network("192.0.2.0/24"),)}),
        ("postgres", ["postgresql"], {"state": RouteState.STOPPED}),
        ("bolt", [], {"access": AccessLevel.READ}),
        ("bolt", ["http/1.1"], {}),
        ("tcp", [], {}),
    ],
    ids=["closed", "another network", "stopped", "closed graph", "a browser", "any tcp"],
)
def test_others_are_not(
    gateway: Running, ca: trustme.CA, listening: socket.socket, protocol: str, alpn: list[str], more: dict[str, Any]
) -> None:
    host = gateway.route("db", protocol, f"127.0.0.1:{listening.getsockname()[1]}", **more)
    with greet(gateway, ca, host, alpn):
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()
