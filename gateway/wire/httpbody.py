"""Where the body of an HTTP/1 message ends, while its bytes pass through untouched.

Each kind is fed what comes and answers how many of these bytes are its own: all of them, unless it ends within.
After a Malformed it must not be fed again. Payload is skipped by arithmetic; of a chunked body only the lines between
the chunks are looked at, and held as long as they are unfinished.

Sources: RFC 9112, sections 6.3 (length) and 7.1 (chunks); RFC 9110, section 6.5.1 (what may not be a trailer).
"""

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import ClassVar

from gateway.wire.httpfields import LARGEST_LENGTH, MOST_FIELDS, decides_identity, parse_fields, plain
from gateway.wire.verdict import Malformed

LARGEST_TRAILERS = 8 * 1024  # bytes, with their empty line: as much as most servers allow
LARGEST_EXTENSION = 256  # bytes after the size of a chunk, in responses; hardly any server writes one

_PHASE = "http body"
_SIZE = re.compile(rb"([0-9a-fA-F]{1,16}+)\r\n")
_EXTENDED = re.compile(rb"([0-9a-fA-F]{1,16}+)(;[\t -~\x80-\xff]{0,%d}+)?+\r\n" % (LARGEST_EXTENSION - 1))
_SIZE_BEGUN = re.compile(rb"[0-9a-fA-F]{1,16}+\r?")
_EXTENDED_BEGUN = re.compile(rb"[0-9a-fA-F]{1,16}+(;[\t -~\x80-\xff]{0,%d}+)?+\r?" % (LARGEST_EXTENSION - 1))
_NEXT = re.compile(rb"\r\n([0-9a-fA-F]{1,16}+)\r\n")

# Framing, routing, request modifiers, authentication and content format may not come after the body.
_NO_TRAILERS = frozenset(
    b"host content-length transfer-encoding connection keep-alive proxy-connection upgrade te trailer expect"
    b" authorization proxy-authorization proxy-authenticate www-authenticate cookie cookie2 set-cookie set-cookie2"
    b" content-encoding content-type content-range cache-control pragma max-forwards range if-match if-none-match"
    b" if-modified-since if-unmodified-since if-range via origin".split()
)


class _Part(Enum):
    """What a line of a chunked body is."""

    SIZE = auto()
    END = auto()  # of a chunk's payload
    TRAILER = auto()


_LONGEST = {  # bytes of a line with its line end
    _Part.SIZE: 16 + LARGEST_EXTENSION + 2,
    _Part.END: 2,
    _Part.TRAILER: LARGEST_TRAILERS,
}


@dataclass(slots=True)
class Length:
    """A body of so many bytes, or what remains of it."""

    remaining: int

    @property
    def done(self) -> bool:
        """Nothing is missing."""
        return self.remaining == 0

    def feed(self, data: memoryview | bytes) -> int:
        """Take the body's part of `data`."""
        own = min(len(data), self.remaining)
        self.remaining -= own
        return own


@dataclass(slots=True)
class UntilClose:
    """The body of a response that ends with its connection."""

    done: ClassVar[bool] = False

    def feed(self, data: memoryview | bytes) -> int:
        """Take all."""
        return len(data)


@dataclass(slots=True)
class Chunked:
    """A chunked body; `strict`, of a request: without chunk extensions, and with harmless trailers only."""

    strict: bool
    done: bool = field(default=False, init=False)
    announced: int = field(default=0, init=False)  # bytes of payload of all chunks so far, come or not
    _part: _Part = field(default=_Part.SIZE, init=False)
    _payload: int = field(default=0, init=False)  # bytes of this chunk still to come
    _held: bytes = field(default=b"", init=False)  # the beginning of an unfinished line
    _trailers: int = field(default=0, init=False)  # lines
    _trailers_size: int = field(default=0, init=False)

    def feed(self, data: memoryview | bytes) -> int:
        """Take the body's part of `data`. Raises Malformed."""
        at, end = 0, len(data)
        while at < end and not self.done:
            if self._payload:
                own = min(self._payload, end - at)
                self._payload -= own
                at += own
                if self._payload == 0 and (following := _NEXT.match(data, at)):
                    self._begin_chunk(following[1])  # the usual way from chunk to chunk, without holding anything
                    at = following.end()
            else:
                at += self._read_line(data, at)
        return at

    def _read_line(self, data: memoryview | bytes, at: int) -> int:
        """Take one line, or what there is of it; give the bytes taken."""
        room = _LONGEST[self._part] - len(self._held)
        piece = bytes(data[at : at + room])
        piece = piece[: piece.find(b"\n") + 1] or piece
        line, self._held = self._held + piece, b""
        if not line.endswith(b"\n"):
            self._hold(line)
        elif self._part is _Part.SIZE:
            self._read_size(line)
        elif self._part is _Part.END:
            self._read_end(line)
        else:
            self._read_trailer(line)
        return len(piece)

    def _hold(self, line: bytes) -> None:
        """Keep the beginning of a line. Raises Malformed if no end could make it right."""
        if self._part is _Part.SIZE:
            begun = _SIZE_BEGUN if self.strict else _EXTENDED_BEGUN
            if begun.fullmatch(line) is None:
                raise Malformed(f"{_PHASE}: bad chunk size")
        elif self._part is _Part.END:
            if line != b"\r":
                raise Malformed(f"{_PHASE}: a chunk is longer than its size")
        elif b"\r" in line[:-1]:
            raise Malformed(f"{_PHASE}: bare cr or lf, expected crlf")
        elif self._trailers_size + len(line) >= LARGEST_TRAILERS:
            raise Malformed(f"{_PHASE}: more than {LARGEST_TRAILERS} bytes of trailers")
        self._held = line

    def _read_size(self, line: bytes) -> None:
        size = (_SIZE if self.strict else _EXTENDED).fullmatch(line)
        if size is None:
            raise Malformed(f"{_PHASE}: bad chunk size")
        self._begin_chunk(size[1])

    def _begin_chunk(self, size: bytes) -> None:
        self._payload = int(size, 16)
        if self._payload > LARGEST_LENGTH:
            raise Malformed(f"{_PHASE}: chunk size beyond {LARGEST_LENGTH} bytes")
        self.announced += self._payload
        self._part = _Part.END if self._payload else _Part.TRAILER

    def _read_end(self, line: bytes) -> None:
        if line != b"\r\n":
            raise Malformed(f"{_PHASE}: a chunk is longer than its size")
        self._part = _Part.SIZE

    def _read_trailer(self, line: bytes) -> None:
        self._trailers_size += len(line)
        if self._trailers_size > LARGEST_TRAILERS:
            raise Malformed(f"{_PHASE}: more than {LARGEST_TRAILERS} bytes of trailers")
        if line == b"\r\n":
            self.done = True
            return
        self._trailers += 1
        if self._trailers > MOST_FIELDS:
            raise Malformed(f"{_PHASE}: more than {MOST_FIELDS} trailers")
        for name, _value, _line in parse_fields(line, _PHASE):
            if self.strict and (plain(name) in _NO_TRAILERS or decides_identity(name)):
                raise Malformed(f"{_PHASE}: a trailer of this name must be in the head")


Body = Length | Chunked | UntilClose
