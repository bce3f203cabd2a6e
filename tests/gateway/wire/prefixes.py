"""How every parser of `gateway/wire` is fed in its tests, and the recorded bytes of real clients to feed it."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from gateway.wire.verdict import Malformed, More

_RECORDED = Path(__file__).parent / "recorded"
_Answer = TypeVar("_Answer")
Parser = Callable[[bytes], _Answer | More]

RECORDINGS = tuple(sorted(path.stem for path in _RECORDED.glob("*.hex")))


def recorded(name: str) -> bytes:
    """Read what a real client once sent; the first line of the file says which client."""
    _client, *lines = (_RECORDED / f"{name}.hex").read_text().splitlines()
    return bytes.fromhex("".join(lines))


def whole(parse: Parser[_Answer], data: bytes, limit: int, trailing: Iterable[bytes] = (b"\0", b"\xff" * 9)) -> _Answer:
    """Give what `parse` reads from `data`, having fed it every prefix before, and trailing bytes after.

    For each prefix it must ask for more, never for more than `data` is nor than its limit; what follows `data`
    must not change the answer.
    """
    for end in range(len(data)):
        more = parse(data[:end])
        assert isinstance(more, More), f"decided from {end} of {len(data)} bytes: {more}"
        assert end < more.at_least <= min(len(data), limit)
    answer = parse(data)
    assert not isinstance(answer, More)
    for surplus in trailing:
        assert parse(data + surplus) == answer
    return answer


def check_total(parse: Parser[object], data: bytes, limit: int) -> None:
    """Whatever `data` is, `parse` answers, asks for more within its limit, or raises Malformed and nothing else."""
    try:
        answer = parse(data)
    except Malformed:
        return
    assert not isinstance(answer, More) or len(data) < answer.at_least <= limit


def malformed(parse: Parser[object], data: bytes) -> str:
    """Give the text of the Malformed that `data` raises."""
    try:
        answer = parse(data)
    except Malformed as problem:
        return str(problem)
    raise AssertionError(f"expected Malformed, got {type(answer).__name__}")
