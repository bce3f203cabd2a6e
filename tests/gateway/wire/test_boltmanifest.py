"""The manifest of newer versions, as it is followed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.bolt import VERSION_SIZE
from gateway.wire.boltmanifest import MANIFEST, MOST_VERSIONS, Choice, parse_choice, parse_manifest
from gateway.wire.verdict import More
from tests.gateway.wire.prefixes import check_total, malformed

# What Neo4j 2025 answers (Neo4j, "Bolt Protocol", "Handshake"): 5.7 to 5.8, 5.0 to 5.4 and 4.2 to 4.4, no capabilities.
NEO4J = bytes.fromhex("000001ff 03 00010805 00040405 00020404 00")


def test_reads_how_long_a_manifest_is() -> None:
    assert parse_manifest(NEO4J) == len(NEO4J)
    assert parse_manifest(NEO4J + b"more") == len(NEO4J)
    assert parse_manifest(NEO4J[:-1] + b"\x80\x80\x01") == len(NEO4J) + 2
    assert (NEO4J[3], NEO4J[2]) == MANIFEST


def test_each_prefix_asks_for_more() -> None:
    for end in range(VERSION_SIZE, len(NEO4J)):
        found = parse_manifest(NEO4J[:end])
        assert isinstance(found, More)
        assert end < found.at_least <= len(NEO4J)
    for end in range(5):
        assert isinstance(parse_choice(b"\0\0\x08\x05\0"[:end]), More)


def test_reads_what_the_client_chose() -> None:
    assert parse_choice(b"\0\0\x08\x05\0rest") == Choice((5, 8), 5)
    assert parse_choice(b"\0\0\x08\x05\x81\x01") == Choice((5, 8), 6)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (NEO4J[:4] + bytes([MOST_VERSIONS + 1]), f"bolt manifest: {MOST_VERSIONS + 1} versions, limit {MOST_VERSIONS}"),
        (NEO4J[:4] + b"\x80" * 9, "bolt manifest: a number of more than 9 bytes"),
    ],
)
def test_limits(data: bytes, text: str) -> None:
    assert malformed(parse_manifest, data) == text


@given(st.binary(max_size=400))
def test_garbage(data: bytes) -> None:
    check_total(parse_manifest, NEO4J[:4] + data, 5 + 4 * MOST_VERSIONS + 9)
    check_total(parse_choice, data, 13)
