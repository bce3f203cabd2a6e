from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.httpbody import Body, Chunked, Length
from gateway.wire.httpresponse import LARGEST_RESPONSE_HEAD, ResponseHead, parse_response
from gateway.wire.verdict import More
from tests.fuzz.invariants import check_response
from tests.gateway.wire.corpus.responses import RESPONSES, answer
from tests.gateway.wire.prefixes import check_total, malformed, whole

READ = [(data, method, expected) for data, method, expected in RESPONSES if not isinstance(expected, str)]
REFUSED = [(data, method, expected) for data, method, expected in RESPONSES if isinstance(expected, str)]
NGINX = answer("Server: nginx/1.22.1", "Content-Length: 612", "Connection: keep-alive", 'ETag: "6863c0f0-264"')


def parse(data: bytes) -> ResponseHead | More:
    return parse_response(data, "GET")


def test_reads_nginx() -> None:
    found = whole(parse, NGINX, LARGEST_RESPONSE_HEAD, trailing=[b"\0", b"\n", b"\r\n ", b"HTTP/1.1 500 No\r\n\r\n"])
    assert (found.status, found.minor, found.reason, found.size) == (200, 1, b"OK", len(NGINX))
    assert found.values(b"server") == [b"nginx/1.22.1"]
    assert b"".join(field.line for field in found.fields) == NGINX[len(b"HTTP/1.1 200 OK\r\n") : -2]
    assert parse_response(memoryview(NGINX), "GET") == found


@pytest.mark.parametrize(("data", "method", "expected"), READ)
def test_how_a_response_ends(data: bytes, method: str, expected: tuple[Body, bool]) -> None:
    found = whole(lambda seen: parse_response(seen, method), data, LARGEST_RESPONSE_HEAD)
    assert (found.body, found.keeps_alive) == expected
    assert found.is_upgrade is (found.status == 101)
    assert found.size == len(data)


@pytest.mark.parametrize(("data", "method", "text"), REFUSED)
def test_what_could_end_elsewhere_is_refused(data: bytes, method: str, text: str) -> None:
    assert malformed(lambda seen: parse_response(seen, method), data).startswith(f"http response: {text}")


@pytest.mark.parametrize(("data", "method", "expected"), RESPONSES)
def test_a_response_is_read_as_h11_reads_it_however_it_is_cut(data: bytes, method: str, expected: object) -> None:
    cuts = range(len(data)) if len(data) < 800 else range(0, len(data), len(data) // 40)
    for body in (
        b"",
        b"hello",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"5;a=b\r\nhello\r\n0\r\nX: a\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ):
        check_response(data + body, cuts, method)


def test_each_head_brings_a_fresh_body() -> None:
    first, second = parse(NGINX), parse(NGINX)
    assert isinstance(first, ResponseHead)
    assert isinstance(second, ResponseHead)
    first.body.feed(b"a")
    assert second.body == Length(612)
    assert isinstance(first.body, get_args(Body))


def test_the_largest_head_is_read_and_one_byte_more_is_not() -> None:
    def padded(size: int) -> bytes:
        return answer("X: " + "a" * (size - len(answer("X: "))))

    found = parse(padded(LARGEST_RESPONSE_HEAD) + b"body")
    assert isinstance(found, ResponseHead)
    assert found.size == LARGEST_RESPONSE_HEAD
    text = f"http response: unfinished after {LARGEST_RESPONSE_HEAD} bytes, the limit"
    assert malformed(parse, padded(LARGEST_RESPONSE_HEAD + 1)) == text


def test_a_head_is_refused_as_soon_as_its_fault_shows() -> None:
    for data in (b"HTTP/2", b"G", b"\r", b"HTTP/1.1 2\r\n"):
        assert parse(data[:-1] if data != b"\r" else b"H") is not None
        if data != b"\r":
            assert malformed(parse, data).startswith("http response: illegal status line")


@given(st.binary(max_size=100), st.text("aT :/\r\n\t\0,;=0", max_size=40))
def test_garbage_is_malformed_or_unfinished(data: bytes, text: str) -> None:
    for garbage in (data, data + b"\r\n\r\n", answer(text), answer(line=f"HTTP/1.1 {text}")):
        check_total(parse, garbage, LARGEST_RESPONSE_HEAD)


def test_a_chunked_response_may_have_extensions_and_a_request_may_not() -> None:
    found = parse(answer("Transfer-Encoding: chunked"))
    assert isinstance(found, ResponseHead)
    assert found.body == Chunked(strict=False) != Chunked(strict=True)
