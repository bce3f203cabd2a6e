"""The console on a real TLS port, for a real browser."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState
from hypercorn.utils import wrap_app


@asynccontextmanager
async def serving(app: object, trust: ssl.SSLContext, port: int) -> AsyncIterator[None]:
    """Serve `app` at 127.0.0.1."""
    config = Config()
    wrapped = wrap_app(cast("ASGIFramework", app), config.wsgi_max_body_size, "asgi")
    context = WorkerContext(None)

    async def handle(stream: trio.SSLStream[trio.SocketStream]) -> None:
        await TCPServer(wrapped, config, context, ConnectionState({}), stream).run()

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_ssl_over_tcp_listeners(port, trust, host="127.0.0.1", https_compatible=True)
        nursery.start_soon(trio.serve_listeners, handle, listeners)
        yield
        nursery.cancel_scope.cancel()
