"""Connections in memory, for virtual time: with sockets a clock that jumps ahead would leave the kernel behind."""

from collections.abc import Iterable

import httpcore
import httpx
import pytest
import trio
from trio.testing import memory_stream_pair

from controller.runtimes.kubernetes import client
from tests.controller.runtimes.kubernetes.apiserver import ApiServer


class InMemory(httpcore.AsyncNetworkBackend):
    """Connects whoever asks to one double of an API server, unless it is away."""

    def __init__(self, api: ApiServer, nursery: trio.Nursery) -> None:
        self.away = False
        self.attempts: list[float] = []  # when somebody connected
        self._api = api
        self._theirs: list[trio.abc.Stream] = []
        self._ours: list[_Stream] = []
        self._nursery = nursery

    async def vanish(self) -> None:
        """Break all connections, and take no new ones."""
        self.away = True
        for stream in self._theirs:
            await stream.aclose()

    def left_open(self) -> int:
        """Count the connections that their client has not closed."""
        return sum(stream.open for stream in self._ours)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        await trio.lowlevel.checkpoint()
        self.attempts.append(trio.current_time())
        if self.away:
            raise httpcore.ConnectError("[Errno 111] Connection refused")
        ours, theirs = memory_stream_pair()
        self._theirs.append(theirs)
        self._nursery.start_soon(self._api.converse, theirs)
        self._ours.append(_Stream(ours))
        return self._ours[-1]


class _Stream(httpcore.AsyncNetworkStream):
    """A stream of trio's, as httpcore wants it."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.open = True
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        try:
            with trio.fail_after(_seconds(timeout)):
                return bytes(await self._stream.receive_some(max_bytes))
        except trio.TooSlowError:
            raise httpcore.ReadTimeout from None
        except trio.BrokenResourceError as error:
            raise httpcore.ReadError from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        try:
            with trio.fail_after(_seconds(timeout)):
                await self._stream.send_all(buffer)
        except trio.TooSlowError:
            raise httpcore.WriteTimeout from None
        except trio.BrokenResourceError as error:
            raise httpcore.WriteError from error

    async def aclose(self) -> None:
        self.open = False
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> object:
        return None  # of a socket, which it is not


def _seconds(timeout: float | None) -> float:
    return float("inf") if timeout is None else timeout


def connect(monkeypatch: pytest.MonkeyPatch, backend: InMemory) -> None:
    """Have every `Cluster` made from now on use connections of `backend`."""

    def transport(_access: object) -> httpx.AsyncHTTPTransport:
        made = httpx.AsyncHTTPTransport()
        made._pool = httpcore.AsyncConnectionPool(network_backend=backend, max_connections=64)
        return made

    monkeypatch.setattr(client, "transport_to", transport)
