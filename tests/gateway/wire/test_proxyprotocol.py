"""The PROXY protocol's header: both versions at every prefix, what follows it, and whatever else somebody may send."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.proxyprotocol import LARGEST_V1, LARGEST_V2, ProxyHeader, parse
from gateway.wire.verdict import NOT_THIS, More
from tests.gateway.wire.prefixes import check_total, malformed, whole

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
LOW, HIGH = ipaddress.IPv4Address("198.51.100.1").packed, ipaddress.IPv6Address("2001:db8::1").packed


def v2(command: int, family: int, body: bytes) -> bytes:
    return SIGNATURE + bytes((command, family)) + len(body).to_bytes(2, "big") + body


def four(source: str, port: int) -> bytes:
    return ipaddress.IPv4Address(source).packed + LOW + port.to_bytes(2, "big") + b"\x01\xbb"


def six(source: str, port: int) -> bytes:
    return ipaddress.IPv6Address(source).packed + HIGH + port.to_bytes(2, "big") + b"\x01\xbb"


TLV = b"\x01\x00\x02h2" + b"\x20\x00\x05\x01\0\0\0\0" + b"\x04\x00\x00"

# What is sent, and whose connection it is.
HEADERS = [
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 50412 443\r\n", ("192.0.2.7", 50412)),
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 0 65535\r\n", ("192.0.2.7", 0)),
    (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", ("255.255.255.255", 65535)),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 50412 443\r\n", ("2001:db8::7", 50412)),
    (b"PROXY TCP6 2001:DB8:0:0::7 2001:db8::1 50412 443\r\n", ("2001:db8::7", 50412)),
    (b"PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 50412 443\r\n", ("192.0.2.7", 50412)),
    (
        b"PROXY TCP6 " + b"ffff:" * 7 + b"ffff " + b"ffff:" * 7 + b"ffff 65535 65535\r\n",
        ("ffff:" * 7 + "ffff", 65535),
    ),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN " + b"ffff:" * 7 + b"ffff " + b"ffff:" * 7 + b"ffff 65535 65535\r\n", None),
    (b"PROXY UNKNOWN what \xff ever\r\n", None),
    (v2(0x21, 0x11, four("192.0.2.7", 50412)), ("192.0.2.7", 50412)),
    (v2(0x21, 0x11, four("192.0.2.7", 50412) + TLV), ("192.0.2.7", 50412)),
    (v2(0x21, 0x11, four("192.0.2.7", 1) + bytes(LARGEST_V2 - 16 - 12)), ("192.0.2.7", 1)),
    (v2(0x21, 0x21, six("2001:db8::7", 50412)), ("2001:db8::7", 50412)),
    (v2(0x21, 0x21, six("::ffff:192.0.2.7", 50412) + TLV), ("192.0.2.7", 50412)),
    (v2(0x21, 0x31, bytes(216)), None),
    (v2(0x21, 0x00, b""), None),
    (v2(0x21, 0x00, TLV), None),
    (v2(0x20, 0x00, b""), None),
    (v2(0x20, 0x11, four("192.0.2.7", 50412)), None),
    (v2(0x20, 0xFF, b"whatever"), None),
]

BROKEN = [
    (b"PROXY \r\n", "expected TCP4 or TCP6"),
    (b"PROXY TCP4\r\n", "expected TCP4 or TCP6"),
    (b"PROXY tcp4 192.0.2.7 198.51.100.1 1 2\r\n", "expected TCP4 or TCP6"),
    (b"PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n", "expected TCP4 or TCP6"),
    (b"PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n", "expected TCP4 or TCP6"),
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n", "expected TCP4 or TCP6"),
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n", "expected TCP4 or TCP6"),
    (b"PROXY TCP4 2001:db8::7 198.51.100.1 1 2\r\n", "none of its family"),
    (b"PROXY TCP6 192.0.2.7 2001:db8::1 1 2\r\n", "none of its family"),
    (b"PROXY TCP4 192.0.2.7 2001:db8::1 1 2\r\n", "none of its family"),
    (b"PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n", "none of its family"),
    (b"PROXY TCP4 192.0.2.256 198.51.100.1 1 2\r\n", "none of its family"),
    (b"PROXY TCP4 192.0.2.\xb2 198.51.100.1 1 2\r\n", "none of its family"),
    (b"PROXY TCP4 3221225991 198.51.100.1 1 2\r\n", "none of its family"),
    (b"PROXY TCP6 fe80::1%eth0 2001:db8::1 1 2\r\n", "with a zone"),
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n", "not one of 0 to 65535"),
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 2\r\n", "not one of 0 to 65535"),
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 1 -2\r\n", "not one of 0 to 65535"),
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 1 \r\n", "not one of 0 to 65535"),
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n\r\n", "not one of 0 to 65535"),
    (b"PROXY UNKNOWN".ljust(LARGEST_V1, b"."), f"no end of line within {LARGEST_V1} bytes"),
    (b"PROXY UNKNOWN".ljust(LARGEST_V1 - 1, b".") + b"\r\n", f"no end of line within {LARGEST_V1} bytes"),
    (SIGNATURE + b"\x11", "version and command 0x11"),
    (SIGNATURE + b"\x22", "version and command 0x22"),
    (SIGNATURE + b"\x21\x12", "family and transport 0x12"),
    (SIGNATURE + b"\x21\x41", "family and transport 0x41"),
    (v2(0x21, 0x11, four("192.0.2.7", 1)[:-1]), "27 bytes, which is too short"),
    (v2(0x21, 0x21, bytes(35)), "51 bytes, which is too short"),
    (v2(0x21, 0x31, bytes(215)), "231 bytes, which is too short"),
    (v2(0x21, 0x11, bytes(LARGEST_V2 - 15))[:16], f"{LARGEST_V2 + 1} bytes, limit {LARGEST_V2}"),
    (v2(0x20, 0x00, bytes(LARGEST_V2 - 15))[:16], f"{LARGEST_V2 + 1} bytes, limit {LARGEST_V2}"),
]


@pytest.mark.parametrize(("data", "source"), HEADERS)
def test_a_header_is_read_at_its_last_byte_and_not_before(data: bytes, source: tuple[str, int] | None) -> None:
    limit = LARGEST_V1 if data.startswith(b"PROXY") else LARGEST_V2
    assert whole(parse, data, limit, (b"\0", b"\x16\x03\x01", data)) == ProxyHeader(len(data), source)


@pytest.mark.parametrize(("data", "reason"), BROKEN)
def test_a_broken_header_is_told(data: bytes, reason: str) -> None:
    assert reason in malformed(parse, data)


def test_a_limit_is_told_by_the_line_itself_and_one_byte_less_passes() -> None:
    longest = b"PROXY UNKNOWN ".ljust(LARGEST_V1 - 2, b".") + b"\r\n"
    assert parse(longest) == ProxyHeader(LARGEST_V1, None)


@pytest.mark.parametrize(
    "head", [b"\x16\x03\x01", b"GET / HTTP/1.1\r\n", b"PROXYTCP4", b"proxy ", b"\r\n\r\n\0\r\nQUIT\r", b"\0", b"PP"]
)
def test_what_is_no_header_is_known_at_once(head: bytes) -> None:
    assert parse(head) is NOT_THIS


@given(st.binary(max_size=300))
def test_anything_is_answered(data: bytes) -> None:
    check_total(lambda head: parse(head), data, 16)


@given(st.sampled_from([b"PROXY ", b"PROXY TCP4 ", b"PROXY TCP6 ::1 ::1 "]), st.binary(max_size=200))
def test_any_line_is_answered_within_its_limit(start: bytes, rest: bytes) -> None:
    check_total(parse, start + rest, LARGEST_V1)


@given(st.binary(min_size=1, max_size=4), st.binary(max_size=300))
def test_anything_of_version_2_is_answered_within_its_limit(fixed: bytes, rest: bytes) -> None:
    check_total(parse, SIGNATURE + fixed + rest, LARGEST_V2)


@given(st.sampled_from([data for data, _ in HEADERS]), st.data())
def test_a_changed_byte_never_makes_it_read_more_than_is_there(header: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(header) - 1))
    changed = header[:at] + data.draw(st.binary(min_size=1, max_size=1)) + header[at + 1 :]
    check_total(parse, changed, LARGEST_V2)


@given(st.ip_addresses(), st.integers(0, 65535), st.binary(max_size=64), st.booleans())
def test_what_is_written_is_read(
    source: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int, rest: bytes, binary: bool
) -> None:
    is_four = isinstance(source, ipaddress.IPv4Address)
    address, other = str(source), "192.0.2.1" if is_four else "::1"
    made = (four if is_four else six)(address, port)
    line = f"PROXY {'TCP4' if is_four else 'TCP6'} {address} {other} {port} 443\r\n".encode()
    header = v2(0x21, 0x11 if is_four else 0x21, made + rest) if binary else line
    read = parse(header + rest)
    assert not isinstance(read, More)
    assert read is not NOT_THIS
    mapped = getattr(source, "ipv4_mapped", None) or source
    assert (read.size, read.source) == (len(header), (str(mapped), port))
