"""Chunked bodies: sizes, extensions, line ends, trailers."""

from tests.gateway.wire.corpus.cases import SMUGGLED, Hostile, bad_body, chunked, read

_SIZE = "bad chunk size"
_LONGER = "a chunk is longer than its size"
_TRAILER = "a trailer of this name must be in the head"
_FIELD = "illegal header line"

_SIZES = {
    "empty": b"\r\nabc",
    "plus": b"+3\r\nabc",
    "minus": b"-3\r\nabc",
    "minus zero": b"-0\r\n\r\n",
    "0x": b"0x3\r\nabc",
    "upper-case 0X": b"0X3\r\nabc",
    "hexadecimal suffix": b"3h\r\nabc",
    "underscore, which python reads": b"1_0\r\n" + b"a" * 16,
    "no digit": b"g\r\nabc",
    "space before": b" 3\r\nabc",
    "space behind": b"3 \r\nabc",
    "tab behind": b"3\t\r\nabc",
    "vertical tab behind": b"3\x0b\r\nabc",
    "nul behind": b"3\0\r\nabc",
    "space inside": b"3 0\r\nabc",
    "comma": b"3,\r\nabc",
    "fraction": b"3.0\r\nabc",
    "17 digits": b"0" * 16 + b"3\r\nabc",
    "zeros without an end": b"0" * 10_000,
    "wraps 64 bits": b"10000000000000003\r\nabc",
    "beyond ascii": b"\xb3\r\nabc",
    "full-width digit": b"\xef\xbc\x93\r\nabc",
    "bare lf": b"3\nabc\n0\n\n",
    "bare cr": b"3\rabc",
    "two crs": b"3\r\r\nabc",
    "extension": b"3;a=b\r\nabc",
    "extension without a name": b"3;\r\nabc",
    "extension in quotes": b'3;a="b"\r\nabc',
    "extension with a space before": b"3 ;a\r\nabc",
    "extension with a bare lf": b"3;\nabc",
    "extension with a bare cr": b"3;a\rb\r\nabc",
    "extension that hides a chunk": b"3;\n41\r\nabc",
    "extension without an end": b"3;" + b"a" * 20_000,
    "extension of the last chunk": b"0;a\r\n\r\n",
    "head of a request": SMUGGLED,
}
_ENDS = {
    "longer than its size": b"3\r\nabcd\r\n0\r\n\r\n",
    "much longer": b"1\r\n" + SMUGGLED + b"0\r\n\r\n",
    "bare lf at its end": b"3\r\nabc\n0\r\n\r\n",
    "bare cr at its end": b"3\r\nabc\r0\r\n\r\n",
    "any two bytes at its end": b"3\r\nabcXX0\r\n\r\n",
    "lf cr at its end": b"3\r\nabc\n\r0\r\n\r\n",
    "nothing at its end": b"3\r\nabc0\r\n\r\n",
    "space at its end": b"3\r\nabc \r\n0\r\n\r\n",
}
_TRAILER_NAMES = (
    "Host content-length Transfer-Encoding transfer_encoding Connection Keep-Alive Upgrade TE Trailer Expect"
    " Authorization Proxy-Authorization Cookie Set-Cookie Content-Encoding Content-Type Content-Range Cache-Control"
    " Range If-Match Via X-Forwarded-For x_forwarded_for Forwarded X-Real-IP X-Podgate-User x_podgate_user X-PODGATE-"
).split()
_TRAILERS = {
    "no name": (b": a\r\n\r\n", _FIELD),
    "no colon": (b"X\r\n\r\n", _FIELD),
    "space before the colon": (b"X : a\r\n\r\n", _FIELD),
    "control character": (b"X: \0\r\n\r\n", _FIELD),
    "bare lf": (b"X: a\n\r\n", "bare cr or lf"),
    "bare lf first": (b"\n", "bare cr or lf"),
    "bare cr": (b"X: a\rb\r\n\r\n", "bare cr or lf"),
    "cr first": (b"\rX: a\r\n\r\n", "bare cr or lf"),
    "folded": (b"X: a\r\n b\r\n\r\n", "a line begins with white space"),
    "the next request": (SMUGGLED, _FIELD),
    "too long": (b"X: " + b"a" * 8192 + b"\r\n\r\n", "more than 8192 bytes"),
    "too long without an end": (b"X: " + b"a" * 9000, "more than 8192 bytes"),
    "too many": (b"X: a\r\n" * 129 + b"\r\n", "more than 128 trailers"),
    "too long together": ((b"X: " + b"a" * 100 + b"\r\n") * 90 + b"\r\n", "more than 8192 bytes"),
}


def _read(name: str, body: bytes, rest: bytes = b"") -> Hostile:
    return read(f"chunks: {name}", chunked(), body=body, rest=rest, length=None)


CASES = (
    *(bad_body(f"chunk size: {name}", chunked() + body, _SIZE) for name, body in _SIZES.items()),
    *(
        bad_body(f"later chunk size: {name}", chunked() + b"1\r\na\r\n" + body, _SIZE)
        for name, body in list(_SIZES.items())[:6]
    ),
    *(bad_body(f"chunk end: {name}", chunked() + body, _LONGER) for name, body in _ENDS.items()),
    bad_body("chunk size: 2**63", chunked() + b"8000000000000000\r\nabc", "chunk size beyond"),
    bad_body("chunk size: 2**64 less one", chunked() + b"ffffffffffffffff\r\nabc", "chunk size beyond"),
    bad_body("later chunk size: 2**63", chunked() + b"1\r\na\r\n8000000000000000\r\nabc", "chunk size beyond"),
    *(bad_body(f"trailer: {name}", chunked() + b"0\r\n" + body, text) for name, (body, text) in _TRAILERS.items()),
    *(
        bad_body(f"trailer: {name}", chunked() + f"0\r\n{name}: a\r\n\r\n".encode(), _TRAILER)
        for name in _TRAILER_NAMES
    ),
    bad_body("trailer: second", chunked() + b"0\r\nX: a\r\nCookie: b\r\n\r\n", _TRAILER),
    _read("only the last", b"0\r\n\r\n", SMUGGLED),
    _read("last of many zeros", b"0000000000000000\r\n\r\n", SMUGGLED),
    _read("leading zeros", b"0000000000000003\r\nabc\r\n0\r\n\r\n", SMUGGLED),
    _read("upper and lower case", b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"G"),
    _read("payload that looks like an end", b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", SMUGGLED),
    _read("payload that looks like a request", b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)),
    _read("trailers", b"3\r\nabc\r\n0\r\nX-Checksum: a\r\ngrpc-status: 0\r\n\r\n", SMUGGLED),
    _read("as many trailers as may be", b"0\r\n" + b"X: a\r\n" * 128 + b"\r\n"),
    _read("many small ones", b"1\r\na\r\n" * 500 + b"0\r\n\r\n", SMUGGLED),
)
