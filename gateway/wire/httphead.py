"""The head of an HTTP/1 request, read strictly: what two parsers could read differently is refused.

A complete head costs one search for its end, one match of the request line and one pass over the field lines
(`httpfields`); only the few fields that decide something are then looked at. h11 is the judge of this file in its
tests: nothing that h11 refuses is accepted, except one empty line before the request line.

Sources: RFC 9110, sections 7.6.1 (Connection), 7.8 (Upgrade), 10.1.1 (Expect); RFC 9112, sections 2.2 (line ends),
3 (request line), 3.2 (Host), 6.1 to 6.3 (length of the body), 9.3 (persistence).
"""

import re
from typing import NamedTuple

from gateway.wire.httpaccept import prefers_html
from gateway.wire.httpfields import (
    TOKEN,
    Field,
    body_length,
    connection_options,
    list_members,
    parse_fields,
    unfinished,
)
from gateway.wire.httpreply import redirect, refusal
from gateway.wire.httptarget import read_authority, read_target
from gateway.wire.verdict import Malformed, More

__all__ = [
    "LARGEST_HEAD",
    "Field",
    "RequestHead",
    "list_members",
    "parse_fields",
    "parse_head",
    "redirect",
    "refusal",
]

LARGEST_HEAD = 32 * 1024  # bytes: browsers send up to some 16 KiB of cookies

_PHASE = "http head"
# A fragment is never sent; servers differ on where the path ends if it is (HAProxy: CVE-2023-45539).
_REQUEST_LINE = re.compile(rb"(?:\r\n)?+(" + TOKEN + rb"{1,32}+) ([!-\"$-~]++) HTTP/1\.([01])\r\n")
_ANY_VERSION = re.compile(rb"(?:\r\n)?+" + TOKEN + rb"{1,32}+ [!-~]++ HTTP/[0-9]\.[0-9]\r\n")
_BEGINNING = re.compile(rb"\r?\Z|(?:\r\n)?+(?:" + TOKEN + rb"{0,32}+\Z|" + TOKEN + rb"{1,32}+ )")

_DECIDING = frozenset((b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"expect"))
_NO_OPTIONS: frozenset[bytes] = frozenset()
_LISTS = frozenset((b"connection", b"upgrade"))
_REPEATED = {
    b"host": "found multiple host fields",
    b"content-length": "content-length given more than once",
    b"transfer-encoding": "multiple transfer-encoding headers",
    b"expect": "expect given more than once",
}


class RequestHead(NamedTuple):
    """What a gateway decides by, and what it sends on. A tuple, because a frozen dataclass takes 2 µs to make."""

    method: str
    target: str  # as received: origin form, absolute form or `*`
    path: str  # origin form for an upstream, or `*`
    minor: int  # HTTP/1.minor
    host: str | None  # lower case, without port; None: an HTTP/1.0 request that names none
    authority: str | None  # lower case, with the port as given
    fields: tuple[Field, ...]
    length: int | None  # of the body; None: chunked; 0: none
    is_upgrade: bool  # to another protocol than HTTP
    keeps_alive: bool
    expects_continue: bool  # before it sends a body; false where HTTP says to ignore it
    size: int  # bytes of the head with its empty line, and with an empty line before it

    @property
    def wants_html(self) -> bool:
        """A person's browser, not a program. Read anew each time: only a refusal asks."""
        return prefers_html(self.values(b"accept"))

    def values(self, name: bytes) -> list[bytes]:
        """Give the values of all fields of this lower-case name, in order."""
        return [field.value for field in self.fields if field.name == name]


def parse_head(data: bytes | memoryview) -> RequestHead | More:
    """Read the head that `data` begins with; what follows it is left alone. Raises Malformed."""
    seen = bytes(data[:LARGEST_HEAD])
    end = seen.find(b"\r\n\r\n")
    line = _REQUEST_LINE.match(seen)
    if line is None:
        return _begun(seen if end < 0 else seen[: end + 4])
    if end < 0:
        return unfinished(seen, LARGEST_HEAD, _PHASE)
    method, target, minor = line.groups()
    fields = parse_fields(seen[line.end() : end + 2])
    return _judge(method.decode("ascii"), target.decode("ascii"), 1 if minor == b"1" else 0, fields, end + 4)


