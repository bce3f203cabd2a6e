"""Serving the API on its unix socket, by Hypercorn's trio worker.

Hypercorn sends without a time limit, shielded from cancellation: a peer that takes nothing would hold its connection,
and the end of the controller, for ever. The streams given to it here therefore give up by themselves.
"""

import logging
import math
import os
import resource
import socket
from functools import partial
from pathlib import Path
from typing import cast

import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState
from hypercorn.utils import wrap_app
from starlette.types import ASGIApp

from router.routedocument import LONGEST_SOCKET_PATH

SEND_LIMIT = 3.0  # seconds a peer may leave all that we send untouched
SEND_PIECE = 64 * 1024  # bytes sent under one limit: a slow peer has time for each piece of a large snapshot
KEEP_ALIVE = 60.0  # seconds an idle connection is kept
END_LIMIT = 1.0  # seconds given to the requests that are being answered when the controller ends
BACKLOG = 512

log = logging.getLogger("controller.api")


class SocketProblem(Exception):
    """The socket cannot be made; the text says why and what to do."""


class PatientStream(trio.abc.HalfCloseableStream):
    """A connection whose peer has to take what is sent, `SEND_LIMIT` seconds for each piece at the most."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.socket = stream.socket
        self._stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, or give the connection up."""
        for begin in range(0, len(data), SEND_PIECE):
            with trio.move_on_after(SEND_LIMIT) as limit:
                await self._stream.send_all(memoryview(data)[begin : begin + SEND_PIECE])
            if limit.cancelled_caught:
                raise trio.BrokenResourceError("the peer takes nothing")

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room to send."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive what is there."""
        return await self._stream.receive_some(max_bytes)

    async def send_eof(self) -> None:
        """Say that no more is sent."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()


def listen(path: Path) -> trio.SocketListener:
    """Make the socket, for its owner alone from the first moment; the caller holds the home. Raises SocketProblem."""
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise SocketProblem(
            f"api: the path {path} is longer than the {LONGEST_SOCKET_PATH} bytes a unix socket may have; "
            "choose a shorter home with --home"
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        if path.is_socket() or path.is_symlink():
            path.unlink()  # left by an earlier life: the lock of the home tells that it is over
        listener.bind(os.fspath(path))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise SocketProblem(f"api: {path} cannot be made: {error.strerror}; move away what is there") from error
    finally:
        os.umask(mask)
    return trio.SocketListener(trio.socket.from_stdlib_socket(listener))


def most_strangers() -> int:
    """Tell how many connections strangers may hold: a quarter of our descriptors, read when we start."""
    return max(8, min(256, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4))


async def serve(app: ASGIApp, listener: trio.SocketListener, ending: trio.Event, most: float = math.inf) -> None:
    """Serve `most` connections at once until `ending`; then accept no more, and give answers `END_LIMIT` seconds."""
    room = trio.CapacityLimiter(most)
    config = _config()
    context = WorkerContext(None)
    wrapped = wrap_app(cast("ASGIFramework", app), config.wsgi_max_body_size, "asgi")

    async def handle(stream: trio.SocketStream) -> None:
        patient = cast("trio.SSLStream[trio.SocketStream]", PatientStream(stream))
        try:
            room.acquire_nowait()
        except trio.WouldBlock:  # the gateway tells its client
            await stream.aclose()
            return
        try:
            await TCPServer(wrapped, config, context, ConnectionState({}), patient).run()
        finally:
            room.release()

    async with trio.open_nursery() as connections:
        async with trio.open_nursery() as accepting:
            accepting.start_soon(partial(trio.serve_listeners, handle, [listener], handler_nursery=connections))
            await ending.wait()
            accepting.cancel_scope.cancel()
        await context.terminated.set()
        connections.cancel_scope.deadline = trio.current_time() + END_LIMIT


def _config() -> Config:
    config = Config()
    config.errorlog = log
    config.accesslog = None
    config.include_server_header = False
    config.keep_alive_timeout = KEEP_ALIVE
    return config
