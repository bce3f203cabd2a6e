"""What must hold of the HTTP wire parsers for any bytes whatsoever, and however they are cut."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

from gateway.wire.httpbody import Body, Chunked, UntilClose
from gateway.wire.httphead import LARGEST_HEAD, parse_head
from gateway.wire.httpresponse import LARGEST_RESPONSE_HEAD, ResponseHead, parse_response
from gateway.wire.verdict import Malformed, More
from tests.gateway.wire.corpus.cases import Reading
from tests.gateway.wire.corpus.judge import answered, body_of, h11s, ours
from tests.gateway.wire.prefixes import Parser

Read = TypeVar("Read")
Outcome = tuple[int, bool] | None  # bytes taken, and whether the body is done; None: Malformed


def check_request(data: bytes, cuts: Sequence[int]) -> None:
    """Check everything about `data` as the beginning of what a client sends; `cuts` are places in it."""
    reading = ours(data)
    if isinstance(reading, Reading):
        assert h11s(data) == reading
    check_prefixes(parse_head, data, LARGEST_HEAD, cuts)
    try:
        head = parse_head(data)
    except Malformed:
        return
    if not isinstance(head, More):
        check_splits(lambda: body_of(head), data[head.size :], cuts)


def check_response(data: bytes, cuts: Sequence[int], method: str = "GET") -> None:
    """Check everything about `data` as the beginning of what an upstream answers to a `method`."""
    check_prefixes(lambda seen: parse_response(seen, method), data, LARGEST_RESPONSE_HEAD, cuts)
    try:
        head = parse_response(data, method)
    except Malformed:
        return
    if isinstance(head, More):
        return
    check_splits(lambda: _fresh(data, method), data[head.size :], cuts)
    _check_like_h11(data, method, head)


def _fresh(data: bytes, method: str) -> Body:
    head = parse_response(data, method)
    assert isinstance(head, ResponseHead)
    return head.body


def _check_like_h11(data: bytes, method: str, head: ResponseHead) -> None:
    try:
        end = head.size + head.body.feed(data[head.size :])
    except Malformed:
        return
    if isinstance(head.body, Chunked) and not head.body.done:
        return  # h11 looks at trailers only when all are there, and may refuse sooner than they are
    read = answered(data, method)
    assert read is not None, "accepted what h11 refuses"
    status, fields, h11_end, is_whole = read
    assert (status, h11_end) == (head.status, end)
    assert [(field.name, _as_h11(field.name, field.value)) for field in head.fields] == fields
    assert is_whole == head.body.done or isinstance(head.body, UntilClose)


def _as_h11(name: bytes, value: bytes) -> bytes:
    return value.lower() if name == b"transfer-encoding" else value


def check_prefixes(parse: Parser[object], data: bytes, limit: int, cuts: Sequence[int]) -> None:
    """What is decided stays decided: no further bytes make a Malformed right, or change what was read."""
    decided: object = None
    for end in sorted({*cuts, len(data)}):
        try:
            answer: object = parse(data[:end])
        except Malformed:
            answer = Malformed
        if isinstance(answer, More):
            assert decided is None, "decided, and then undecided"
            assert end < answer.at_least <= limit
        elif decided is None:
            decided = answer
        else:
            assert answer == decided


def read_checked(parse: Parser[Read], data: bytes, limit: int, cuts: Sequence[int]) -> Read | str:
    """Give what is read of `data`, checked however it is cut; "malformed" or "more" if that is nothing."""
    check_prefixes(parse, data, limit, cuts)
    try:
        found = parse(data)
    except Malformed:
        return "malformed"
    return "more" if isinstance(found, More) else found


def check_splits(fresh: Callable[[], Body], data: bytes, cuts: Sequence[int]) -> None:
    """A body ends where it ends, however its bytes arrive."""
    whole = _fed(fresh(), [data])
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    assert _fed(fresh(), [data[begin:end] for begin, end in pairwise(places)]) == whole
    if len(data) <= 400:
        assert _fed(fresh(), [data[at : at + 1] for at in range(len(data))]) == whole


def _fed(body: Body, pieces: list[bytes]) -> Outcome:
    taken = 0
    try:
        for piece in pieces:
            own = body.feed(memoryview(piece))
            assert own == len(piece) or body.done
            taken += own
    except Malformed:
        return None
    return taken, body.done