def _begun(seen: bytes) -> More:
    """Answer for a head whose request line is not, or not yet, one. Raises Malformed."""
    more = unfinished(seen, LARGEST_HEAD, _PHASE)
    if seen.startswith(b"\r\n\r"):
        raise Malformed(f"{_PHASE}: no request line received")
    if _BEGINNING.match(seen) is None:
        raise Malformed(f"{_PHASE}: illegal request line, expected a method of at most 32 characters")
    if b"\r\n" not in seen[2:]:
        return more
    if _ANY_VERSION.match(seen) is None:
        raise Malformed(f"{_PHASE}: illegal request line")
    if b"#" in seen[2 : seen.find(b"\r\n", 2)]:
        raise Malformed(f"{_PHASE}: request target with a fragment")
    raise Malformed(f"{_PHASE}: unknown version, expected 1.0 or 1.1")


def _judge(method: str, target: str, minor: int, fields: tuple[Field, ...], size: int) -> RequestHead:
    """Decide what the fields mean together. Raises Malformed."""
    path, named = (target, None) if target[0] == "/" and method != "CONNECT" else read_target(method, target)
    deciding = _deciding(fields)
    host, authority = _place(deciding.get(b"host"), named, minor)
    length = body_length(deciding, minor, _PHASE)
    has_body = length != 0 and length != -1
    options = connection_options(deciding[b"connection"], _PHASE) if b"connection" in deciding else _NO_OPTIONS
    is_upgrade = b"upgrade" in deciding and b"upgrade" in options
    if is_upgrade and has_body:
        raise Malformed(f"{_PHASE}: an upgrade with a body")
    if has_body and method == "TRACE":
        raise Malformed(f"{_PHASE}: trace with a body")
    return tuple.__new__(
        RequestHead,
        (
            method,
            target,
            path,
            minor,
            host,
            authority,
            fields,
            0 if length == -1 else length,
            is_upgrade and minor == 1 and _leaves_http(deciding[b"upgrade"]),
            b"close" not in options and (minor == 1 or b"keep-alive" in options),
            b"expect" in deciding and _expects_continue(deciding[b"expect"]) and minor == 1 and has_body,
            size,
        ),
    )


def _deciding(fields: tuple[Field, ...]) -> dict[bytes, bytes]:
    """Give the fields that decide something, the lines of a list joined. Raises Malformed if another one repeats.

    No client writes more than one space around those of which there may be one only, and servers disagree on it: to
    nginx 1.22 and Node 20 `chunked` behind a tab is no known coding, and a length before a space no number.
    """
    found: dict[bytes, bytes] = {}
    for name, value, line in fields:
        if name not in _DECIDING:
            continue
        if name in _LISTS:
            found[name] = found[name] + b"," + value if name in found else value
        elif name in found:
            raise Malformed(f"{_PHASE}: {_REPEATED[name]}")
        elif line.endswith(b": " + value + b"\r\n") or line.endswith(b":" + value + b"\r\n"):  # noqa: PIE810  # fast
            found[name] = value
        else:
            raise Malformed(f"{_PHASE}: white space around host, a length, a coding or an expectation")
    return found


def _place(field: bytes | None, named: str | None, minor: int) -> tuple[str | None, str | None]:
    """Give host and authority of Host and of what the target names. Raises Malformed if they differ."""
    if field is None:
        if minor == 1:
            raise Malformed(f"{_PHASE}: missing mandatory host field")
        return (None, None) if named is None else read_authority(named.encode("ascii"))
    host, authority = read_authority(field)
    if named is not None and named != authority:
        read_authority(named.encode("ascii"))
        raise Malformed(f"{_PHASE}: request target and host differ")
    return host, authority


def _leaves_http(upgrade: bytes) -> bool:
    """Tell whether no other HTTP is offered: inside h2c no request would be judged. An Upgrade may be ignored (7.8)."""
    return not any(protocol.startswith((b"h2c", b"http/")) for protocol in list_members((upgrade,)))


def _expects_continue(expect: bytes) -> bool:
    """Raises Malformed if something else is expected."""
    if expect.lower() != b"100-continue":
        raise Malformed(f"{_PHASE}: unknown expectation, expected 100-continue")
    return True
