"""Two readings of one request: ours and that of h11, which must agree wherever we accept."""

import h11

from gateway.wire.httpbody import Chunked, Length
from gateway.wire.httphead import LARGEST_HEAD, RequestHead, parse_head
from gateway.wire.verdict import Malformed, More
from tests.gateway.wire.corpus.cases import Reading, Refused

UNFINISHED = "unfinished"


def body_of(head: RequestHead) -> Length | Chunked:
    """Make what finds the end of a request's body."""
    return Chunked(strict=True) if head.length is None else Length(head.length)


def ours(data: bytes) -> Reading | Refused | str:
    """Read the first request in `data`."""
    try:
        head = parse_head(data)
        if isinstance(head, More):
            return UNFINISHED
        body = body_of(head)
        end = head.size + body.feed(data[head.size :])
    except Malformed as error:
        return Refused(str(error))
    return Reading(head.host, head.length, end) if body.done else UNFINISHED


def h11s(data: bytes) -> Reading | Refused | str:
    """Read the first request in `data` as h11 does, which knows no empty line before it."""
    skipped = 2 if data.startswith(b"\r\n") else 0
    server = h11.Connection(h11.SERVER, max_incomplete_event_size=2 * LARGEST_HEAD)
    server.receive_data(data[skipped:])
    try:
        head = server.next_event()
        if not isinstance(head, h11.Request):
            return UNFINISHED
        while isinstance(event := server.next_event(), h11.Data):
            pass
    except h11.RemoteProtocolError as error:
        return Refused(str(error))
    if not isinstance(event, h11.EndOfMessage):
        return UNFINISHED
    fields = dict(head.headers)
    length = None if b"transfer-encoding" in fields else int(fields.get(b"content-length", b"0"))
    return Reading(_host(fields, head.target), length, len(data) - len(server.trailing_data[0]))


def _host(fields: dict[bytes, bytes], target: bytes) -> str | None:
    """Find the host by another way than ours: from Host, or from the target if there is none."""
    authority = fields.get(b"host")
    if authority is None and b"://" in target and not target.startswith(b"/"):
        authority = target.split(b"/")[2].split(b"?")[0]
    if authority is None:
        return None
    host = authority.lower().decode("ascii")
    return host if host.endswith("]") else host.rsplit(":", 1)[0]


def answered(data: bytes, method: str) -> tuple[int, list[tuple[bytes, bytes]], int, bool] | None:
    """Give status, fields, end and completeness of the first response in `data`, as h11 reads it; None: refused."""
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=2 * 64 * 1024)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a"), *_PROPOSAL]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    try:
        response = client.next_event()
        assert isinstance(response, h11.Response | h11.InformationalResponse)
        event: object = response
        if isinstance(response, h11.Response):
            while isinstance(event := client.next_event(), h11.Data):
                pass
    except h11.RemoteProtocolError:
        return None
    is_whole = isinstance(event, h11.EndOfMessage | h11.InformationalResponse)
    return response.status_code, list(response.headers), len(data) - len(client.trailing_data[0]), is_whole


_PROPOSAL = [("Connection", "upgrade"), ("Upgrade", "websocket")]
