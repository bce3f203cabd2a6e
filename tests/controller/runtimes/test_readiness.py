"""Only a usable server's answer counts as ready, whatever else is there."""

import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest
import trio
import trio.testing

from controller.runtimes.readiness import PROBE_TIME, Check, answers, until_ready


def postgres_error(code: str) -> bytes:
    fields = b"SFATAL\0C" + code.encode() + b"\0Mno\0\0"
    return b"E" + struct.pack(">I", len(fields) + 4) + fields


async def answer_once(stream: trio.SocketStream, answer: bytes, pieces: int) -> None:
    async with stream:
        await stream.receive_some(1)
        for start in range(0, len(answer), max(1, len(answer) // pieces)):
            await stream.send_all(answer[start : start + max(1, len(answer) // pieces)])
            await trio.testing.wait_all_tasks_blocked()
        await stream.send_eof()


@pytest.fixture
async def serve(nursery: trio.Nursery) -> AsyncIterator[Callable[..., Awaitable[str]]]:
    async def begin(answer: bytes, pieces: int = 1) -> str:
        handler = partial(answer_once, answer=answer, pieces=pieces)
        (listener,) = await nursery.start(partial(trio.serve_tcp, handler, 0, host="127.0.0.1"))
        return f"127.0.0.1:{listener.socket.getsockname()[1]}"

    yield begin
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("pieces", [1, 4])
@pytest.mark.parametrize(
    ("protocol", "path", "answer", "ready"),
    [
        ("postgres", "", b"R\0\0\0\x08\0\0\0\x0a", True),
        ("postgres", "", postgres_error("57P03"), False),
        ("postgres", "", postgres_error("53300"), True),  # full, therefore up
        ("postgres", "", b"", False),
        ("postgres", "", b"HTTP/1.1 400 Bad Request\r\n\r\n", False),
        ("bolt", "", b"\0\0\x04\x05", True),
        ("bolt", "", b"\0\0\0\0", False),  # speaks Bolt, but no version we named
        ("bolt", "", b"\0\0", False),
        ("bolt", "", b"HTTP/1.1 400 Bad Request\r\n\r\n", False),
        ("http", "", b"HTTP/1.1 404 Not Found\r\n\r\n", True),
        ("http", "", b"HTTP/1.0 200 OK\r\n\r\n", True),
        ("http", "", b"SSH-2.0-OpenSSH_9.2\r\n", False),
        ("http", "/ready", b"HTTP/1.1 204 No Content\r\n\r\n", True),
        ("http", "/ready", b"HTTP/1.1 503 Service Unavailable\r\n\r\n", False),
        ("tcp", "", b"", True),
    ],
)
async def test_answers(
    serve: Callable[..., Awaitable[str]], protocol: str, path: str, answer: bytes, ready: bool, pieces: int
) -> None:
    assert await answers(Check(protocol, await serve(answer, pieces), path)) is ready


@pytest.mark.parametrize("protocol", ["postgres", "bolt", "http", "tcp"])
async def test_nobody_there_is_not_ready(protocol: str) -> None:
    assert not await answers(Check(protocol, "unix:/nonexistent/socket"))


async def test_a_server_that_says_nothing_holds_a_probe_only_so_long(autojump_clock: trio.testing.MockClock) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        before = trio.current_time()
        assert not await answers(Check("http", f"127.0.0.1:{listener.socket.getsockname()[1]}"))
        assert trio.current_time() - before == pytest.approx(PROBE_TIME)


async def test_every_check_must_be_answered(serve: Callable[..., Awaitable[str]]) -> None:
    good = Check("http", await serve(b"HTTP/1.1 200 OK\r\n\r\n"))
    bad = Check("http", await serve(b"HTTP/1.1 503 Not yet\r\n\r\n"), "/ready")
    await until_ready((good,))
    with trio.move_on_after(0.3) as scope:
        await until_ready((good, bad))
    assert scope.cancelled_caught
