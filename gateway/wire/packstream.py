"""PackStream, the values of Bolt: a marker byte that tells kind and size, then the value, big-endian.

Kinds with a size have forms with a size of 1, 2 or 4 bytes after the marker, and most a tiny one with the size in the
marker's low half; the tables say which. `encode` takes the shortest. `decode` is for what strangers send: it bounds
size, depth and the number of values before it builds anything.

Source: Neo4j, "PackStream" specification, version 1.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from gateway.wire.cursor import Cursor
from gateway.wire.verdict import Malformed

LARGEST = 64 * 1024  # bytes: HELLO and LOGON are a few hundred, a bearer token a few thousand
DEEPEST = 8  # values inside values: a HELLO has its structure, a map, and a map in it
MOST_VALUES = 4_096  # in all: a HELLO has some thirty


@dataclass(frozen=True, slots=True)
class Structure:
    """A tagged tuple: Bolt's messages, and its nodes, dates and so on."""

    tag: int
    fields: tuple["Value", ...]


Value: TypeAlias = "bool | int | float | str | bytes | list[Value] | dict[str, Value] | Structure | None"


class _Kind(Enum):
    """The kinds of value that have a size."""

    BYTES = "bytes"
    TEXT = "text"
    LIST = "list"
    MAP = "map"
    STRUCTURE = "structure"


_CONSTANTS: dict[int, bool | None] = {0xC0: None, 0xC2: False, 0xC3: True}
_FLOAT = 0xC1
_INTEGERS = {0xC8: 1, 0xC9: 2, 0xCA: 4, 0xCB: 8}  # marker -> bytes of the integer
_TINY = {0x80: _Kind.TEXT, 0x90: _Kind.LIST, 0xA0: _Kind.MAP, 0xB0: _Kind.STRUCTURE}  # the size is in the low half
_SIZED = {  # marker -> kind, bytes of the size
    0xCC: (_Kind.BYTES, 1),
    0xCD: (_Kind.BYTES, 2),
    0xCE: (_Kind.BYTES, 4),
    0xD0: (_Kind.TEXT, 1),
    0xD1: (_Kind.TEXT, 2),
    0xD2: (_Kind.TEXT, 4),
    0xD4: (_Kind.LIST, 1),
    0xD5: (_Kind.LIST, 2),
    0xD6: (_Kind.LIST, 4),
    0xD8: (_Kind.MAP, 1),
    0xD9: (_Kind.MAP, 2),
    0xDA: (_Kind.MAP, 4),
}


def encode(value: Value) -> bytes:
    """Give the shortest form. Raises ValueError for what has none: integers beyond 64 bits, 16 fields and more."""
    for marker, constant in _CONSTANTS.items():
        if value is constant:
            return bytes([marker])
    if isinstance(value, int):
        return _encode_integer(value)
    if isinstance(value, float):
        return bytes([_FLOAT]) + struct.pack(">d", value)
    if isinstance(value, bytes):
        return _head(_Kind.BYTES, len(value)) + value
    if isinstance(value, list):
        return _head(_Kind.LIST, len(value)) + b"".join(map(encode, value))
    if isinstance(value, dict):
        return _head(_Kind.MAP, len(value)) + b"".join(encode(key) + encode(item) for key, item in value.items())
    if isinstance(value, Structure):
        fields = b"".join(map(encode, value.fields))
        return _head(_Kind.STRUCTURE, len(value.fields)) + bytes([value.tag]) + fields
    text = str(value).encode(errors="replace")
    return _head(_Kind.TEXT, len(text)) + text


def decode(data: bytes | memoryview) -> Value:
    """Read the one value that `data` is. Raises Malformed."""
    if len(data) > LARGEST:
        raise Malformed(f"packstream: {len(data)} bytes, limit {LARGEST}")
    cursor = Cursor(data, "packstream")
    value = _Decoder(cursor).value()
    cursor.end("the value")
    return value


def _encode_integer(value: int) -> bytes:
    if -16 <= value < 128:
        return value.to_bytes(1, "big", signed=True)
    for marker, size in _INTEGERS.items():
        if value.bit_length() < 8 * size or value == -(1 << 8 * size - 1):
            return bytes([marker]) + value.to_bytes(size, "big", signed=True)
    raise ValueError(f"packstream: an integer of {value.bit_length()} bits, limit 63 and a sign")


def _head(kind: _Kind, size: int) -> bytes:
    if size < 16:
        for marker, tiny in _TINY.items():
            if tiny is kind:
                return bytes([marker + size])
    for marker, (sized, length) in _SIZED.items():
        if sized is kind and size < 1 << 8 * length:
            return bytes([marker]) + size.to_bytes(length, "big")
    raise ValueError(f"packstream: no form for a {kind.value} of size {size}")


class _Decoder:
    """One decoding: where it is, how deep, and how many values it may still build."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._depth = 0
        self._allowed = MOST_VALUES - 1  # the outermost value is one of them
        self._readers: dict[_Kind, Callable[[int], Value]] = {
            _Kind.BYTES: lambda size: self._cursor.take(size, "bytes"),
            _Kind.TEXT: self._text,
            _Kind.LIST: self._list,
            _Kind.MAP: self._map,
            _Kind.STRUCTURE: self._structure,
        }

    def value(self) -> Value:
        marker = self._cursor.number(1, "marker")
        if marker < 0x80 or marker >= 0xF0:
            return marker if marker < 0x80 else marker - 0x100
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        if marker == _FLOAT:
            number: float = struct.unpack(">d", self._cursor.take(8, "float"))[0]
            return number
        if marker in _INTEGERS:
            return int.from_bytes(self._cursor.take(_INTEGERS[marker], "integer"), "big", signed=True)
        kind, size = self._sized(marker)
        return self._readers[kind](size)

    def _sized(self, marker: int) -> tuple[_Kind, int]:
        if marker & 0xF0 in _TINY:
            return _TINY[marker & 0xF0], marker & 0x0F
        if marker in _SIZED:
            kind, length = _SIZED[marker]
            return kind, self._cursor.number(length, "size")
        raise Malformed(f"packstream: marker {marker:#04x} means nothing")

    def _text(self, size: int) -> str:
        try:
            return self._cursor.take(size, "text").decode()
        except UnicodeDecodeError:
            raise Malformed(f"packstream: text of {size} bytes is not utf-8") from None

    def _list(self, size: int) -> list[Value]:
        self._enter(size)
        items = [self.value() for _ in range(size)]
        self._depth -= 1
        return items

    def _map(self, size: int) -> dict[str, Value]:
        self._enter(2 * size)
        items: dict[str, Value] = {}
        for _ in range(size):
            key = self.value()
            if not isinstance(key, str) or key in items:
                raise Malformed("packstream: map key is not a text, or was there before")
            items[key] = self.value()
        self._depth -= 1
        return items

    def _structure(self, size: int) -> Structure:
        tag = self._cursor.number(1, "tag")
        return Structure(tag, tuple(self._list(size)))

    def _enter(self, values: int) -> None:
        """Count a container and what it says it holds, before anything of it is built."""
        self._depth += 1
        self._allowed -= values
        if self._depth > DEEPEST:
            raise Malformed(f"packstream: more than {DEEPEST} values inside values")
        if self._allowed < 0:
            raise Malformed(f"packstream: more than {MOST_VALUES} values")
