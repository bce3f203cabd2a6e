"""WebSocket, the server's side, as a tunnel for bytes: binary messages up, one binary frame for each batch down.

What a client sends passes as it comes, frame boundaries or not, so nothing of it is kept but the head of a frame. Of
the pings that came before there was room for an answer the last one is answered (section 5.5.3), a close is answered
and is the end. No extensions.

Source: RFC 6455, sections 4.2.2 (handshake), 5.2 (framing), 5.3 (masking), 5.5 (control frames), 7.4.1 (status codes).
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from enum import IntEnum

from gateway.wire.verdict import Malformed

LARGEST_CONTROL = 125  # bytes
VERSIONS = [b"13"]  # the only one there is
_LONGEST_HEAD = 14  # bytes
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_NORMAL, _PROTOCOL_ERROR = 1000, 1002
_END, _MASKED = 0x80, 0x80


class Kind(IntEnum):
    """Opcodes."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


_TAKEN = {kind.value: kind for kind in Kind if kind is not Kind.TEXT}  # looked up for each frame


def accept(keys: Sequence[bytes], versions: Sequence[bytes]) -> bytes:
    """Make the response to an upgrade by the fields of its request. Raises Malformed."""
    if list(versions) != VERSIONS:
        raise Malformed("websocket: another version than 13")
    try:
        is_key = len(keys) == 1 and len(base64.b64decode(keys[0], validate=True)) == 16
    except binascii.Error:
        is_key = False
    if not is_key:
        raise Malformed("websocket: no key of 16 bytes")
    proof = base64.b64encode(hashlib.sha1(keys[0] + _GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + proof + b"\r\n\r\n"
    )


class WebSocket:
    """One connection after its upgrade."""

    __slots__ = ("_control", "_head", "_is_within", "_kind", "_mask", "_parted", "_rest", "ended", "owed")

    def __init__(self) -> None:
        self._head = b""  # of a frame, while it is not whole
        self._kind = Kind.BINARY  # of the frame under way
        self._mask = b""
        self._rest = 0  # bytes of its payload still to come
        self._control = b""  # payload of a control frame
        self._is_within = False  # a message of several frames is under way
        self._parted = False  # we have said goodbye
        self.owed = b""  # a frame for the client that answers its last one
        self.ended = False  # the client has said goodbye

    def read(self, data: bytes | memoryview) -> bytes:
        """Take what comes; give the payload in it. Raises Malformed."""
        data = self._head + bytes(data)
        self._head, at, parts = b"", 0, list[bytes]()
        while not self.ended:
            if not self._rest:
                size = self._begin(data, at)
                if size is None:
                    self._head = data[at:]
                    break
                at += size
            piece = data[at : at + self._rest]
            at += len(piece)
            self._rest -= len(piece)
            plain = self._unmasked(piece)
            if self._kind < Kind.CLOSE:
                parts.append(plain)
            else:
                self._control += plain
            if self._rest:
                break
            if self._kind >= Kind.CLOSE:
                self._answer()
        return b"".join(parts)

    def frame(self, data: bytes | memoryview, kind: Kind = Kind.BINARY) -> bytes:
        """Make a frame for the client."""
        size = len(data)
        if size <= LARGEST_CONTROL:
            head = bytes((_END | kind, size))
        elif size < 1 << 16:
            head = bytes((_END | kind, 126)) + size.to_bytes(2, "big")
        else:
            head = bytes((_END | kind, 127)) + size.to_bytes(8, "big")
        return b"".join((head, data))

    def goodbye(self) -> bytes:
        """Make the frame that ends it from our side, if that was not said yet."""
        if self.ended or self._parted:
            return b""
        self._parted = True
        return self.frame(_NORMAL.to_bytes(2, "big"), Kind.CLOSE)

    def _begin(self, data: bytes, at: int) -> int | None:
        """Read the head of a frame; give its size, None while it is not whole."""
        if len(data) < at + 2:
            return None
        first, second = data[at], data[at + 1]
        length = second & 0x7F
        extended = {126: 2, 127: 8}.get(length, 0)
        size = 2 + extended + 4
        self._check(first, second)
        if len(data) < at + size:
            return None
        if extended:
            length = int.from_bytes(data[at + 2 : at + 2 + extended], "big")
            if length >= 1 << 63:
                raise Malformed("websocket: a frame of more than 63 bits")
        self._kind = _TAKEN[first & 0x0F]
        if self._kind < Kind.CLOSE:
            self._is_within = not first & _END
        self._mask = data[at + size - 4 : at + size]
        self._rest = length
        return size

    def _check(self, first: int, second: int) -> None:
        kind, is_last = first & 0x0F, bool(first & _END)
        if first & 0x70:
            raise Malformed("websocket: an extension that was not agreed on")
        if kind not in _TAKEN:
            raise Malformed(f"websocket: a frame of kind {kind}, expected binary")
        if not second & _MASKED:
            raise Malformed("websocket: a client's frame without a mask")
        if kind >= Kind.CLOSE and (not is_last or second & 0x7F > LARGEST_CONTROL):
            raise Malformed("websocket: a control frame in parts, or too long")
        if kind < Kind.CLOSE and (kind == Kind.CONTINUATION) is not self._is_within:
            raise Malformed("websocket: a message within another, or the rest of none")

    def _unmasked(self, piece: bytes) -> bytes:
        size = len(piece)
        if not size:
            return b""
        mask = (self._mask * (size // 4 + 1))[:size]
        turned = size % 4
        self._mask = self._mask[turned:] + self._mask[:turned]
        return (int.from_bytes(piece, "little") ^ int.from_bytes(mask, "little")).to_bytes(size, "little")

    def _answer(self) -> None:
        payload, self._control = self._control, b""
        if self._kind is Kind.PING:
            self.owed = self.frame(payload, Kind.PONG)
        elif self._kind is Kind.CLOSE:
            code = payload[:2] if len(payload) != 1 else _PROTOCOL_ERROR.to_bytes(2, "big")
            self.owed = b"" if self._parted else self.frame(code, Kind.CLOSE)
            self.ended = True
