"""The HTTP of the double of a Kubernetes API server (`apiserver.py`): requests read, answers given, whole or in pieces,
and faults in place of them.
"""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

import h11
import trio


@dataclass
class Fault:
    """What is answered to the next request that fits, in place of the truth."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "GET"
    part: str = ""  # of the path and query
    cut: bool = False  # the connection is broken instead of ending the answer
    hang: bool = False  # nothing more comes, and it stays open
    after: int = 0  # requests that fit and are answered truly before


async def read_request(wire: h11.Connection, stream: trio.abc.Stream) -> tuple[h11.Request | None, bytes]:
    head, body = None, b""
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            wire.receive_data(bytes(await stream.receive_some(65536)))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return head, body
        else:
            return None, b""


async def send(wire: h11.Connection, stream: trio.abc.Stream, status: int, body: bytes) -> None:
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    await put(wire, stream, h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage())


async def send_pieces(
    wire: h11.Connection, stream: trio.abc.Stream, pieces: AsyncGenerator[bytes], ending: trio.Event, pace: float
) -> None:
    """Answer by pieces, as they come, until they end or nobody reads them any more."""
    async with aclosing(pieces):
        first = await anext(pieces)
        await put(wire, stream, h11.Response(status_code=200, headers=[("Transfer-Encoding", "chunked")]))
        ended = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_until_gone, stream, nursery.cancel_scope)
            nursery.start_soon(_until_told, ending, nursery.cancel_scope)
            if first:
                await put(wire, stream, h11.Data(data=first))
            async for piece in pieces:
                if pace:
                    await _drip(wire, stream, piece, pace)
                elif piece:
                    await put(wire, stream, h11.Data(data=piece))
            ended = True
            nursery.cancel_scope.cancel()
        if ended or ending.is_set():
            await put(wire, stream, h11.EndOfMessage())


async def _drip(wire: h11.Connection, stream: trio.abc.Stream, data: bytes, pace: float) -> None:
    for at in range(len(data)):
        await put(wire, stream, h11.Data(data=data[at : at + 1]))
        await trio.sleep(pace)


async def _until_told(ending: trio.Event, scope: trio.CancelScope) -> None:
    await ending.wait()
    scope.cancel()


async def _until_gone(stream: trio.abc.Stream, scope: trio.CancelScope) -> None:
    with suppress(trio.BrokenResourceError):
        await stream.receive_some(1)
    scope.cancel()


async def answer_fault(wire: h11.Connection, stream: trio.abc.Stream, fault: Fault) -> None:
    headers = list(fault.headers.items())
    if fault.cut or fault.hang:
        headers.append(("Transfer-Encoding", "chunked"))
        await put(wire, stream, h11.Response(status_code=fault.status, headers=headers))
        if fault.body:
            await put(wire, stream, h11.Data(data=fault.body))
        if fault.hang:
            await stream.receive_some(1)
        await stream.aclose()
        return
    headers.append(("Content-Length", str(len(fault.body))))
    await put(wire, stream, h11.Response(status_code=fault.status, headers=headers), *_body(fault.body))


def _body(body: bytes) -> Iterator[h11.Event]:
    yield h11.Data(data=body)
    yield h11.EndOfMessage()


async def put(wire: h11.Connection, stream: trio.abc.Stream, *events: h11.Event) -> None:
    for event in events:
        data = wire.send(event)
        if data:
            await stream.send_all(data)
