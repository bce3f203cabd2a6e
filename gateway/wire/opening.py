"""Which protocol a connection speaks, from its first bytes and as early as they tell.

Every opening begins in one of two ways: with fixed bytes, or, in Postgres, with the length of a packet (four bytes)
and a request code. Both are tables here; nothing else knows these bytes.

Sources: RFC 8446 section 5.1, PostgreSQL "Message Formats" (StartupMessage and its kin), Bolt "Handshake",
RFC 9110 section 9 and RFC 5789 (methods).
"""

from enum import Enum
from typing import Literal, NamedTuple

from gateway.wire.verdict import NOT_THIS, More, Verdict


class Opening(Enum):
    """What a client may begin with."""

    TLS = "tls"
    POSTGRES_SSL = "postgres ssl request"
    POSTGRES_GSS = "postgres gssenc request"
    POSTGRES_CANCEL = "postgres cancel request"
    POSTGRES_STARTUP = "postgres startup without tls"
    BOLT = "bolt without tls"
    HTTP = "http without tls"


class _Packet(NamedTuple):
    """A Postgres packet: the lengths it may have, and its code as far as that is fixed."""

    shortest: int
    longest: int
    code: bytes


_METHODS = b"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH".split()

_STARTS: dict[bytes, Opening] = {
    b"\x16\x03": Opening.TLS,
    b"\x60\x60\xb0\x17": Opening.BOLT,
    **{method + b" ": Opening.HTTP for method in _METHODS},
}

_PACKETS: dict[_Packet, Opening] = {
    _Packet(8, 8, b"\x04\xd2\x16\x2f"): Opening.POSTGRES_SSL,
    _Packet(8, 8, b"\x04\xd2\x16\x30"): Opening.POSTGRES_GSS,
    _Packet(16, 268, b"\x04\xd2\x16\x2e"): Opening.POSTGRES_CANCEL,  # secrets of 4 to 256 bytes
    _Packet(8, 10_000, b"\x00\x03"): Opening.POSTGRES_STARTUP,  # PostgreSQL's MAX_STARTUP_PACKET_LENGTH
}


def recognise(head: bytes) -> Opening | More | Literal[Verdict.NOT_THIS]:
    """Decide from as few bytes as tell; `More` only while `head` can still become one of the openings."""
    possible = False
    for start, opening in _STARTS.items():
        if head.startswith(start):
            return opening
        possible |= start.startswith(head)
    for packet, opening in _PACKETS.items():
        if _may_become(packet, head):
            if len(head) >= 4 + len(packet.code):
                return opening
            possible = True
    return More(len(head) + 1) if possible else NOT_THIS


def _may_become(packet: _Packet, head: bytes) -> bool:
    """Compare the lengths that the bytes so far leave open, and the part of the code that is there."""
    least = int.from_bytes(head[:4].ljust(4, b"\x00"), "big")
    most = int.from_bytes(head[:4].ljust(4, b"\xff"), "big")
    code = head[4 : 4 + len(packet.code)]
    return least <= packet.longest and most >= packet.shortest and packet.code.startswith(code)
