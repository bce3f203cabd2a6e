"""What load/connect.c says, and which answers it takes for right: against real gateways and servers of the tests."""

import itertools
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.http import BODY
from bench.load.build import build
from bench.load.driver import Load, LoadFailed
from bench.missing import Missing
from certs.leaf import Leaf
from gateway.options import Options
from tests.gateway.running import Running, running
from tests.upstreams import Serve, postgres, upstream

HOST = "db.pods.test"
WARM_UP = 20  # connections that load/connect.c makes before it measures
REQUEST = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tools")
    try:
        build(directory)
    except Missing as missing:
        pytest.skip(str(missing))
    return directory


@pytest.fixture
def gateway(leaf: Leaf) -> Iterator[Running]:
    with running([leaf]) as gateway:
        yield gateway


def arrive(tools: Path, port: int, name: str, *speech: str, shape: str = "burst", count: int = 20) -> dict[str, Any]:
    command = [str(tools / "connect"), str(port), name, "full", shape, str(count), "0.5", *speech]
    with Load(command) as load:
        load.await_ready()
        load.tell()
        return load.result()


def http(status: bytes, body: bytes) -> Serve:
    def serve(connection: socket.socket) -> None:
        heard = b""
        while not heard.endswith(b"\r\n\r\n"):
            if not (data := connection.recv(1000)):
                return
            heard += data
        head = b"HTTP/1.1 " + status + b"\r\nContent-Length: %d\r\n\r\n" % len(body)
        for byte in head + body:
            connection.sendall(bytes([byte]))

    return serve


@pytest.mark.parametrize(("speech", "name"), [("postgres", HOST), ("postgres-direct", HOST), ("postgres", "-")])
def test_postgres_is_spoken_by_starttls_direct_tls_and_without(
    tools: Path, gateway: Running, speech: str, name: str
) -> None:
    with upstream(postgres()) as server:
        gateway.route(HOST, "postgres", server.address)
        found = arrive(tools, server.port if name == "-" else gateway.port, name, speech, "bench")
    assert (found["count"], found["failed"], found["within"]) == (20, 0, [20, 20])


def test_connections_come_at_a_rate(tools: Path, gateway: Running) -> None:
    with upstream(postgres()) as server:
        gateway.route(HOST, "postgres", server.address)
        found = arrive(tools, gateway.port, HOST, "postgres", "bench", shape="rate", count=40)
    assert (found["count"], found["failed"]) == (20, 0)


def test_http_is_spoken(tools: Path, gateway: Running) -> None:
    with upstream(http(b"200 OK", BODY.encode())) as server:
        gateway.route(HOST, "http", server.address)
        found = arrive(tools, gateway.port, HOST, "http", REQUEST)
    assert (found["count"], found["failed"]) == (20, 0)


@pytest.mark.parametrize(
    ("status", "body"), [(b"503 No", BODY.encode()), (b"200 OK", b"something else"), (b"200", b"")]
)
def test_a_wrong_answer_is_none(tools: Path, status: bytes, body: bytes) -> None:
    with upstream(http(status, body)) as server, pytest.raises(LoadFailed, match="were not answered"):
        arrive(tools, server.port, "-", "http", REQUEST)


def test_who_is_slower_than_a_second_is_not_within_it(tools: Path) -> None:
    numbers, quick, slow = itertools.count(), postgres(), postgres(before_answer=lambda: threading.Event().wait(1.1))
    with upstream(lambda one: (quick if next(numbers) < WARM_UP else slow)(one)) as server:
        found = arrive(tools, server.port, "-", "postgres", "bench", count=5)
    assert (found["count"], found["failed"], found["within"]) == (5, 0, [0, 5])


def test_who_is_dropped_early_has_failed(tools: Path, leaf: Leaf) -> None:
    dropping = Options(early_drop="2:100:2", drain=0)
    with upstream(postgres()) as server, running([leaf], dropping) as gateway:
        gateway.route(HOST, "postgres", server.address)
        found = arrive(tools, gateway.port, HOST, "postgres", "bench", count=200)
    assert found["count"] + found["failed"] == 200
    assert found["count"] >= 1
    assert found["failed"] >= 1
