"""How connections of the web end: after the last answer, with an early one, and with a bad request."""

import socket
import threading

import pytest

from tests.gateway.pods import OK, Silent, read_head, receive_response, receive_rest
from tests.gateway.running import Running
from tests.gateway.web.site import request
from tests.gateway.weblinks.clients import GET, HOST, hear_at_once
from tests.peers import CHUNK, DEADLINE, Ending, TlsPeer, pattern, read_to_end
from tests.upstreams import upstream


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (request("Connection: close"), OK),
        (GET, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"),
        (request(line="GET / HTTP/1.0"), OK),
        (GET, b"HTTP/1.1 200 OK\r\n\r\nok"),
    ],
    ids=["client", "pod", "old client", "until close"],
)
def test_after_the_last_answer_nothing_stays_open(
    gateway: Running, client: TlsPeer, sent: bytes, answer: bytes
) -> None:
    ended = threading.Event()

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(answer)
        if b"Content-Length" not in answer:
            connection.shutdown(socket.SHUT_WR)
        connection.recv(1)
        ended.set()

    with upstream(serve) as server:
        gateway.route(HOST, "http", server.address)
        client.send(sent)
        assert receive_rest(client) == (200, Ending.GOODBYE)
        client.end()
        client.close()
        assert ended.wait(DEADLINE), "the pod's connection is kept open for a client that has gone"


def test_an_early_answer_reaches_a_client_that_is_still_uploading(gateway: Running, client: TlsPeer) -> None:
    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
        connection.shutdown(socket.SHUT_WR)
        read_to_end(connection)

    with upstream(serve) as server:
        gateway.route(HOST, "http", server.address)
        client.send(request(f"Content-Length: {64 << 20}", line="POST / HTTP/1.1"))
        for start in range(0, 4 << 20, CHUNK):
            client.send(pattern(CHUNK, start))
        assert receive_rest(client) == (413, Ending.GOODBYE)


@pytest.mark.parametrize("up_first", [True, False])
def test_an_early_answer_that_comes_with_more_of_the_request_is_not_lost(
    gateway: Running, client: TlsPeer, *, up_first: bool
) -> None:
    pod = Silent()
    with upstream(pod) as server:
        gateway.route(HOST, "http", server.address)
        client.send(request("Content-Length: 9", line="POST / HTTP/1.1"))
        assert pod.asked.wait(DEADLINE)
        early = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"
        hear_at_once(gateway, b"some", early, up_first=up_first)
        assert receive_rest(client) == (413, Ending.GOODBYE)


@pytest.mark.parametrize("up_first", [True, False])
def test_an_answer_that_comes_with_a_bad_request_is_not_lost(
    gateway: Running, client: TlsPeer, *, up_first: bool
) -> None:
    pod = Silent()
    with upstream(pod) as server:
        gateway.route(HOST, "http", server.address)
        client.send(GET)
        assert pod.asked.wait(DEADLINE)
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        hear_at_once(gateway, b"\0\r\n\r\n", answer, up_first=up_first)
        assert receive_response(client) == (200, b"ok")
        assert receive_rest(client) == (400, Ending.GOODBYE)
