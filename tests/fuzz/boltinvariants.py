"""What must hold of Bolt's parsers, and of what is let through in the relay, for any bytes whatsoever. Each check tells
what became of its input, as a word or two to count by.
"""

import itertools
from collections.abc import Iterator, Sequence

from gateway.bolt.identifying import shows_token
from gateway.bolt.watching import Watch
from gateway.transform import Broken
from gateway.wire import bolt
from gateway.wire.bolt import HELLO, LARGEST_MESSAGE, LOGON, Message, Version, message, parse_handshake, read_message
from gateway.wire.boltmanifest import parse_choice, parse_manifest
from gateway.wire.boltrouting import asked_address, with_address
from gateway.wire.packstream import Structure, encode
from gateway.wire.verdict import Malformed, More
from gateway.wire.websocket import WebSocket
from router.credentials import Credentials
from tests.fuzz.invariants import check_prefixes, read_checked

OURS = message(LOGON, {"scheme": "basic", "principal": "reader", "credentials": "ours"})
ADDRESS = "graph.pods.test:8443"
NOBODY = Credentials()
CALL = message(bolt.RUN, "CALL dbms.routing.getRoutingTable({})", {})
TABLES: dict[Version, bytes] = {(5, 4): message(bolt.ROUTE, {}, [], {}), (4, 0): CALL + message(0x3F, {"n": -1})}
MOST_TABLES = 3 * 1_000  # three were asked for, each with as many servers as any mutation makes


def check_opening(data: bytes, cuts: Sequence[int]) -> str:
    """Check everything about `data` as what a client or a server begins with."""
    check_prefixes(parse_handshake, data, bolt.HANDSHAKE_SIZE, cuts)
    check_prefixes(parse_choice, data, 13, cuts)
    try:
        manifest = parse_manifest(data)
        found = parse_handshake(data)
    except Malformed:
        return "opening: malformed"
    if isinstance(found, More):
        return "opening: more"
    version = bolt.choose_version(found)
    assert version is None or version in bolt.KNOWN_VERSIONS
    return f"opening: {'no ' if version is None else ''}version{'' if isinstance(manifest, More) else ', a manifest'}"


def check_message(data: bytes, cuts: Sequence[int]) -> str:
    """Check everything about `data` as a message: read alike however it comes, and made again to the same."""
    found = read_checked(read_message, data, LARGEST_MESSAGE, cuts)
    if isinstance(found, str):
        return f"message: {found}"
    assert len(encode(Structure(found.tag, found.fields))) <= 2 * LARGEST_MESSAGE
    try:
        if shows_token(found.fields, NOBODY, 0.0):
            return "message: shows a token"
    except Malformed:
        return "message: too many texts"
    extra = found.fields[0] if found.fields else None
    if isinstance(extra, dict) and asked_address(extra) is not None:
        return "message: wants routing tables"
    table = with_address(found, ADDRESS)
    if table is None:
        return "message: read"
    again = read_message(table)
    assert isinstance(again, Message)
    assert with_address(again, ADDRESS) == table
    return "message: routing table"


def check_up(data: bytes, cuts: Sequence[int]) -> str:
    """Check what a client can get to a database that the gateway has logged in to: no credentials but ours."""
    whole, cut = _passed(data, ()), _passed(data, cuts)
    assert whole is None or cut is None or whole == cut
    if whole is None:
        assert cut is None or cut == b"" or _is_harmless(cut)
        return "up: broken"
    assert _is_harmless(whole)
    return "up: another login" if OURS in whole else "up: passed"


def check_down(data: bytes, cuts: Sequence[int]) -> str:
    """Check what a database can send to a client that wants routing tables, by a message or by a call."""
    found = [_check_down(version, asked, data, cuts) for version, asked in TABLES.items()]
    return f"down: {found[0]}, by a call {found[1]}"


def _check_down(version: Version, asked: bytes, data: bytes, cuts: Sequence[int]) -> str:
    results = []
    for places in ((), cuts):
        watch = Watch(version, address=ADDRESS)
        watch.up(asked * 3)
        try:
            results.append(b"".join(bytes(watch.down(part)) for part in _parts(data, places)))
        except Broken:
            return "broken"
    assert results[0] == results[1]
    assert results[0].count(ADDRESS.encode()) <= MOST_TABLES
    return "rewritten" if ADDRESS.encode() in results[0] else "passed"


def check_frames(data: bytes, cuts: Sequence[int]) -> str:
    """Check everything about `data` as a client's frames."""
    results = []
    for places in ((), cuts):
        socket = WebSocket()
        try:
            results.append((b"".join(socket.read(part) for part in _parts(data, places)), socket.owed, socket.ended))
        except Malformed:
            return "frames: malformed"
    assert results[0] == results[1]
    assert len(results[0][0]) + len(results[0][1]) <= len(data)
    return f"frames: {'ended' if results[0][2] else 'payload' if results[0][0] else 'none'}"


def _passed(data: bytes, cuts: Sequence[int]) -> bytes | None:
    watch = Watch((5, 4), address=ADDRESS, log_on=lambda _asked: OURS)
    try:
        return b"".join(bytes(watch.up(part)) for part in _parts(data, cuts))
    except Broken:
        return None


def _is_harmless(passed: bytes) -> bool:
    """Tell whether a server, which reads what passed in the plainest way, finds no credentials in it but ours."""
    return all(
        payload == OURS[2:-2] for payload in _payloads(passed) if payload[1:2] in (bytes([HELLO]), bytes([LOGON]))
    )


def _payloads(data: bytes) -> Iterator[bytes]:
    payload = b""
    while len(data) >= 2:
        size = int.from_bytes(data[:2], "big")
        payload += data[2 : 2 + size]
        data = data[2 + size :]
        if not size:
            yield payload
            payload = b""
    yield payload


def _parts(data: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    places = [0, *sorted(cuts), len(data)]
    for begin, end in itertools.pairwise(places):
        yield data[begin:end]
