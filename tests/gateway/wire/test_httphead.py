import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.httphead import LARGEST_HEAD, RequestHead, parse_head
from gateway.wire.verdict import More
from tests.gateway.wire.prefixes import check_total, malformed, recorded, whole

SECRET = "hunter2"


def head(*lines: str, request: str = "GET / HTTP/1.1", host: str | None = "a.example") -> bytes:
    every = [request, *([] if host is None else [f"Host: {host}"]), *lines]
    return "".join(f"{line}\r\n" for line in [*every, ""]).encode("latin-1")


def read(data: bytes) -> RequestHead:
    return whole(parse_head, data, LARGEST_HEAD, trailing=[b"x=1", b"\n", b"\r\n GET", b"\0" * 9])


def test_reads_curl() -> None:
    data = recorded("curl_http")
    expected = RequestHead("GET", "/a?b=c", "web.pods.localhost", False, False, len(data))
    assert read(data) == expected
    assert parse_head(memoryview(data)) == expected


def test_reads_curl_with_a_body_behind_the_head() -> None:
    data = recorded("curl_post")
    found = parse_head(data)
    assert found == RequestHead("POST", "/form", "web.pods.localhost", False, False, len(data) - len(b"x=1"))


def test_reads_chromium() -> None:
    data = recorded("chromium_http")
    assert read(data) == RequestHead("GET", "/notes?page=1", "web.pods.localhost", True, False, len(data))


@pytest.mark.parametrize(
    ("data", "method", "target", "host"),
    [
        (head(request="OPTIONS * HTTP/1.1"), "OPTIONS", "*", "a.example"),
        (head(host="A.Example:8443"), "GET", "/", "a.example"),
        (head(host="a.example:"), "GET", "/", "a.example"),
        (head(host="[2001:DB8::1]:80"), "GET", "/", "[2001:db8::1]"),
        (head(request="GET / HTTP/1.0", host=None), "GET", "/", None),
        (head(request="GET / HTTP/1.0"), "GET", "/", "a.example"),
        (head(request="GET http://A.example/x?y HTTP/1.1"), "GET", "http://A.example/x?y", "a.example"),
        (head(request="GET HTTPS://a.example HTTP/1.1"), "GET", "HTTPS://a.example", "a.example"),
        (head(request="GET http://b/ HTTP/1.0", host=None), "GET", "http://b/", "b"),
        (head(request="CONNECT a.example:443 HTTP/1.1", host="a.example:443"), "CONNECT", "a.example:443", "a.example"),
    ],
)
def test_forms_of_the_request_target(data: bytes, method: str, target: str, host: str | None) -> None:
    assert read(data) == RequestHead(method, target, host, False, False, len(data))


@pytest.mark.parametrize(
    ("accept", "wants_html"),
    [
        ([], False),
        (["Accept: */*"], False),
        (["Accept: text/html"], True),
        (["Accept: TEXT/HTML;level=1;q=0.5, */*"], True),
        (["Accept: application/xhtml+xml"], True),
        (["Accept: text/html;q=0"], False),
        (["Accept: application/json, text/html;q=0.9"], False),
        (["Accept: application/json;q=0.8, text/html; q=0.9"], True),
        (["Accept: application/problem+json", "Accept: text/html"], True),
        (["Accept: text/plain"], False),
        (["Accept: text/html;q=nonsense"], True),
    ],
)
def test_html_is_for_those_who_prefer_it(accept: list[str], wants_html: bool) -> None:
    assert read(head(*accept)).wants_html is wants_html


@pytest.mark.parametrize(
    ("lines", "is_upgrade"),
    [
        (["Connection: Upgrade", "Upgrade: websocket"], True),
        (["Connection: keep-alive, upgrade", "Upgrade: h2c"], True),
        (["Connection: keep-alive", "Connection: UPGRADE", "Upgrade: websocket"], True),
        (["Upgrade: websocket"], False),
        (["Connection: upgrade"], False),
        (["Connection: close", "Upgrade: websocket"], False),
    ],
)
def test_an_upgrade_names_it_in_both_headers(lines: list[str], is_upgrade: bool) -> None:
    assert read(head(*lines)).is_upgrade is is_upgrade


