"""A shortage of descriptors is waited out: who is queued meanwhile is served when it is over."""

import contextlib
import logging
import os
import resource
from collections.abc import Iterator

import pytest
import trio

from gateway.accepting import accepted


@contextlib.contextmanager
def no_descriptor_left(one: int) -> Iterator[None]:
    """Have no descriptor to be had while the block runs; `one` is copied to that end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    copies = [os.dup(one)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (copies[0] + 1, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                copies.append(os.dup(one))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for copy in copies:
            os.close(copy)


async def test_a_shortage_is_told_and_waited_out(caplog: pytest.LogCaptureFixture) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        client = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
        with caplog.at_level(logging.ERROR), no_descriptor_left(listener.socket.fileno()):
            with trio.move_on_after(0.2):
                await accepted(listener, "somebody")
        assert "somebody: cannot take a connection: Too many open files" in caplog.text
        async with client, await accepted(listener, "somebody") as stream:
            await client.send_all(b"served")
            assert await stream.receive_some() == b"served"
