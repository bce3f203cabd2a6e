"""Responses of upstreams, sloppy ones and hostile ones, and how they are to be understood."""

from gateway.wire.httpbody import Body, Chunked, Length, UntilClose

# a response, the method it answers, and either its body and whether the connection goes on, or why it is refused
Answer = tuple[bytes, str, tuple[Body, bool] | str]


def answer(*lines: str, line: str = "HTTP/1.1 200 OK") -> bytes:
    """Make a response head of these field lines; every character is one byte."""
    return "".join(f"{one}\r\n" for one in (line, *lines, "")).encode("latin-1")


_BOTH = "transfer-encoding with content-length or in http/1.0"
_CODING = "only transfer-encoding chunked is supported"
_LENGTH = "bad content-length"
_STATUS = "illegal status line"
_NONE = "a body with a status that has none"
_NAMED = "connection names a field of framing"
_UPGRADE = ("Connection: Upgrade", "Upgrade: websocket")
_SWITCH = "HTTP/1.1 101 Switching Protocols"
_DATE = "Date: Tue, 01 Jul 2025 12:00:00 GMT"
_CHUNKED = "Transfer-Encoding: chunked"

_READ: tuple[Answer, ...] = (
    (answer("Content-Length: 5", _DATE), "GET", (Length(5), True)),
    (answer("Content-Length: 0"), "GET", (Length(0), True)),
    (answer("Content-Length: 5", "Connection: close"), "GET", (Length(5), False)),
    (answer("Content-Length: 5", "Connection: Close, x"), "GET", (Length(5), False)),
    (answer("Content-Length: 5", "Connection: x", "Connection: close"), "GET", (Length(5), False)),
    (answer("Content-Length: 5", line="HTTP/1.0 200 OK"), "GET", (Length(5), False)),
    (answer("Content-Length: 5", "Connection: keep-alive", line="HTTP/1.0 200 OK"), "GET", (Length(5), True)),
    (answer(_CHUNKED), "GET", (Chunked(strict=False), True)),
    (answer("transfer-encoding:CHUNKED"), "POST", (Chunked(strict=False), True)),
    (answer(), "GET", (UntilClose(), False)),
    (answer("Connection: keep-alive"), "GET", (UntilClose(), False)),
    (answer(line="HTTP/1.0 200 OK"), "GET", (UntilClose(), False)),
    (answer("Content-Length: 5"), "HEAD", (Length(0), True)),
    (answer(_CHUNKED), "HEAD", (Length(0), True)),
    (answer(), "HEAD", (Length(0), True)),
    (answer(line="HTTP/1.1 204 No Content"), "GET", (Length(0), True)),
    (answer("Content-Length: 0", line="HTTP/1.1 204 No Content"), "DELETE", (Length(0), True)),
    (answer(line="HTTP/1.1 304 Not Modified"), "GET", (Length(0), True)),
    (answer("Content-Length: 5", 'ETag: "a"', line="HTTP/1.1 304 Not Modified"), "GET", (Length(0), True)),
    (answer(_CHUNKED, line="HTTP/1.1 304 Not Modified"), "GET", (Length(0), True)),
    (answer("Content-Length: 0", line="HTTP/1.1 205 Reset Content"), "POST", (Length(0), True)),
    (answer(line="HTTP/1.1 100 Continue"), "POST", (Length(0), True)),
    (answer("Link: </a.css>; rel=preload", line="HTTP/1.1 103 Early Hints"), "GET", (Length(0), True)),
    (answer(*_UPGRADE, line=_SWITCH), "GET", (Length(0), False)),
    (answer("Upgrade: websocket", "connection: x, UPGRADE", line=_SWITCH), "GET", (Length(0), False)),
    (answer("Content-Length: 1", line="HTTP/1.1 200 "), "GET", (Length(1), True)),
    (answer("Content-Length: 1", line="HTTP/1.1 200"), "GET", (Length(1), True)),
    (answer("Content-Length: 1", line="HTTP/1.1 404 \xfcberfl\xfcssig\t!"), "GET", (Length(1), True)),
    (answer("Content-Length: 1", line="HTTP/1.1 999 Request denied"), "GET", (Length(1), True)),
    (answer("Content-Length: \t1 ", "X-Name: caf\xe9", "X-Empty:"), "GET", (Length(1), True)),
    (answer("Content-Length: 1", "Set-Cookie: a=b", "Set-Cookie: c=d"), "GET", (Length(1), True)),
    (answer("Content-Length: 1", "Host: b", "Expect: c"), "GET", (Length(1), True)),
    (answer(f"Content-Length: {2**63 - 1}"), "GET", (Length(2**63 - 1), True)),
)
_REFUSED: tuple[Answer, ...] = (
    (answer("Content-Length: 5", _CHUNKED), "GET", _BOTH),
    (answer("Content-Length: 5", _CHUNKED), "HEAD", _BOTH),
    (answer(_CHUNKED, line="HTTP/1.0 200 OK"), "GET", _BOTH),
    (answer("Content-Length: 5", "Content-Length: 5"), "GET", "content-length given more than once"),
    (answer("Content-Length: 5", "Content-Length: 6"), "HEAD", "content-length given more than once"),
    (answer("Content-Length: 5, 5"), "GET", _LENGTH),
    (answer("Content-Length: +5"), "GET", _LENGTH),
    (answer("Content-Length: -1"), "GET", _LENGTH),
    (answer("Content-Length: 05"), "GET", _LENGTH),
    (answer("Content-Length:"), "GET", _LENGTH),
    (answer(f"Content-Length: {2**63}"), "GET", _LENGTH),
    (answer("Content-Length: x", line="HTTP/1.1 304 Not Modified"), "GET", _LENGTH),
    (answer("Transfer-Encoding: gzip"), "GET", _CODING),
    (answer("Transfer-Encoding: gzip, chunked"), "GET", _CODING),
    (answer("Transfer-Encoding: identity"), "GET", _CODING),
    (answer("Transfer-Encoding:"), "GET", _CODING),
    (answer(_CHUNKED, _CHUNKED), "GET", "transfer-encoding given more than once"),
    (answer("Content-Length: 5", line="HTTP/1.1 204 No Content"), "GET", _NONE),
    (answer(_CHUNKED, line="HTTP/1.1 204 No Content"), "GET", _NONE),
    (answer("Content-Length: 5", line="HTTP/1.1 100 Continue"), "POST", _NONE),
    (answer(_CHUNKED, *_UPGRADE, line=_SWITCH), "GET", _NONE),
    (answer("Content-Length: 5", "Connection: content-length"), "GET", _NAMED),
    (answer(_CHUNKED, "Connection: transfer_encoding"), "GET", _NAMED),
    (answer("Content-Length: 5", "Connection: a b"), "GET", "a connection option is no token"),
    (answer(line=_SWITCH), "GET", "status 101 without an upgrade"),
    (answer("Upgrade: websocket", line=_SWITCH), "GET", "status 101 without an upgrade"),
    (answer("Connection: upgrade", line=_SWITCH), "GET", "status 101 without an upgrade"),
    (answer(*_UPGRADE, line="HTTP/1.0 101 Switching Protocols"), "GET", "status 101 without an upgrade"),
    (answer("X : a"), "GET", "illegal header line"),
    (answer("X"), "GET", "illegal header line"),
    (answer(": a"), "GET", "illegal header line"),
    (answer("X: a\0"), "GET", "illegal header line"),
    (answer("X: a", " b"), "GET", "a line begins with white space"),
    (answer("X: a\nSet-Cookie: b"), "GET", "bare cr or lf"),
    (answer("X: a\rSet-Cookie: b"), "GET", "bare cr or lf"),
    (answer(*["X: a"] * 129), "GET", "too many fields"),
    (answer("X: " + "a" * 65536), "GET", "unfinished after 65536 bytes"),
    (answer(line="HTTP/1.1 200 O\0K"), "GET", _STATUS),
    (answer(line="HTTP/1.1  200 OK"), "GET", _STATUS),
    (answer(line="HTTP/1.1 20 OK"), "GET", _STATUS),
    (answer(line="HTTP/1.1 2000 OK"), "GET", _STATUS),
    (answer(line="HTTP/1.1 099 OK"), "GET", _STATUS),
    (answer(line="HTTP/1.1 +20 OK"), "GET", _STATUS),
    (answer(line="HTTP/1.1 OK"), "GET", _STATUS),
    (answer(line="HTTP/1.1\t200 OK"), "GET", _STATUS),
    (answer(line="HTTP/2.0 200 OK"), "GET", _STATUS),
    (answer(line="HTTP/1.2 200 OK"), "GET", _STATUS),
    (answer(line="http/1.1 200 OK"), "GET", _STATUS),
    (answer(line="ICY 200 OK"), "GET", _STATUS),
    (answer(line=""), "GET", _STATUS),
    (b"SSH-2.0-OpenSSH_9.2p1", "GET", _STATUS),
    (b"\0", "GET", _STATUS),
    (b"HTTP/1.1 200 OK\n\n", "GET", "bare cr or lf"),
    (b"<html>hello</html>", "GET", _STATUS),
    (b"\r\nHTTP/1.1 200 OK\r\n\r\n", "GET", _STATUS),
)

RESPONSES = (*_READ, *_REFUSED)
