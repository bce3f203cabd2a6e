from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.httpfields import MOST_FIELDS
from gateway.wire.httphead import LARGEST_HEAD, Field, RequestHead, list_members, parse_fields, parse_head
from gateway.wire.verdict import Malformed, More
from tests.gateway.wire.prefixes import check_total, malformed, recorded, whole

SECRET = "hunter2"


def head(*lines: str, request: str = "GET / HTTP/1.1", host: str | None = "a.example") -> bytes:
    every = [request, *([] if host is None else [f"Host: {host}"]), *lines]
    return "".join(f"{line}\r\n" for line in [*every, ""]).encode("latin-1")


def read(data: bytes) -> RequestHead:
    return whole(parse_head, data, LARGEST_HEAD, trailing=[b"x=1", b"\n", b"\r\n GET", b"\0" * 9])


def seen(head: RequestHead) -> tuple[str, str, str | None, bool, bool, int]:
    return head.method, head.target, head.host, head.wants_html, head.is_upgrade, head.size


def test_reads_curl() -> None:
    data = recorded("curl_http")
    found = read(data)
    assert seen(found) == ("GET", "/a?b=c", "web.pods.localhost", False, False, len(data))
    assert parse_head(memoryview(data)) == found
    assert (found.length, found.keeps_alive, found.minor, found.expects_continue) == (0, True, 1, False)


def test_reads_curl_with_a_body_behind_the_head() -> None:
    data = recorded("curl_post")
    found = parse_head(data)
    assert isinstance(found, RequestHead)
    assert seen(found) == ("POST", "/form", "web.pods.localhost", False, False, len(data) - len(b"x=1"))
    assert found.length == len(b"x=1")


def test_reads_chromium() -> None:
    data = recorded("chromium_http")
    found = read(data)
    assert seen(found) == ("GET", "/notes?page=1", "web.pods.localhost", True, False, len(data))
    assert found.values(b"sec-fetch-mode") == [b"navigate"]
    assert data == b"GET /notes?page=1 HTTP/1.1\r\n" + b"".join(field.line for field in found.fields) + b"\r\n"


@pytest.mark.parametrize(
    ("data", "method", "target", "path", "host", "authority"),
    [
        (head(request="OPTIONS * HTTP/1.1"), "OPTIONS", "*", "*", "a.example", "a.example"),
        (head(host="A.Example:8443"), "GET", "/", "/", "a.example", "a.example:8443"),
        (head(host="a.example:"), "GET", "/", "/", "a.example", "a.example:"),
        (head(host="[2001:DB8::1]:80"), "GET", "/", "/", "[2001:db8::1]", "[2001:db8::1]:80"),
        (head(request="GET / HTTP/1.0", host=None), "GET", "/", "/", None, None),
        (head(request="GET / HTTP/1.0"), "GET", "/", "/", "a.example", "a.example"),
        (head(request="GET http://A.example/x?y HTTP/1.1"), "GET", "http://A.example/x?y", "/x?y", *["a.example"] * 2),
        (head(request="GET HTTPS://a.example HTTP/1.1"), "GET", "HTTPS://a.example", "/", "a.example", "a.example"),
        (head(request="GET http://a.example?b HTTP/1.1"), "GET", "http://a.example?b", "/?b", *["a.example"] * 2),
        (head(request="OPTIONS http://a.example HTTP/1.1"), "OPTIONS", "http://a.example", "*", *["a.example"] * 2),
        (head(request="OPTIONS http://a.example/ HTTP/1.1"), "OPTIONS", "http://a.example/", "/", *["a.example"] * 2),
        (head(request="GET http://b/ HTTP/1.0", host=None), "GET", "http://b/", "/", "b", "b"),
        (head(request="GET //b/c HTTP/1.1"), "GET", "//b/c", "//b/c", "a.example", "a.example"),
    ],
)
def test_forms_of_the_request_target(
    data: bytes, method: str, target: str, path: str, host: str | None, authority: str | None
) -> None:
    found = read(data)
    assert seen(found) == (method, target, host, False, False, len(data))
    assert (found.path, found.authority) == (path, authority)


def test_one_empty_line_before_the_request_line_belongs_to_it() -> None:
    assert read(b"\r\n" + head()) == read(head())._replace(size=len(head()) + 2)


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
        (["Connection: keep-alive, upgrade", "Upgrade: foo/2"], True),
        (["Connection: upgrade", "Upgrade: h2c"], False),
        (["Connection: upgrade", "Upgrade: websocket", "Upgrade: h2c"], False),
        (["Connection: upgrade", "Upgrade: HTTP/2.0"], False),
        (["Connection: keep-alive", "Connection: UPGRADE", "Upgrade: websocket"], True),
        (["Upgrade: websocket"], False),
        (["Connection: upgrade"], False),
        (["Connection: close", "Upgrade: websocket"], False),
    ],
)
def test_an_upgrade_names_it_in_both_headers(lines: list[str], is_upgrade: bool) -> None:
    assert read(head(*lines)).is_upgrade is is_upgrade


