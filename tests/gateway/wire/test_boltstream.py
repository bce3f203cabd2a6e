"""Messages in a stream: what is not taken out passes as it is, however it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.bolt import LARGEST_MESSAGE, LOGON, RECORD, RUN, SUCCESS, Message, message
from gateway.wire.boltstream import BoltStream
from gateway.wire.packstream import Structure, encode
from gateway.wire.verdict import Malformed

NOOP = b"\0\0"
INSTEAD = message(LOGON, {"scheme": "none"})


def chunked(payload: bytes, *sizes: int) -> bytes:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(payload[at : at + size])
        at += size
    pieces.append(payload[at:])
    return b"".join(len(piece).to_bytes(2, "big") + piece for piece in [*filter(None, pieces), b""])


class Taking:
    """A stream in which each LOGON is replaced; keeps what it saw."""

    def __init__(self) -> None:
        self.tags: list[int] = []
        self.taken: list[Message] = []
        self.stream = BoltStream(self._begins, self._take)

    def _begins(self, tag: int, data: bytes | memoryview, at: int) -> bool:
        assert at <= len(data)
        self.tags.append(tag)
        return tag == LOGON

    def _take(self, taken: Message, data: bytes) -> bytes:
        assert len(data) == taken.size
        self.taken.append(taken)
        return INSTEAD

    def feed(self, data: bytes, size: int) -> bytes:
        parts = [data[at : at + size] for at in range(0, len(data), size)]
        return b"".join(bytes(self.stream.feed(memoryview(part))) for part in parts)


SECRET = message(LOGON, {"scheme": "basic", "principal": "alice", "credentials": "pgt_secret"})
TALK = [
    (message(RUN, "RETURN 1", {}, {}), 0x10),
    (NOOP, None),
    (SECRET, LOGON),
    (message(RECORD, [1, 2, 3]), RECORD),
    (message(SUCCESS, b"\0" * 70_000), SUCCESS),
    (chunked(encode(Structure(LOGON, ({"a": "b"},))), 1, 1, 1), LOGON),
    (chunked(encode(Structure(RUN, ("text",))), 1), RUN),
    (SECRET, LOGON),
]


def test_what_nobody_wants_passes_without_a_copy() -> None:
    stream = Taking().stream
    data = memoryview(message(RUN, "x") + NOOP + message(RECORD, [1]))
    assert stream.feed(data) is data


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 64, 1000, 1 << 20])
def test_each_cut_gives_the_same(size: int) -> None:
    taking = Taking()
    given_ = taking.feed(b"".join(data for data, _ in TALK), size)
    assert given_ == b"".join(INSTEAD if tag == LOGON else data for data, tag in TALK)
    assert taking.tags == [tag for _, tag in TALK if tag is not None]
    assert [each.fields for each in taking.taken] == [
        ({"scheme": "basic", "principal": "alice", "credentials": "pgt_secret"},),
        ({"a": "b"},),
        ({"scheme": "basic", "principal": "alice", "credentials": "pgt_secret"},),
    ]


@pytest.mark.parametrize("sizes", [(), (1,), (1, 1), (2,), (3, 1, 1), (1, 5)])
def test_nothing_of_a_message_that_is_taken_out_passes_before_it_is_whole(sizes: tuple[int, ...]) -> None:
    data = chunked(encode(Structure(LOGON, ({"credentials": "secret"},))), *sizes)
    for end in range(len(data)):
        assert Taking().feed(data[:end], 1) == b""


Cut = tuple[int, list[int]]
parts = st.lists(
    st.tuples(st.sampled_from([RUN, RECORD, LOGON]), st.lists(st.integers(1, 9), max_size=12), st.integers(0, 2)),
    max_size=8,
)


@given(parts, st.lists(st.integers(1, 40), max_size=40))
def test_any_stream_cut_anyhow_gives_the_same(messages: list[tuple[int, list[int], int]], cuts: list[int]) -> None:
    data, expected = b"", b""
    for tag, sizes, noops in messages:
        one = chunked(encode(Structure(tag, ({"key": "some text"}, 5))), *sizes)
        data += NOOP * noops + one
        expected += NOOP * noops + (INSTEAD if tag == LOGON else one)
    taking, at, passed = Taking(), 0, b""
    for cut in [*cuts, len(data)]:
        passed += bytes(taking.stream.feed(data[at : at + cut]))
        at += cut
    assert passed == expected


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\0\3\x81a\x01", "bolt message: something else than a structure"),
        (b"\0\2\xdc\x6a", "bolt message: something else than a structure"),  # a form that no version has
        (b"\0\1\xb1\0\0", "bolt message: of one byte"),
    ],
)
@pytest.mark.parametrize("size", [1, 100])
def test_what_is_no_message_is_malformed(data: bytes, text: str, size: int) -> None:
    with pytest.raises(Malformed) as raised:
        Taking().feed(data + b"\0\0\0\0", size)
    assert str(raised.value) == text


def test_no_byte_waits_for_one_that_may_never_come() -> None:
    """All of a message is through when its last byte is there, wherever it was cut."""
    record = message(RECORD, [1, 2, 3])
    for passing in (frozenset[int](), frozenset((RECORD,))):
        for first in range(1, len(record)):
            for second in range(first, len(record)):
                stream = BoltStream(lambda _tag, _data, _at: False, lambda _message, data: data, passing)
                pieces = (record[:first], record[first:second], record[second:])
                assert b"".join(bytes(stream.feed(piece)) for piece in pieces) == record


def test_a_message_that_is_taken_out_is_limited_to_the_byte() -> None:
    def logon(size: int) -> bytes:
        return chunked(b"\xb1\x6a\xd2" + (size - 11).to_bytes(4, "big") + b"a" * (size - 11))

    assert Taking().feed(logon(LARGEST_MESSAGE), 1 << 20) == INSTEAD
    with pytest.raises(Malformed, match="limit"):
        Taking().feed(logon(LARGEST_MESSAGE + 1), 1 << 20)


@given(st.binary(max_size=300), st.integers(1, 30))
def test_garbage_is_malformed_or_passes_or_is_held(data: bytes, size: int) -> None:
    try:
        passed = Taking().feed(data, size)
    except Malformed:
        return
    assert len(passed) <= len(data) + len(INSTEAD) * len(data)
