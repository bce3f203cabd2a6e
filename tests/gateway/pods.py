"""Pods that speak HTTP, as upstreams for tests, and clients' side of one response."""

import contextlib
import socket
import threading
from collections.abc import Callable

import h11

from tests.peers import CHUNK, DEADLINE, Ending, TlsPeer, read_to_end

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def read_head(connection: socket.socket) -> bytes:
    """Read to the end of a head, a byte at a time so that nothing behind it is taken; empty when there is none."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        part = connection.recv(1)
        if not part:
            return b""
        head += part
    return head


def answering(*answers: bytes) -> Callable[[socket.socket], None]:
    """Make a server that gives each connection these answers, one for each head, and ends then."""

    def serve(connection: socket.socket) -> None:
        for answer in answers:
            if not read_head(connection):
                return
            connection.sendall(answer)

    return serve


class Silent:
    """A server that reads one head of each connection, tells the test that it has it, and answers nothing."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    def __call__(self, connection: socket.socket) -> None:
        read_head(connection)
        self.asked.set()
        read_to_end(connection)


class Pod:
    """A server that writes down every byte it gets and every request h11 sees in them, and answers each with `ok`."""

    def __init__(self, answer: bytes = OK) -> None:
        self.received = bytearray()
        self.requests: list[tuple[bytes, bytes, bytes]] = []  # method, target, body
        self.heads: list[dict[bytes, bytes]] = []
        self.ended = threading.Semaphore(0)  # released for each connection that has ended
        self._answer = answer

    def __call__(self, connection: socket.socket) -> None:
        try:
            self._serve(connection)
        finally:
            self.ended.release()

    def _serve(self, connection: socket.socket) -> None:
        server, body = h11.Connection(h11.SERVER, 1 << 20), b""
        while data := connection.recv(CHUNK):
            self.received += data
            server.receive_data(data)
            while True:
                event = server.next_event()
                if event is h11.NEED_DATA or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                    break
                if isinstance(event, h11.Request):
                    self.requests.append((bytes(event.method), bytes(event.target), b""))
                    self.heads.append(dict(event.headers))
                    body = b""
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    self.requests[-1] = (*self.requests[-1][:2], body)
                    connection.sendall(self._answer)
                    server.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                    server.send(h11.EndOfMessage())
                    if server.our_state is h11.MUST_CLOSE:
                        return
                    server.start_next_cycle()

    def wait_for_end(self, seconds: float = DEADLINE) -> bool:
        return self.ended.acquire(timeout=seconds)


def receive_head(client: TlsPeer) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += client.receive(1)
    return head


def receive_response(client: TlsPeer) -> tuple[int, bytes]:
    """Receive one response that says how long it is; give its status and its body."""
    head = receive_head(client)
    length = next(
        (int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
    )
    return int(head.split(b" ", 2)[1]), client.receive(length)


def receive_rest(client: TlsPeer) -> tuple[int, Ending]:
    """Receive the last response; give its status, 0 if there is none, and how the connection ended."""
    with contextlib.suppress(TimeoutError):
        data, ending = client.receive_to_end()
        return (int(data.split(b" ", 2)[1]) if data else 0), ending
    raise AssertionError("the connection did not end")
