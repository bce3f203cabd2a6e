"""Bolt as far as a gateway must speak it to refuse a client in its own language: handshake, chunks, FAILURE.

A client sends `MAGIC` and four proposals of versions; the server answers with the one it takes, or zeros. Messages are
PackStream structures cut into chunks, each with its size in two bytes before it and an empty chunk at the end. An
empty chunk where a message would begin is a NOOP that keeps the connection alive.

Source: Neo4j, "Bolt Protocol": "Handshake", "Message" and "Message exchange".
"""

from dataclasses import dataclass
from typing import NamedTuple

from gateway.wire.packstream import Structure, Value, decode, encode
from gateway.wire.verdict import Malformed, More

MAGIC = b"\x60\x60\xb0\x17"
HANDSHAKE_SIZE = 20  # bytes: the magic and four proposals of four bytes
LARGEST_MESSAGE = 64 * 1024  # bytes with its chunks' headers, and the NOOPs before it
MOST_CHUNKS = 1_024  # of one message, with the NOOPs before it: drivers send one

HELLO, LOGON, FAILURE = 0x01, 0x6A, 0x7F  # tags of messages

KNOWN_VERSIONS = frozenset({(3, 0), *((4, minor) for minor in range(1, 5)), *((5, minor) for minor in range(5))})
_LARGEST_CHUNK = 0xFFFF


class Proposal(NamedTuple):
    """Versions a client would speak: `major.minor` and the `range` minors below it."""

    major: int
    minor: int
    range: int


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the client; `size` counts its chunks and the NOOPs before it."""

    tag: int
    fields: tuple[Value, ...]
    size: int


def parse_handshake(data: bytes | memoryview) -> tuple[Proposal, ...] | More:
    """Read the proposals, best first; unused places are left out. Raises Malformed."""
    handshake = bytes(data[:HANDSHAKE_SIZE])
    if not MAGIC.startswith(handshake[:4]):
        raise Malformed("bolt handshake: it does not begin with the magic number")
    if len(handshake) < HANDSHAKE_SIZE:
        return More(HANDSHAKE_SIZE)
    places = [handshake[at : at + 4] for at in range(len(MAGIC), HANDSHAKE_SIZE, 4)]
    return tuple(Proposal(place[3], place[2], place[1]) for place in places if place[3])


def choose_version(proposals: tuple[Proposal, ...]) -> tuple[int, int] | None:
    """Choose the highest known version of the first proposal that has one.

    The manifest of Bolt 5.7 and later is proposed as major 255, which nobody knows as a version: it is passed over.
    """
    for major, minor, minors_below in proposals:
        for candidate in range(minor, max(minor - minors_below, 0) - 1, -1):
            if (major, candidate) in KNOWN_VERSIONS:
                return major, candidate
    return None


def version_reply(version: tuple[int, int] | None) -> bytes:
    """Make the answer to a handshake; None says that no proposal will do."""
    major, minor = version or (0, 0)
    return bytes([0, 0, minor, major])


def read_message(data: bytes | memoryview) -> Message | More:
    """Read the message that `data` begins with; what follows it is left alone. Raises Malformed."""
    payload = bytearray()
    at = 0
    for _chunk in range(MOST_CHUNKS):
        start = at + 2
        if start > LARGEST_MESSAGE:
            raise Malformed(f"bolt message: unfinished after {at} bytes, limit {LARGEST_MESSAGE}")
        if len(data) < start:
            return More(start)
        length = int.from_bytes(data[at:start], "big")
        at = start + length
        if at > LARGEST_MESSAGE:
            raise Malformed(f"bolt message: chunk of {length} bytes at {start}, limit {LARGEST_MESSAGE} in all")
        if len(data) < at:
            return More(at)
        if length == 0 and payload:
            return _message(payload, at)
        payload += data[start:at]
    raise Malformed(f"bolt message: more than {MOST_CHUNKS} chunks")


def message(tag: int, *fields: Value) -> bytes:
    """Make a message in its chunks."""
    payload = encode(Structure(tag, fields))
    pieces = [payload[at : at + _LARGEST_CHUNK] for at in range(0, len(payload), _LARGEST_CHUNK)]
    return b"".join(len(piece).to_bytes(2, "big") + piece for piece in [*pieces, b""])


def failure(code: str, message_text: str) -> bytes:
    """Make a FAILURE as versions up to 5.6 know it; `code` is Neo4j's, such as Neo.ClientError.Security.Forbidden."""
    return message(FAILURE, {"code": code, "message": message_text})


def _message(payload: bytearray, size: int) -> Message:
    value = decode(bytes(payload))
    if not isinstance(value, Structure):
        raise Malformed(f"bolt message: a {type(value).__name__}, expected a structure")
    return Message(value.tag, value.fields, size)
