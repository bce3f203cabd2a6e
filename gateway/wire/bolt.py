"""Bolt as far as a gateway must speak it: handshake, chunks, and the messages that it reads or says itself.

A client sends `MAGIC` and four proposals of versions; the server answers with the one it takes, or zeros. Messages are
PackStream structures cut into chunks, each with its size in two bytes before it and an empty chunk at the end. An
empty chunk where a message would begin is a NOOP that keeps the connection alive.

Which of these is where a message begins tells `gateway.wire.boltstream`; the manifest is `gateway.wire.boltmanifest`.

Source: Neo4j, "Bolt Protocol": "Handshake", "Message" and "Message exchange".
"""

from dataclasses import dataclass
from typing import NamedTuple

from gateway.wire.packstream import Structure, Value, decode, encode
from gateway.wire.verdict import Malformed, More

MAGIC = b"\x60\x60\xb0\x17"
HANDSHAKE_SIZE = 20  # bytes: the magic and four proposals of four bytes
VERSION_SIZE = 4  # bytes of the server's answer to it
LARGEST_MESSAGE = 64 * 1024  # bytes with its chunks' headers, and the NOOPs before it
MOST_CHUNKS = 1_024  # of one message, with the NOOPs before it: drivers send one

# Tags of messages: of the client, then of the server.
HELLO, GOODBYE, RESET, RUN, ROUTE, LOGON, LOGOFF = 0x01, 0x02, 0x0F, 0x10, 0x66, 0x6A, 0x6B
SUCCESS, RECORD, IGNORED, FAILURE = 0x70, 0x71, 0x7E, 0x7F

Version = tuple[int, int]
KNOWN_VERSIONS = frozenset({(3, 0), *((4, minor) for minor in range(5)), *((5, minor) for minor in range(9))})
HELLO_NAMES_ROUTING = (4, 1)  # from which version on HELLO tells that a client wants routing tables
ROUTE_MESSAGE = (4, 3)  # from which on it asks for them by ROUTE; before, by calling a procedure
AGENT = "Neo4j/5.26.0"  # a server that drivers take for one: 5.13 and later speak all versions that we know
LOGON_MESSAGE = (5, 1)  # from which on credentials are in LOGON, and no more in HELLO
GQL_STATUS = (5, 7)  # from which on a FAILURE has the form of GQL
_LARGEST_CHUNK = 0xFFFF

# GQL status and its description (ISO/IEC 39075, as Neo4j's "Status codes" have it), by how a Neo4j code begins.
_STATUS = {
    "Neo.ClientError.Security.": ("42NFF", "error: syntax error or access rule violation - permission/access denied"),
    "Neo.ClientError.Database.": ("22N51", "error: data exception - database not found"),
    "Neo.ClientError.Request.": ("08N06", "error: connection exception - protocol error"),
    "": ("50N42", "error: general processing exception - unexpected error"),
}
_CLASSES = {"Neo.ClientError.": "CLIENT_ERROR", "Neo.TransientError.": "TRANSIENT_ERROR", "": "DATABASE_ERROR"}


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


def choose_version(proposals: tuple[Proposal, ...], highest: Version = (255, 255)) -> Version | None:
    """Choose the highest known version, none above `highest`, of the first proposal that has one.

    The manifest of Bolt 5.7 and later is proposed as major 255, which nobody knows as a version: it is passed over.
    """
    for major, minor, minors_below in proposals:
        for candidate in range(minor, max(minor - minors_below, 0) - 1, -1):
            if (major, candidate) in KNOWN_VERSIONS and (major, candidate) <= highest:
                return major, candidate
    return None


def propose(*proposals: Proposal) -> bytes:
    """Make the handshake of a client with up to four proposals."""
    places = b"".join(bytes([0, each.range, each.minor, each.major]) for each in proposals)
    return MAGIC + places.ljust(HANDSHAKE_SIZE - len(MAGIC), b"\0")


def parse_version(data: bytes | memoryview) -> Version | More | None:
    """Read the server's answer to a handshake; None: no proposal will do."""
    if len(data) < VERSION_SIZE:
        return More(VERSION_SIZE)
    return (data[3], data[2]) if data[3] else None


def version_reply(version: Version | None) -> bytes:
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


def failure(code: str, message_text: str, version: Version = (5, 4)) -> bytes:
    """Make a FAILURE as a version knows it; `code` is Neo4j's, such as Neo.ClientError.Security.Forbidden."""
    if version < GQL_STATUS:
        return message(FAILURE, {"code": code, "message": message_text})
    status, description = next(found for start, found in _STATUS.items() if code.startswith(start))
    kind = next(found for start, found in _CLASSES.items() if code.startswith(start))
    record: dict[str, Value] = {
        "OPERATION": "", "OPERATION_CODE": "0", "CURRENT_SCHEMA": "/", "_classification": kind,
    }  # fmt: skip
    said: dict[str, Value] = {
        "gql_status": status, "description": f"{description}. {message_text}", "message": message_text,
        "neo4j_code": code, "diagnostic_record": record,
    }  # fmt: skip
    return message(FAILURE, said)


def _message(payload: bytearray, size: int) -> Message:
    value = decode(bytes(payload))
    if not isinstance(value, Structure):
        raise Malformed(f"bolt message: a {type(value).__name__}, expected a structure")
    return Message(value.tag, value.fields, size)
