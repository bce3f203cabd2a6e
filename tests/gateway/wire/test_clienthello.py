import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.clienthello import LARGEST, MOST_RECORDS, ClientHello, parse
from gateway.wire.verdict import More
from tests.gateway.wire.prefixes import check_total, malformed, recorded, whole

RECORDED = [
    # name, bytes before it, server name, ALPN
    ("openssl_tls13", 0, b"mydb.pods.localhost", ()),
    ("openssl_no_name", 0, None, ()),
    ("openssl_tls12_alpn", 0, b"web.pods.localhost", (b"h2", b"http/1.1")),
    ("curl_tls", 0, b"web.pods.localhost", (b"h2", b"http/1.1")),
    ("psql15_starttls", 8, b"mydb.pods.localhost", ()),
    ("libpq18_starttls", 8, b"mydb.pods.localhost", (b"postgresql",)),
    ("libpq18_direct", 0, b"mydb.pods.localhost", (b"postgresql",)),
    ("neo4j_tls", 0, b"localhost", ()),
    ("chromium_tls", 0, b"web.pods.localhost", (b"h2", b"http/1.1")),
]


def vector(size: int, data: bytes) -> bytes:
    return len(data).to_bytes(size, "big") + data


def extension(kind: int, data: bytes) -> bytes:
    return struct.pack(">H", kind) + vector(2, data)


def name_entry(name: bytes, kind: int = 0) -> bytes:
    return bytes([kind]) + vector(2, name)


def server_name(*entries: bytes) -> bytes:
    return extension(0, vector(2, b"".join(entries)))


def hello(extensions: bytes | None = b"", session_id: bytes = b"", ciphers: bytes = b"\x13\x01") -> bytes:
    """Make a handshake message; `extensions=None` leaves their block out."""
    body = b"\x03\x03" + bytes(32) + vector(1, session_id) + vector(2, ciphers) + vector(1, b"\0")
    return b"\x01" + vector(3, body + (b"" if extensions is None else vector(2, extensions)))


def records(message: bytes, *sizes: int) -> bytes:
    """Cut a message into records of the given sizes and a last one of the rest."""
    pieces, at = [], 0
    for size in sizes:
        pieces.append(message[at : at + size])
        at += size
    return b"".join(b"\x16\x03\x01" + vector(2, piece) for piece in [*pieces, message[at:]])


NAMED = hello(server_name(name_entry(b"a.example")))


@pytest.mark.parametrize(("name", "before", "host", "alpn"), RECORDED)
def test_reads_real_clients(name: str, before: int, host: bytes | None, alpn: tuple[bytes, ...]) -> None:
    data = recorded(name)[before:]
    assert whole(parse, data, LARGEST) == ClientHello(host, alpn, len(data))
    assert parse(memoryview(data)) == parse(data)


@pytest.mark.parametrize("name", ["openssl_tls13", "libpq18_direct", "chromium_tls"])
def test_reads_a_hello_in_two_records_cut_anywhere(name: str) -> None:
    message = recorded(name)[5:]
    expected = parse(records(message))
    assert isinstance(expected, ClientHello)
    for cut in range(1, len(message)):
        found = parse(records(message, cut))
        assert isinstance(found, ClientHello)
        assert (found.server_name, found.alpn) == (expected.server_name, expected.alpn)
        assert found.size == expected.size + 5


def test_feeds_two_records_byte_by_byte() -> None:
    data = records(NAMED, 3)
    assert whole(parse, data, LARGEST) == ClientHello(b"a.example", (), len(data))


def test_asks_for_no_more_than_the_record_at_hand_and_then_for_the_next_header() -> None:
    data = records(NAMED, 10)
    assert parse(b"") == More(5)
    assert parse(data[:5]) == More(15)
    assert parse(data[:15]) == More(20)


def test_a_second_record_after_the_hello_is_not_counted() -> None:
    data = records(NAMED)
    found = parse(data + b"\x14\x03\x03\0\x01\x01")
    assert isinstance(found, ClientHello)
    assert found.size == len(data)


@pytest.mark.parametrize(
    ("extensions", "host"),
    [
        (None, None),
        (b"", None),
        (extension(0, b""), b""),
        (server_name(), b""),
        (server_name(name_entry(b"")), b""),
        (server_name(name_entry(b"other", kind=7)), b""),
        (server_name(name_entry(b"other", kind=7), name_entry(b"a")), b"a"),
        (server_name(name_entry(b"\xff\0not judged")), b"\xff\0not judged"),
    ],
)
def test_absent_empty_and_given_names_are_three_things(extensions: bytes | None, host: bytes | None) -> None:
    found = parse(records(hello(extensions)))
    assert isinstance(found, ClientHello)
    assert found.server_name == host


def test_grease_is_tolerated() -> None:
    grease = extension(0x1A1A, b"") + extension(0xFAFA, b"\0")
    alpn = extension(16, vector(2, vector(1, b"\x0a\x0a") + vector(1, b"h2")))
    found = parse(records(hello(grease + alpn, ciphers=b"\x2a\x2a\x13\x01")))
    assert isinstance(found, ClientHello)
    assert found.alpn == (b"\x0a\x0a", b"h2")


