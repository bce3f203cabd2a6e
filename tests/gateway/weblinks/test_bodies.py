"""Bodies through a whole gateway: large ones, those that nobody takes, and those that are refused; and upgrades."""

import hashlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.relay import BATCH
from router.model import WebRules
from tests.gateway.pods import Pod, Silent, read_head, receive_head, receive_rest
from tests.gateway.running import Running
from tests.gateway.web.site import request
from tests.gateway.weblinks.clients import CHUNKED, HOST, SWITCHING, UPGRADE, links
from tests.peers import CHUNK, DEADLINE, Ending, TlsPeer, pattern, read_exactly, read_to_end
from tests.upstreams import upstream


def test_much_goes_up_and_down_whole_past_a_slow_reader(gateway: Running, client: TlsPeer) -> None:
    size, block = 64 << 20, hashlib.shake_128(b"podgate").digest(1 << 20)
    expected = hashlib.sha256(block * 64).hexdigest()
    taken: list[str] = []

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        digest = hashlib.sha256()
        for _ in range(64):
            digest.update(read_exactly(connection, len(block)))
        taken.append(digest.hexdigest())
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        full.wait(DEADLINE)
        for _ in range(64):
            connection.sendall(block)

    full = threading.Event()
    with upstream(serve) as server:
        gateway.route(HOST, "http", server.address)
        client.send(request(f"Content-Length: {size}", line="POST / HTTP/1.1"))
        for _ in range(64):
            client.send(block)
        receive_head(client)
        full.set()
        (link,) = links(gateway)
        waiting = 0
        for _ in range(64):
            client_part = client.receive(len(block))
            waiting = max(waiting, gateway.in_loop(lambda: len(link.down) + len(link.up)))
            assert client_part == block
    assert taken == [expected]
    assert waiting <= BATCH


def test_an_upload_that_nobody_takes_waits_in_one_batch(gateway: Running, client: TlsPeer) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        begun.set()
        go_on.wait(DEADLINE)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(read_to_end, connection).result(DEADLINE)

    with upstream(serve) as server:
        gateway.route(HOST, "http", server.address)
        client.send(CHUNKED + b"ffffffff\r\n")
        plain = client.records(bytes(1 << 20))
        client.socket.setblocking(False)
        try:
            for _ in range(64):
                client.socket.sendall(plain)
        except BlockingIOError:
            pass
        client.socket.settimeout(DEADLINE)
        assert begun.wait(DEADLINE)
        (link,) = links(gateway)
        assert gateway.in_loop(lambda: len(link.up)) <= BATCH
        go_on.set()
        client.reset()


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"z\r\n", 400), (b"3\r\nabcX\r\n", 400), (b"800\r\n" + b"x" * 2048 + b"\r\n", 413)],
    ids=["no size", "longer than its size", "too large"],
)
@pytest.mark.parametrize("together", [True, False], ids=["with the head", "later"])
def test_a_body_that_is_refused_is_told_why(
    gateway: Running, client: TlsPeer, body: bytes, status: int, together: bool
) -> None:
    pod = Silent()
    with upstream(pod) as server:
        gateway.route(HOST, "http", server.address, web=WebRules(largest_body=1000))
        client.send(CHUNKED + body if together else CHUNKED)
        if not together:
            assert pod.asked.wait(DEADLINE)
            client.send(body)
        assert receive_rest(client) == (status, Ending.GOODBYE)


# ---- upgrades


def test_an_upgraded_connection_echoes(gateway: Running, client: TlsPeer) -> None:
    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(SWITCHING + b"hello")
        while data := connection.recv(CHUNK):
            connection.sendall(data)

    with upstream(serve) as server:
        gateway.route(HOST, "http", server.address)
        client.send(UPGRADE + b"early")
        assert receive_head(client).startswith(b"HTTP/1.1 101 ")
        assert client.receive(10) == b"helloearly"
        for size in (1, 1000, 100_000):
            client.send(pattern(size))
            assert client.receive(size) == pattern(size)
        client.end()
        assert client.receive_to_end() == (b"", Ending.GOODBYE)


def test_after_a_declined_upgrade_the_clients_bytes_go_nowhere(gateway: Running, client: TlsPeer) -> None:
    pod = Pod()
    with upstream(pod) as server:
        gateway.route(HOST, "http", server.address)
        client.send(UPGRADE + request(line="GET /smuggled HTTP/1.1", host="other.pods.test"))
        assert receive_rest(client) == (200, Ending.GOODBYE)
        client.close()
        assert pod.wait_for_end()
    assert b"smuggled" not in pod.received
