"""Real upstreams for tests: TCP servers on loopback that do as they are told, with a thread for each connection."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from tests.peers import CHUNK, DEADLINE, read_exactly

Serve = Callable[[socket.socket], None]


def echo(connection: socket.socket) -> None:
    """Send back whatever comes, and end when the other side does."""
    while data := connection.recv(CHUNK):
        connection.sendall(data)


def greet(connection: socket.socket) -> None:
    """Speak first, then echo."""
    connection.sendall(b"welcome\n")
    echo(connection)


def answer_http(connection: socket.socket) -> None:
    """Answer each request head with its own bytes as the body."""
    head = b""
    while data := connection.recv(CHUNK):
        head += data
        if head.endswith(b"\r\n\r\n"):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(head) + head)
            head = b""


class Upstream:
    """A TCP server on loopback with a thread for each connection."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0
        self._served: list[tuple[socket.socket, threading.Thread]] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(DEADLINE)
        self._listener.close()
        for connection, thread in self._served:
            with contextlib.suppress(OSError):  # it has ended by itself
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(DEADLINE)

    def wait_until_idle(self) -> None:
        """Wait until the connections it has accepted have ended."""
        for _, thread in tuple(self._served):
            thread.join(DEADLINE)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            self.accepted += 1
            thread = threading.Thread(target=self._run, args=(connection,), daemon=True)
            thread.start()  # first: whoever waits for those that are served joins them
            self._served.append((connection, thread))

    def _run(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._serve(connection)


@contextlib.contextmanager
def upstream(serve: Serve) -> Iterator[Upstream]:
    """Run a server that treats each connection by `serve`."""
    server = Upstream(serve)
    try:
        yield server
    finally:
        server.close()


def postgres(before_answer: Callable[[], object] = lambda: None) -> Serve:
    """Make a server that speaks as much Postgres as a client needs to connect, and does that before each answer."""

    def message(kind: bytes, body: bytes) -> bytes:
        return kind + (4 + len(body)).to_bytes(4, "big") + body

    ready = message(b"Z", b"I")
    welcome = message(b"R", bytes(4)) + message(b"S", b"server_version\x0018.0\0") + ready

    def serve(connection: socket.socket) -> None:
        size = int.from_bytes(read_exactly(connection, 4), "big")
        read_exactly(connection, size - 4)
        connection.sendall(welcome)
        while (kind := connection.recv(1)) == b"Q":
            read_exactly(connection, int.from_bytes(read_exactly(connection, 4), "big") - 4)
            before_answer()
            connection.sendall(message(b"C", b"SET\0") + ready)
        assert kind in (b"X", b"")

    return serve
