"""The head of an HTTP/1 response from an upstream.

Tolerant where real servers are sloppy and nothing depends on it: the reason phrase may be missing, with or without
the space before it. Strict about everything that tells where the response ends, because what is left over on the
connection would be read as the answer to the next request.

Sources: RFC 9112, sections 4 (status line), 6.1 to 6.3 (length of the body), 9.3 (persistence); RFC 9110, sections
7.8 and 15.2.2 (switching protocols), 8.6 (Content-Length).
"""

import re
from typing import NamedTuple

from gateway.wire.httpbody import Body, Chunked, Length, UntilClose
from gateway.wire.httpfields import (
    Field,
    body_length,
    connection_options,
    parse_fields,
    unfinished,
)
from gateway.wire.verdict import Malformed, More

LARGEST_RESPONSE_HEAD = 64 * 1024  # bytes: cookies and policies of applications, which are trusted more than clients

_PHASE = "http response"
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t -~\x80-\xff]*+))?+\r\n")
_BEGINNING = b"HTTP/1."
_NO_OPTIONS: frozenset[bytes] = frozenset()
_DECIDING = frozenset((b"content-length", b"transfer-encoding", b"connection", b"upgrade"))

_SWITCHING = 101
_NO_CONTENT = 204
_NOT_MODIFIED = 304


class ResponseHead(NamedTuple):
    """What a gateway passes on, and how it finds the end of it."""

    status: int
    minor: int  # HTTP/1.minor
    fields: tuple[Field, ...]
    reason: bytes
    size: int  # bytes of the head with its empty line
    body: Body  # fresh, to be fed what follows the head
    keeps_alive: bool
    is_upgrade: bool  # what follows is not HTTP

    def values(self, name: bytes) -> list[bytes]:
        """Give the values of all fields of this lower-case name, in order."""
        return [field.value for field in self.fields if field.name == name]


def parse_response(data: bytes | memoryview, method: str) -> ResponseHead | More:
    """Read the response head that `data` begins with, which answers a `method`. Raises Malformed.

    A 1xx other than 101 is only announced: the head of the final response follows it.
    """
    seen = bytes(data[:LARGEST_RESPONSE_HEAD])
    end = seen.find(b"\r\n\r\n")
    line = _STATUS_LINE.match(seen)
    if line is None:
        return _begun(seen if end < 0 else seen[: end + 4])
    if end < 0:
        return unfinished(seen, LARGEST_RESPONSE_HEAD, _PHASE)
    minor, status, reason = line.groups()
    fields = parse_fields(seen[line.end() : end + 2], _PHASE)
    return _judge(method, int(status), 1 if minor == b"1" else 0, fields, reason or b"", end + 4)


def _begun(seen: bytes) -> More:
    """Answer for a head whose status line is not, or not yet, one. Raises Malformed."""
    more = unfinished(seen, LARGEST_RESPONSE_HEAD, _PHASE)
    if b"\r\n" in seen or not (seen.startswith(_BEGINNING) or _BEGINNING.startswith(seen)):
        raise Malformed(f"{_PHASE}: illegal status line, expected http/1.0 or http/1.1 and a status")
    return more


def _judge(method: str, status: int, minor: int, fields: tuple[Field, ...], reason: bytes, size: int) -> ResponseHead:
    """Decide what the fields mean together. Raises Malformed."""
    deciding = _deciding(fields)
    options = connection_options(deciding[b"connection"], _PHASE) if b"connection" in deciding else _NO_OPTIONS
    body = _body(method, status, minor, deciding)
    is_upgrade = status == _SWITCHING
    if is_upgrade and not (b"upgrade" in deciding and b"upgrade" in options and minor == 1):
        raise Malformed(f"{_PHASE}: status 101 without an upgrade")
    may_last = b"close" not in options and (minor == 1 or b"keep-alive" in options)
    keeps_alive = may_last and not is_upgrade and not isinstance(body, UntilClose)
    return tuple.__new__(ResponseHead, (status, minor, fields, reason, size, body, keeps_alive, is_upgrade))


def _deciding(fields: tuple[Field, ...]) -> dict[bytes, bytes]:
    """Give the fields that decide something, the lines of a list joined. Raises Malformed if framing repeats."""
    found: dict[bytes, bytes] = {}
    for name, value, _line in fields:
        if name not in _DECIDING:
            continue
        if name not in found:
            found[name] = value
        elif name in (b"content-length", b"transfer-encoding"):
            raise Malformed(f"{_PHASE}: {name.decode('ascii')} given more than once")
        else:
            found[name] += b"," + value
    return found


def _body(method: str, status: int, minor: int, deciding: dict[bytes, bytes]) -> Body:
    """Find how the body ends (RFC 9112, 6.3). Raises Malformed."""
    length = body_length(deciding, minor, _PHASE)
    if status < 200 or status == _NO_CONTENT:  # RFC 9110, 8.6; a length of 0, though forbidden, is common
        if length is None or length > 0:
            raise Malformed(f"{_PHASE}: a body with a status that has none")
        return Length(0)
    if method == "HEAD" or status == _NOT_MODIFIED:
        return Length(0)
    if length is None:
        return Chunked(strict=False)
    return UntilClose() if length == -1 else Length(length)
