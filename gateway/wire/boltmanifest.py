"""The handshake of Bolt 5.7 and later, by which a server lists its versions and the client chooses; followed, not led.

The client proposes `255.1` among its versions. A server that knows it answers with that, the number of its versions,
each as in a proposal, and a mask of capabilities. The client answers with one version and a mask. Numbers and masks
are of variable length: seven bits in each byte, lowest first, the highest bit set in all but the last.

Source: Neo4j, "Bolt Protocol", "Handshake", "Manifest version 1".
"""

from typing import NamedTuple

from gateway.wire.bolt import VERSION_SIZE, Version
from gateway.wire.verdict import Malformed, More

MANIFEST: Version = (255, 1)
MOST_VERSIONS = 64  # in a manifest; Neo4j 2025 lists three
LONGEST_NUMBER = 9  # bytes: 63 bits


class Choice(NamedTuple):
    """What a client chose; `size` bytes."""

    version: Version
    size: int


def parse_manifest(data: bytes | memoryview) -> int | More:
    """Read what a server lists, from its answer on; give how many bytes it takes. Raises Malformed."""
    count = _number(data, VERSION_SIZE)
    if isinstance(count, More):
        return count
    if count[0] > MOST_VERSIONS:
        raise Malformed(f"bolt manifest: {count[0]} versions, limit {MOST_VERSIONS}")
    capabilities = _number(data, count[1] + count[0] * VERSION_SIZE)
    return capabilities if isinstance(capabilities, More) else capabilities[1]


def parse_choice(data: bytes | memoryview) -> Choice | More:
    """Read what a client chose. Raises Malformed."""
    capabilities = _number(data, VERSION_SIZE)
    if isinstance(capabilities, More):
        return capabilities
    return Choice((data[3], data[2]), capabilities[1])


def _number(data: bytes | memoryview, at: int) -> tuple[int, int] | More:
    """Read a number at a place; give it, and where it ends."""
    number = 0
    for place in range(LONGEST_NUMBER):
        if len(data) <= at + place:
            return More(at + place + 1)
        byte = data[at + place]
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number, at + place + 1
    raise Malformed(f"bolt manifest: a number of more than {LONGEST_NUMBER} bytes")
