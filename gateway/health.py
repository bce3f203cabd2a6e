"""Health: plain HTTP for balancers and orchestrators, on an address of its own that strangers need not reach.

    GET /ready    200 while new connections are welcome, else 503 and why not; a drain says so before it begins
    GET /serving  the same, but 200 until a drain has begun: for a cluster, whose Services know by themselves who leaves
    GET /live     200 as long as the supervisor answers at all
    GET /metrics  numbers for Prometheus (`gateway.metrics`)

One request a connection, read as far as its path. It tells nothing but this, and asks for no token: let only those
reach it who look after the gateway.
"""

from typing import NamedTuple, Protocol

import trio

from gateway.accepting import accepted
from gateway.listening import listen
from gateway.metrics import CONTENT_TYPE, Page

LARGEST_HEAD = 4096  # bytes of a request's head: probes send a few hundred
PATIENCE = 5.0  # seconds for a request to come and its answer to be taken
MOST_CONNECTIONS = 64  # at once; for a further one that which came first is closed: a probe has asked by then
_END = b"\r\n\r\n"
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


class WhyNot(Protocol):
    """Gives a sentence, or nothing while all is well."""

    def __call__(self, *, but_leaving: bool = False) -> str:
        """`but_leaving`: for another reason than that it will drain."""


class Health:
    """The endpoint of one replica."""

    def __init__(self, place: tuple[str, int], why_not_ready: WhyNot, metrics: Page) -> None:
        """Listen at `place`. Raises CannotListen."""
        self._listener = listen(*place, 1)[0]
        self._why_not_ready = why_not_ready
        self._metrics = metrics
        self._served: dict[trio.CancelScope, None] = {}  # by when they came
        self.address: tuple[str, int] = self._listener.getsockname()[:2]

    async def serve(self) -> None:
        """Answer until cancelled."""
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(self._listener))
        async with trio.open_nursery() as nursery, listener:
            while True:
                stream = await accepted(listener, "health")
                if len(self._served) >= MOST_CONNECTIONS:
                    self._end(next(iter(self._served)))
                limit = trio.CancelScope(deadline=trio.current_time() + PATIENCE)
                self._served[limit] = None
                nursery.start_soon(self._serve_one, stream, limit)

    def _end(self, limit: trio.CancelScope) -> None:
        limit.cancel()
        self._served.pop(limit, None)

    async def _serve_one(self, stream: trio.SocketStream, limit: trio.CancelScope) -> None:
        try:
            with limit:
                async with stream:
                    head = await _receive_head(stream)
                    if head:
                        await stream.send_all(answer(head, self._why_not_ready, self._metrics))
                        await stream.send_eof()
                        await stream.receive_some()  # its end: an unread byte would make ours a reset
        except trio.BrokenResourceError:
            pass  # it has left
        finally:
            self._end(limit)


async def _receive_head(stream: trio.SocketStream) -> bytes:
    """Receive a request's head, or as much of it as may be; nothing if it never ends."""
    head = b""
    while _END not in head and len(head) < LARGEST_HEAD:
        part = await stream.receive_some(LARGEST_HEAD - len(head))
        if not part:
            return b""
        head += part
    return head


class _Told(NamedTuple):
    status: int
    data: bytes
    kind: str = "text/plain; charset=utf-8"


def answer(head: bytes, why_not_ready: WhyNot, metrics: Page) -> bytes:
    """Give the answer to a request."""
    words = head.partition(b"\r\n")[0].split(b" ")
    if _END not in head or len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        return _written(_line(400, "expected a request of HTTP/1.1"))
    method, target, _version = words
    if method not in (b"GET", b"HEAD"):
        return _written(_line(405, "expected GET or HEAD"))
    return _written(_judge(target.partition(b"?")[0], why_not_ready, metrics), body=method == b"GET")


def _judge(path: bytes, why_not_ready: WhyNot, metrics: Page) -> _Told:
    match path:
        case b"/live":
            return _line(200, "live")
        case b"/ready":
            reason = why_not_ready()
            return _line(503, reason) if reason else _line(200, "ready")
        case b"/serving":
            reason = why_not_ready(but_leaving=True)
            return _line(503, reason) if reason else _line(200, "serving")
        case b"/metrics":
            return _Told(200, metrics.write(), CONTENT_TYPE)
    return _line(404, "there are /ready, /serving, /live and /metrics")


def _line(status: int, text: str) -> _Told:
    return _Told(status, f"{text}\n".encode())


def _written(told: _Told, *, body: bool = True) -> bytes:
    allow = "Allow: GET, HEAD\r\n" if told.status == 405 else ""
    head = (
        f"HTTP/1.1 {told.status} {_REASONS[told.status]}\r\nContent-Type: {told.kind}\r\n"
        f"Content-Length: {len(told.data)}\r\nCache-Control: no-store\r\n{allow}Connection: close\r\n\r\n"
    )
    return head.encode() + (told.data if body else b"")