REFUSED = [
    (b"GET / HTTP/1.1\n", "bare cr or lf, expected crlf"),
    (b"\n", "bare cr or lf, expected crlf"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb", "bare cr or lf, expected crlf"),
    (b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", "bare cr or lf, expected crlf"),
    (b"GET / HTTP/1.1\r\nHost: a\n\r\n", "bare cr or lf, expected crlf"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb", "a line begins with white space"),
    (head(" Host: b", host=None), "a line begins with white space"),
    (b"\r\n\r\n", "no request line received"),
    (head(request="GET /"), "illegal request line"),
    (head(request="GET  / HTTP/1.1"), "illegal request line"),
    (head(request="GET / HTTP/2.0"), "unknown version, expected 1.0 or 1.1"),
    (head(request="GET / HTTP/1.2"), "unknown version, expected 1.0 or 1.1"),
    (head("Host: a.example"), "found multiple host"),
    (head(host=None), "missing mandatory host"),
    (head(host=""), "host is not a host name and port"),
    (head(host="a.example, a.example"), "host is not a host name and port"),
    (head(host="user@a.example"), "host is not a host name and port"),
    (head(host="a.example:https"), "host is not a host name and port"),
    (head(host="a.example/"), "host is not a host name and port"),
    (head(host="\xe9.example"), "host is not a host name and port"),
    (head("X : 1"), "illegal header line"),
    (head("X"), "illegal header line"),
    (head(": 1"), "illegal header line"),
    (head("X: a\0b"), "illegal header line"),
    (head(request="GET /\0 HTTP/1.1"), "illegal request line"),
    (head("Content-Length: 5", "Content-Length: 5"), "content-length given more than once"),
    (head("Content-Length: 5", "content-length: 6"), "conflicting content-length headers"),
    (head("Content-Length: 5, 5"), "content-length given more than once"),
    (head("Content-Length: 5,"), "conflicting content-length headers"),
    (head("Content-Length: +5"), "bad content-length"),
    (head("Content-Length: -5"), "bad content-length"),
    (head("Content-Length: 0x5"), "bad content-length"),
    (head("Content-Length:"), "bad content-length"),
    (head("Transfer-Encoding: chunked", "Content-Length: 5"), "transfer-encoding with content-length or in http/1.0"),
    (head("CONTENT-LENGTH: 5", "TRANSFER-ENCODING: chunked"), "transfer-encoding with content-length or in http/1.0"),
    (head("Transfer-Encoding: chunked", request="POST / HTTP/1.0"), "transfer-encoding with content-length or in http"),
    (head("Transfer-Encoding: gzip, chunked"), "only transfer-encoding"),
    (head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), "multiple transfer-encoding headers"),
    (head(request="GET http://b.example/ HTTP/1.1"), "request target and host differ"),
    (head(request="GET http://a.example:80/ HTTP/1.1"), "request target and host differ"),
    (head(request="GET http://u@b/ HTTP/1.0", host=None), "host is not a host name and port"),
    (head(request="GET http:/// HTTP/1.0", host=None), "host is not a host name and port"),
    (head(request="CONNECT b.example:443 HTTP/1.1"), "request target and host differ"),
    (head(request="GET * HTTP/1.1"), "unknown form of request target"),
    (head(request="GET a.example HTTP/1.1"), "unknown form of request target"),
    (head(request="GET ftp://a.example/ HTTP/1.1"), "unknown form of request target"),
]


@pytest.mark.parametrize(("data", "text"), REFUSED)
def test_what_two_parsers_could_read_differently_is_refused(data: bytes, text: str) -> None:
    assert malformed(parse_head, data).startswith(f"http head: {text}")


@pytest.mark.parametrize(
    "data",
    [
        head(request=f"GET /{SECRET}\0 HTTP/1.1"),
        head(request=f"GET / {SECRET}"),
        head(f"{SECRET} : 1"),
        head(f"X: \0: {SECRET}"),
        head(f"Content-Length: {SECRET}"),
        head(f"Transfer-Encoding: {SECRET}"),
        head(host=f"{SECRET}@"),
    ],
)
def test_an_error_never_holds_what_the_client_sent(data: bytes) -> None:
    assert SECRET not in malformed(parse_head, data)


def test_one_content_length_or_chunks_pass() -> None:
    assert read(head("Content-Length: 5", request="POST / HTTP/1.1")).method == "POST"
    assert read(head("Transfer-Encoding: Chunked", request="PUT / HTTP/1.1")).method == "PUT"


def padded(size: int) -> bytes:
    return head("X: " + "a" * (size - len(head("X: "))))


def test_the_largest_head_is_read_and_one_byte_more_is_not() -> None:
    largest = padded(LARGEST_HEAD)
    found = parse_head(largest + b"body")
    assert isinstance(found, RequestHead)
    assert found.size == len(largest) == LARGEST_HEAD
    assert parse_head(largest[:-1]) == More(LARGEST_HEAD)
    text = f"http head: unfinished after {LARGEST_HEAD} bytes, the limit"
    assert malformed(parse_head, padded(LARGEST_HEAD + 1)) == text
    assert malformed(parse_head, padded(LARGEST_HEAD + 1)[:LARGEST_HEAD]) == text


@given(st.binary(max_size=200), st.text("aGET :/\r\n\t\0,;=*0", max_size=60))
def test_garbage_is_malformed_or_unfinished(data: bytes, text: str) -> None:
    check_total(parse_head, data, LARGEST_HEAD)
    check_total(parse_head, data + b"\r\n\r\n", LARGEST_HEAD)
    check_total(parse_head, head(text), LARGEST_HEAD)
    check_total(parse_head, head(data.decode("latin-1")), LARGEST_HEAD)
    check_total(parse_head, head(request=f"GET {text} HTTP/1.1"), LARGEST_HEAD)
    check_total(parse_head, head(f"Accept: {text}", f"Connection: {text}"), LARGEST_HEAD)
    check_total(parse_head, head(host=text), LARGEST_HEAD)


@given(st.sampled_from(["curl_http", "chromium_http"]), st.data())
def test_a_real_head_with_one_byte_changed_is_still_answered(name: str, data: st.DataObject) -> None:
    sent = bytearray(recorded(name))
    sent[data.draw(st.integers(0, len(sent) - 1))] = data.draw(st.integers(0, 255))
    check_total(parse_head, bytes(sent), LARGEST_HEAD)
