"""Pods of the web that fail, grow stale or move, and what their clients are told."""

import socket
import threading

import pytest

from tests.gateway.pods import OK, Pod, answering, read_head, receive_head, receive_response, receive_rest
from tests.gateway.running import Running
from tests.gateway.web.site import request
from tests.gateway.weblinks.clients import GET, HOST, SECOND
from tests.peers import DEADLINE, Ending, TlsPeer, read_to_end, reset
from tests.upstreams import upstream


@pytest.mark.parametrize(
    "part",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ],
)
@pytest.mark.parametrize("end", ["fin", "reset"])
def test_half_an_answer_is_not_taken_for_a_whole_one(gateway: Running, client: TlsPeer, part: bytes, end: str) -> None:
    taken = threading.Event()

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(part)
        taken.wait(DEADLINE)
        if end == "reset":
            reset(connection)

    with upstream(serve) as server:
        gateway.route(HOST, "http", server.address)
        client.send(GET)
        head = receive_head(client)
        assert head.startswith(b"HTTP/1.1 200 ")
        client.receive(4)
        taken.set()
        assert client.receive_to_end()[1] is not Ending.GOODBYE


def test_a_reset_is_no_good_end_of_an_answer_that_lasts_until_the_close(gateway: Running, client: TlsPeer) -> None:
    taken = threading.Event()

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        taken.wait(DEADLINE)
        reset(connection)

    with upstream(serve) as server:
        gateway.route(HOST, "http", server.address)
        client.send(GET)
        receive_head(client)
        assert client.receive(4) == b"half"
        taken.set()
        assert client.receive_to_end()[1] is not Ending.GOODBYE


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 O", b"garbage\r\n\r\n", b"HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\n"],
    ids=["nothing", "half a head", "garbage", "contradiction"],
)
def test_a_pod_that_gives_no_answer_is_a_bad_gateway(gateway: Running, client: TlsPeer, answer: bytes) -> None:
    with upstream(answering(answer)) as server:
        gateway.route(HOST, "http", server.address)
        client.send(GET)
        assert receive_rest(client) == (502, Ending.GOODBYE)


def test_a_stale_connection_costs_nobody_an_answer(gateway: Running, client: TlsPeer) -> None:
    """The pod takes the second request and ends: nobody knows whether it has seen it."""

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(OK)
        if first.acquire(blocking=False):
            read_head(connection)
            return
        read_to_end(connection)

    first = threading.Semaphore(1)
    with upstream(serve) as server:
        gateway.route(HOST, "http", server.address)
        client.send(GET)
        assert receive_response(client) == (200, b"ok")
        client.send(SECOND)
        assert receive_response(client) == (200, b"ok")
        assert server.accepted == 2


def test_a_pod_that_was_restarted_on_another_port_answers_the_next_request(gateway: Running, client: TlsPeer) -> None:
    old, new = Pod(), Pod(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew")
    with upstream(old) as first, upstream(new) as second:
        gateway.route(HOST, "http", first.address)
        client.send(GET)
        assert receive_response(client) == (200, b"ok")
        gateway.route(HOST, "http", second.address)
        client.send(SECOND)
        assert receive_response(client) == (200, b"new")
        assert old.wait_for_end()
        client.send(SECOND)
        assert receive_response(client) == (200, b"new")
        assert second.accepted == 1


def test_bytes_that_come_together_with_the_end_of_the_pod_are_not_lost(gateway: Running, client: TlsPeer) -> None:
    """The client's are read first, and then the pod's end gives the connection back, in one turn of the loop."""
    two, ended = threading.Event(), threading.Event()

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(OK)
        if not first.acquire(blocking=False):
            read_head(connection)
            connection.sendall(OK)
            read_to_end(connection)
            return
        read_head(connection)
        two.set()
        blocked.wait(DEADLINE)
        connection.shutdown(socket.SHUT_WR)
        ended.set()
        read_to_end(connection)

    first, blocked, go_on = threading.Semaphore(1), threading.Event(), threading.Event()
    with upstream(serve) as server:
        gateway.route(HOST, "http", server.address)
        client.send(GET)
        assert receive_response(client) == (200, b"ok")
        client.send(SECOND)
        assert two.wait(DEADLINE)
        holding = threading.Event()

        def hold() -> None:
            holding.set()
            go_on.wait(DEADLINE)

        gateway.services.loop.call(hold)
        assert holding.wait(DEADLINE)
        client.send(request(line="GET /three HTTP/1.1"))
        blocked.set()
        assert ended.wait(DEADLINE)
        go_on.set()
        assert receive_response(client) == (200, b"ok")
        assert receive_response(client) == (200, b"ok")
