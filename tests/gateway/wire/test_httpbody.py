from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.httpbody import LARGEST_EXTENSION, LARGEST_TRAILERS, Chunked, Length, UntilClose
from gateway.wire.httpfields import MOST_FIELDS
from gateway.wire.verdict import Malformed
from tests.fuzz.invariants import check_splits

END = b"0\r\n\r\n"
EXTENSION = b";" + b"a" * (LARGEST_EXTENSION - 1)


def test_a_length_is_counted_down() -> None:
    body = Length(5)
    assert (body.feed(b"abc"), body.done, body.remaining) == (3, False, 2)
    assert (body.feed(memoryview(b"defgh")), body.done) == (2, True)
    assert body.feed(b"x") == 0
    assert Length(0).done


def test_until_close_takes_all_and_is_never_done() -> None:
    body = UntilClose()
    assert (body.feed(b"abc"), body.feed(memoryview(b"")), body.done) == (3, 0, False)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "data",
    [
        END,
        b"00\r\n\r\n",
        b"3\r\nabc\r\n" + END,
        b"A\r\n0123456789\r\nb\r\n01234567890\r\n" + END,
        b"0000000000000001\r\na\r\n" + END,
        b"2\r\n\r\n\r\n" + END,
        b"3\r\nabc\r\n0\r\nX-Sum: a\r\nY:\r\n\r\n",
        b"0\r\n" + b"X: a\r\n" * MOST_FIELDS + b"\r\n",
        b"0\r\nX: " + b"a" * (LARGEST_TRAILERS - 7) + b"\r\n\r\n",
    ],
)
def test_a_chunked_body_ends_with_its_trailers(data: bytes, strict: bool) -> None:
    for surplus in (b"", b"\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\0"):
        body = Chunked(strict)
        assert (body.feed(data + surplus), body.done) == (len(data), True)
        assert body.feed(surplus) == 0
        check_splits(lambda: Chunked(strict), data + surplus, [1, 2, 5, len(data) - 1, len(data)])
    for end in range(len(data)):
        body = Chunked(strict)
        assert (body.feed(data[:end]), body.done) == (end, False)


@pytest.mark.parametrize("line", [b"3;a", b"3;", b"3;a=b;c", b'3;a="b c\t\xff"', b"3" + EXTENSION])
def test_extensions_are_skipped_in_responses_and_refused_in_requests(line: bytes) -> None:
    data = line + b"\r\nabc\r\n0;last\r\n\r\n"
    body = Chunked(strict=False)
    assert (body.feed(data), body.done) == (len(data), True)
    check_splits(lambda: Chunked(strict=False), data, [1, 2, 3, 9])
    with pytest.raises(Malformed, match="bad chunk size"):
        Chunked(strict=True).feed(data)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"3 ;a\r\n", "bad chunk size"),
        (b"3 \r\n", "bad chunk size"),
        (b";a\r\n", "bad chunk size"),
        (b"3;a\rb\r\n", "bad chunk size"),
        (b"3;a\n", "bad chunk size"),
        (b"3;a\0\r\n", "bad chunk size"),
        (b"3" + EXTENSION + b"a", "bad chunk size"),
        (b"0" * 16 + EXTENSION + b"\r\r", "bad chunk size"),
        (b"8000000000000000\r\n", "chunk size beyond"),
        (b"3\r\nabcd", "longer than its size"),
        (b"3\r\nabc\r\r", "longer than its size"),
        (b"0\r\nX: a\r\n b\r\n", "a line begins with white space"),
        (b"0\r\n" + b"X: a\r\n" * (MOST_FIELDS + 1), "more than 128 trailers"),
        (b"0\r\nX: " + b"a" * (LARGEST_TRAILERS - 6) + b"\r\n\r\n", "more than 8192 bytes of trailers"),
        (b"0\r\nX: " + b"a" * (LARGEST_TRAILERS - 5) + b"\r\n\r\n", "more than 8192 bytes of trailers"),
    ],
)
def test_responses_are_judged_too(data: bytes, text: str) -> None:
    with pytest.raises(Malformed, match=f"http body: .*{text}"):
        Chunked(strict=False).feed(data)
    body = Chunked(strict=False)
    with pytest.raises(Malformed, match=f"http body: .*{text}"):
        all(body.feed(data[at : at + 1]) for at in range(len(data)))


def test_trailers_of_a_response_are_the_upstreams_affair() -> None:
    body = Chunked(strict=False)
    body.feed(b"0\r\nSet-Cookie: a=b\r\n\r\n")
    assert body.done


def test_a_fault_shows_before_the_line_ends() -> None:
    for begun in (b"g", b"3;", b"-", b" ", b"\n", b"\r", b"3\r\nabcd", b"0" * 17, b"0\r\nX: a\rb", b"3\r\r"):
        with pytest.raises(Malformed):
            Chunked(strict=True).feed(begun)
        assert Chunked(strict=True).feed(begun[:-1]) == len(begun) - 1


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.binary(max_size=9), st.data())
def test_chunks_end_where_they_were_made_to_end(parts: list[bytes], surplus: bytes, data: st.DataObject) -> None:
    sent = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + END
    body = Chunked(strict=True)
    assert (body.feed(memoryview(sent + surplus)), body.done) == (len(sent), True)
    cuts = data.draw(st.lists(st.integers(0, len(sent)), max_size=5))
    check_splits(lambda: Chunked(strict=True), sent + surplus, cuts)


@given(st.text("0123aF;\r\n X:\0", max_size=40).map(str.encode), st.booleans(), st.data())
def test_garbage_is_judged_alike_however_it_is_cut(sent: bytes, strict: bool, data: st.DataObject) -> None:
    check_splits(lambda: Chunked(strict), sent, data.draw(st.lists(st.integers(0, len(sent)), max_size=5)))


def test_payload_is_not_looked_at() -> None:
    body, piece = Chunked(strict=True), memoryview(bytes(2**20))
    body.feed(b"%x\r\n" % 2**40)
    started = thread_time()
    assert all(body.feed(piece) == len(piece) for _ in range(1000))
    assert thread_time() - started < 0.5