def test_an_upgrade_of_http_1_0_is_ignored() -> None:
    assert not read(head("Connection: upgrade", "Upgrade: websocket", request="GET / HTTP/1.0")).is_upgrade


@pytest.mark.parametrize(
    ("version", "lines", "keeps_alive"),
    [
        ("1.1", [], True),
        ("1.1", ["Connection: keep-alive"], True),
        ("1.1", ["Connection: Close"], False),
        ("1.1", ["Connection: keep-alive, close"], False),
        ("1.1", ["Connection: keep-alive", "Connection: close"], False),
        ("1.0", [], False),
        ("1.0", ["Connection: Keep-Alive"], True),
        ("1.0", ["Connection: keep-alive, close"], False),
    ],
)
def test_version_and_connection_tell_whether_it_lasts(version: str, lines: list[str], keeps_alive: bool) -> None:
    assert read(head(*lines, request=f"GET / HTTP/{version}")).keeps_alive is keeps_alive


@pytest.mark.parametrize(
    ("version", "lines", "expects"),
    [
        ("1.1", ["Content-Length: 1", "Expect: 100-Continue"], True),
        ("1.1", ["Transfer-Encoding: chunked", "Expect: 100-continue"], True),
        ("1.1", ["Content-Length: 1"], False),
        ("1.1", ["Content-Length: 0", "Expect: 100-continue"], False),
        ("1.1", ["Expect: 100-continue"], False),
        ("1.0", ["Content-Length: 1", "Expect: 100-continue"], False),
    ],
)
def test_only_a_body_is_worth_waiting_for(version: str, lines: list[str], expects: bool) -> None:
    assert read(head(*lines, request=f"POST / HTTP/{version}")).expects_continue is expects


def test_fields_are_as_they_came() -> None:
    block = b"X-A:b\r\nx-a: \t c d\t \r\nX-Empty:\r\nX-White: \r\n"
    assert parse_fields(block) == (
        Field(b"x-a", b"b", b"X-A:b\r\n"),
        Field(b"x-a", b"c d", b"x-a: \t c d\t \r\n"),
        Field(b"x-empty", b"", b"X-Empty:\r\n"),
        Field(b"x-white", b"", b"X-White: \r\n"),
    )
    assert parse_fields(b"") == ()


@pytest.mark.parametrize("block", [b"X: a", b"X: a\r\nY: b", b"X", b"X: a\r\n\r\n", b"\r\n", b"X: a\n", b"\n"])
def test_fields_end_with_crlf_and_are_not_empty(block: bytes) -> None:
    with pytest.raises(Malformed, match=r"\Ahttp head: "):
        parse_fields(block)


def test_list_members_of_all_lines() -> None:
    assert list_members([b"A, b", b"", b" ,c;D=e,\t"]) == [b"a", b"b", b"c;d=e"]
    assert list_members([]) == []


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
    (head("Content-Length: 5", "content-length: 6"), "content-length given more than once"),
    (head("Content-Length: 5, 5"), "bad content-length"),
    (head("Content-Length: 5,"), "bad content-length"),
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
    (head(request="CONNECT a.example:443 HTTP/1.1", host="a.example:443"), "connect is not served here"),
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
        head(f"Connection: {SECRET}/, close"),
        head(f"Expect: {SECRET}"),
        head(request=f"GET {SECRET}://a.example/ HTTP/1.1"),
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


def test_a_head_is_refused_as_soon_as_its_fault_shows() -> None:
    for data, text in [
        (b"\0", "illegal request line"),
        (b"(", "illegal request line"),
        (b" ", "illegal request line"),
        (b"\r\n(", "illegal request line"),
        (b"\r\n ", "a line begins with white space"),
        (b"\r\n\r", "no request line received"),
        (b"G" * 33, "illegal request line"),
        (b"GET / HTTP/1.1 \r\n", "illegal request line"),
        (b"GET / HTTP/3.0\r\n", "unknown version"),
        (b"GET /#a HTTP/1.1\r\n", "request target with a fragment"),
        (head()[:-2] + b"X: a\n", "bare cr or lf"),
        (head()[:-2] + b"X: a\r\n ", "a line begins with white space"),
        (b"\r\n" + head(*["a:"] * MOST_FIELDS)[:-2], "too many fields"),
        (head(*["a:"] * (MOST_FIELDS + 1))[:-2], "too many fields"),
    ]:
        assert malformed(parse_head, data).startswith(f"http head: {text}")
        for end in range(len(data)):
            assert parse_head(data[:end]) == More(end + 1)


def test_what_follows_a_bad_head_does_not_change_its_refusal() -> None:
    bad = head(request="GET / HTTP/1.2")
    assert malformed(parse_head, bad + b"\n \r") == malformed(parse_head, bad)


@pytest.mark.parametrize("value", [b"a" * 32000, b" " * 32000, b"a \t" * 10000, b"a" + b" " * 31000 + b"\0"])
def test_no_value_takes_long(value: bytes) -> None:
    started = thread_time()
    check_total(parse_head, head()[:-2] + b"X: " + value + b"\r\n\r\n", LARGEST_HEAD)
    assert thread_time() - started < 0.1


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
