"""The field lines of an HTTP/1 message: of a request, of a response, and of the trailers behind a chunked body.

Written for speed, because every request pays for it: one regular expression finds all lines, each of which begins
where a line begins and ends with the only LF in it. There is nothing between them, then, if the block has as many LFs
as were found. Only a block that fails this is looked at closely, for the words of its refusal.

Sources: RFC 9110, sections 5.1 (names), 5.5 (values), 5.6.1 (lists), 7.6.1 (Connection); RFC 9112, sections 2.2 (line
ends), 5.1 (no white space before the colon), 5.2 (no folding), 6.3 (lengths).
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from gateway.wire.verdict import Malformed, More

MOST_FIELDS = 128  # lines: browsers send some 25; each costs about 400 ns to read
LARGEST_LENGTH = 2**63 - 1  # bytes: what a signed 64-bit integer holds, as most servers count
_LENGTH_DIGITS = len(str(LARGEST_LENGTH))
_ZERO = ord("0")

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_LINE = re.compile(rb"^((" + TOKEN + rb"++):[ \t]*+((?:[\t -~\x80-\xff]*[!-~\x80-\xff])?+)[ \t]*+\r\n)", re.MULTILINE)
_NAME = re.compile(TOKEN + rb"++")

# What only its own hop may drop: with these gone, the next server would see another request than was judged here.
_FRAMING = frozenset((b"content-length", b"transfer-encoding", b"host", b"expect"))
_IDENTITY = frozenset((b"authorization", b"cookie", b"forwarded", b"x-real-ip"))
_IDENTITY_BEGINNINGS = (b"x-forwarded", b"x-podgate")


class Field(NamedTuple):
    """One field line."""

    name: bytes  # lower case
    value: bytes  # without surrounding white space
    line: bytes  # as received, with its CRLF


def parse_fields(block: bytes, phase: str = "http head") -> tuple[Field, ...]:
    """Read field lines with a CRLF after each and no empty line. Raises Malformed, which names `phase`."""
    found = _LINE.findall(block)
    if block.count(b"\n") != len(found) or (block and not block.endswith(b"\n")):
        raise Malformed(f"{phase}: {_fault(block)}")
    if len(found) > MOST_FIELDS:
        raise Malformed(f"{phase}: too many fields, the limit is {MOST_FIELDS}")
    new = tuple.__new__  # half the time of Field(…)
    return tuple([new(Field, (name.lower(), value, line)) for line, name, value in found])


def list_members(values: Iterable[bytes]) -> list[bytes]:
    """Give the members of a comma-separated list in lower case, of all its lines together; empty ones are none."""
    return [stripped for value in values for member in value.lower().split(b",") if (stripped := member.strip(b" \t"))]


@lru_cache(maxsize=64)  # a handful of values is all that clients send; none is longer than a head
def connection_options(value: bytes, phase: str) -> frozenset[bytes]:
    """Give the members of Connection. Raises Malformed if one names what must not be dropped on the way."""
    options = frozenset(list_members((value,)))
    for option in options:
        if _NAME.fullmatch(option) is None:
            raise Malformed(f"{phase}: a connection option is no token")
        if decides_identity(option) or plain(option) in _FRAMING:
            raise Malformed(f"{phase}: connection names a field of framing, routing or identity")
    return options


def decides_identity(name: bytes) -> bool:
    """Tell whether a server may take a field of this name for who sends the request, or from where."""
    name = plain(name)
    return name in _IDENTITY or name.startswith(_IDENTITY_BEGINNINGS)


def plain(name: bytes) -> bytes:
    """Write a lower-case name as the most careless server reads it: to CGI, all signs are one and the same."""
    return name.translate(_FOLDED)


_FOLDED = bytes(byte if byte < 128 and chr(byte).isalnum() else ord("-") for byte in range(256))


def content_length(value: bytes, phase: str) -> int:
    """Read the only Content-Length; a leading zero, though legal, is octal for some. Raises Malformed."""
    if value.isdigit() and len(value) <= _LENGTH_DIGITS and (value[0] != _ZERO or len(value) == 1):
        length = int(value)
        if length <= LARGEST_LENGTH:
            return length
    raise Malformed(f"{phase}: bad content-length")


def body_length(deciding: dict[bytes, bytes], minor: int, phase: str) -> int | None:
    """Give what Content-Length and Transfer-Encoding say (RFC 9112, 6.1): a length, None for chunked, -1 for neither.

    Raises Malformed.
    """
    coding, length = deciding.get(b"transfer-encoding"), deciding.get(b"content-length")
    if coding is None:
        return -1 if length is None else content_length(length, phase)
    if length is not None or minor == 0:
        raise Malformed(f"{phase}: transfer-encoding with content-length or in http/1.0")
    if coding.lower() != b"chunked":
        raise Malformed(f"{phase}: only transfer-encoding chunked is supported")
    return None


def unfinished(seen: bytes, limit: int, phase: str) -> More:
    """Ask for more of a head whose end is not in `seen`. Raises Malformed if nothing could make it right.

    It splits and counts, which is fast: a client may make us look anew for each byte.
    """
    first, *lines = seen.split(b"\n", MOST_FIELDS + 3)
    if len(lines) > MOST_FIELDS + 2:  # the first line, and perhaps an empty one before it
        raise Malformed(f"{phase}: too many fields, the limit is {MOST_FIELDS}, or bare lf")
    if _has_half_line_end(seen, [first, *lines]):
        raise Malformed(f"{phase}: bare cr or lf, expected crlf")
    if any(line.startswith((b" ", b"\t")) for line in lines):
        raise Malformed(f"{phase}: a line begins with white space")
    if len(seen) >= limit:
        raise Malformed(f"{phase}: unfinished after {limit} bytes, the limit")
    return More(len(seen) + 1)


def _has_half_line_end(seen: bytes, lines: list[bytes]) -> bool:
    """Tell whether CR or LF stands alone, of what was split at each LF. A CR at the very end may still get its LF."""
    *whole, rest = lines
    return not all(line.endswith(b"\r") for line in whole) or seen.count(b"\r") > len(whole) + rest.endswith(b"\r")


def _fault(block: bytes) -> str:
    """Say why a block cannot be read, without its own bytes."""
    if _has_half_line_end(block, block.split(b"\n")) or not block.endswith(b"\r\n"):
        return "bare cr or lf, expected crlf"
    for line in block.split(b"\r\n")[:-1]:
        if line.startswith((b" ", b"\t")):
            return "a line begins with white space"
        name, colon, _value = line.partition(b":")
        if not colon or _NAME.fullmatch(name) is None:
            return "illegal header line, expected a name and a colon"
    return "illegal header line, with a control character in its value"