BROKEN = [
    (b"\x80", "record of type 128, expected 22 (handshake)"),  # an SSLv2 hello
    (b"\x15\x03\x01\0\x02\x01\0", "record of type 21, expected 22 (handshake)"),
    (b"\x16\x02", "record of version 2.x, expected 3.x"),
    (b"\x16\x03\x01\0\0", "empty record"),
    (b"\x16\x03\x01\x40\0", f"record of 16384 bytes at 0, limit {LARGEST} in all"),
    (b"\x16\x03\x01\0\x01\x02", "handshake message of type 2, expected 1"),
    (b"\x16\x03\x01\0\x04\x01\0\x3f\xf8", f"message of {LARGEST - 4} bytes, limit {LARGEST - 5}"),
    (b"\x16\x03\x01\0\x04\x01\x01\0\0", f"message of 65540 bytes, limit {LARGEST - 5}"),
    (records(NAMED, 7)[:12] + b"\x17", "record of type 23, expected 22 (handshake)"),
    (records(b"\x01\0\0\x01\x03"), "version of 2 bytes, 1 left"),
    (records(b"\x01\0\0\x03\x03\x03\0"), "random of 32 bytes, 1 left"),
    (records(b"\x01" + vector(3, bytes(34))), "length of session id of 1 bytes, 0 left"),
    (records(hello(session_id=bytes(33))), "session id of 33 bytes, expected 0 to 32"),
    (records(hello(ciphers=b"")), "cipher suites of 0 bytes, expected 2 to 65534, an even number"),
    (records(hello(ciphers=bytes(3))), "cipher suites of 3 bytes, expected 2 to 65534, an even number"),
    (
        records(b"\x01" + vector(3, bytes(35) + b"\0\x02\x13\x01\0")),
        "compression methods of 0 bytes, expected 1 to 255",
    ),
    (records(b"\x01" + vector(3, hello(None)[4:] + b"\0\x05ab")), "extensions of 5 bytes, 2 left"),
    (records(b"\x01" + vector(3, hello()[4:] + b"?")), "1 bytes after the end of extensions"),
    (records(hello(b"\0")), "extension header of 4 bytes, 1 left"),
    (records(hello(b"\0\x05\0\x02a")), "extension 5 of 2 bytes, 1 left"),
    (records(hello(extension(0, b"") * 2)), "extension 0 given twice"),
    (records(hello(extension(5, b"") + extension(6, b"") + extension(5, b""))), "extension 5 given twice"),
    (records(hello(extension(0, b"\0"))), "server name: length of list of 2 bytes, 1 left"),
    (records(hello(extension(0, b"\0\0\0"))), "server name: 1 bytes after the end of list"),
    (records(hello(server_name(b"\0\0\x02a"))), "server name: name of 2 bytes, 1 left"),
    (records(hello(server_name(name_entry(b"a"), name_entry(b"b")))), "server name: 2 host names, expected one"),
    (records(hello(extension(16, vector(2, b"")))), "alpn list of 0 bytes, expected 2 to 65535"),
    (records(hello(extension(16, vector(2, b"\0\x01a")))), "alpn name of 0 bytes, expected 1 to 255"),
    (records(hello(extension(16, vector(2, b"\x03h2")))), "alpn: name of 3 bytes, 2 left"),
    (records(hello(extension(16, vector(2, b"\x02h2") + b"?"))), "alpn: 1 bytes after the end of list"),
]


@pytest.mark.parametrize(("data", "text"), BROKEN)
def test_broken_hellos_are_named(data: bytes, text: str) -> None:
    assert malformed(parse, data).startswith(f"client hello: {text}")


def padded(size: int) -> bytes:
    """Make a handshake message of exactly `size` bytes by an extension of padding (RFC 7685)."""
    return hello(extension(21, bytes(size - len(hello()) - 4)))


def test_the_largest_hello_is_read_and_one_byte_more_is_not() -> None:
    data = records(padded(LARGEST - 5))
    found = parse(data)
    assert isinstance(found, ClientHello)
    assert found.size == len(data) == LARGEST
    assert "limit" in malformed(parse, records(padded(LARGEST - 4))[:5])


def test_the_limit_counts_the_headers_of_all_records() -> None:
    message = padded(LARGEST - 10)
    assert isinstance(parse(records(message, 100)), ClientHello)
    assert (
        malformed(parse, records(message, 50, 50))
        == f"client hello: record of {LARGEST - 110} bytes at 110, limit 16384 in all"
    )
    assert (
        malformed(parse, records(message, LARGEST - 12, 1))
        == f"client hello: unfinished after {LARGEST - 1} bytes, limit 16384"
    )


def test_one_byte_records_are_read_up_to_their_number() -> None:
    most = padded(MOST_RECORDS)
    assert isinstance(parse(records(most, *[1] * (MOST_RECORDS - 1))), ClientHello)
    more = padded(MOST_RECORDS + 1)
    assert malformed(parse, records(more, *[1] * MOST_RECORDS)) == f"client hello: more than {MOST_RECORDS} records"


@given(st.binary(max_size=400))
def test_garbage_is_malformed_or_unfinished(data: bytes) -> None:
    check_total(parse, data, LARGEST)
    check_total(parse, b"\x16\x03\x01" + data, LARGEST)
    check_total(parse, records(b"\x01" + vector(3, data)), LARGEST)
    check_total(parse, records(hello(data)), LARGEST)


@given(st.sampled_from([case[0] for case in RECORDED if case[1] == 0]), st.data())
def test_a_real_hello_with_one_byte_changed_is_still_answered(name: str, data: st.DataObject) -> None:
    sent = bytearray(recorded(name))
    sent[data.draw(st.integers(0, len(sent) - 1))] = data.draw(st.integers(0, 255))
    check_total(parse, bytes(sent), LARGEST)


@given(st.lists(st.integers(1, 40), max_size=12))
def test_any_cut_into_records_gives_the_same_hello(sizes: list[int]) -> None:
    message = padded(600)
    found = parse(records(message, *sizes))
    assert isinstance(found, ClientHello)
    assert found.size == 5 * (len(sizes) + 1) + 600
