"""The header of the PROXY protocol, with which a balancer says whose connection it passes on; versions 1 and 2.

    1   a line: PROXY TCP4 192.0.2.7 198.51.100.1 50412 443; TCP6 alike; UNKNOWN, and then anything up to its end
    2   12 bytes that no other protocol begins with; version and command, family and transport, two bytes of length;
        then both addresses and ports, and what else the balancer likes to tell (TLVs), which is skipped

A header that names no address is one of the balancer's own connections (its health checks), or one whose client it does
not know: the address it comes from is then all there is. Whether a header may be believed at all is for others to know.

Source: "The PROXY protocol, versions 1 & 2", haproxy.org, sections 2.1 and 2.2.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal

from gateway.wire.cursor import Cursor
from gateway.wire.verdict import NOT_THIS, Malformed, More, Verdict

LARGEST_V1 = 107  # bytes, the line's end included: the longest there can be, by section 2.1
LARGEST_V2 = 4096  # bytes: addresses take 232 at most, the rest is for TLVs; a certificate of the client's fits in

_PHASE = "proxy header"
_V1 = b"PROXY "
_V2 = b"\r\n\r\n\0\r\nQUIT\n"
_END = b"\r\n"
_FIXED = 16  # bytes of version 2 before its addresses
_PORT = re.compile(rb"0|[1-9][0-9]{0,4}")
_LOCAL, _PROXY = 0x20, 0x21  # version 2, and the commands it has
_ADDRESSES = {0x00: 0, 0x11: 4, 0x21: 16, 0x31: 108}  # bytes of one address: unspecified, TCP of IPv4 and IPv6, unix
_WITHOUT_PORTS = frozenset({0x00, 0x31})
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_FAMILIES: dict[bytes, type[_Address]] = {b"TCP4": ipaddress.IPv4Address, b"TCP6": ipaddress.IPv6Address}


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """What a balancer said, and how many bytes it took to say it."""

    size: int
    source: tuple[str, int] | None  # address and port of the client; None: as the connection itself has it


def parse(head: bytes) -> ProxyHeader | More | Literal[Verdict.NOT_THIS]:
    """Read the header that `head` begins with. Raises Malformed."""
    if head.startswith(_V2):
        return _binary(head)
    if head.startswith(_V1):
        return _line(head)
    if _V2.startswith(head) or _V1.startswith(head):
        return More(len(head) + 1)
    return NOT_THIS


def _line(head: bytes) -> ProxyHeader | More:
    end = head.find(_END, 0, LARGEST_V1)
    if end < 0:
        if len(head) >= LARGEST_V1:
            raise Malformed(f"{_PHASE}: no end of line within {LARGEST_V1} bytes")
        return More(len(head) + 1)
    return ProxyHeader(end + len(_END), _spelled(head[len(_V1) : end].split(b" ")))


def _spelled(words: list[bytes]) -> tuple[str, int] | None:
    """Give the client of a line, of which `words` follow the first."""
    if words[0] == b"UNKNOWN":
        return None
    family = _FAMILIES.get(words[0])
    if family is None or len(words) != 5:
        raise Malformed(f"{_PHASE}: expected TCP4 or TCP6, two addresses and two ports, or UNKNOWN")
    _family, source, destination, source_port, destination_port = words
    _spelled_port(destination_port)
    _spelled_address(family, destination)
    return _spelled_address(family, source), _spelled_port(source_port)


def _spelled_address(family: type[_Address], word: bytes) -> str:
    try:
        address = family(word.decode("ascii"))
    except ValueError as error:
        raise Malformed(f"{_PHASE}: an address that is none of its family") from error
    if getattr(address, "scope_id", None):
        raise Malformed(f"{_PHASE}: an address with a zone, which means something on the balancer alone")
    return _plain(address)


def _spelled_port(word: bytes) -> int:
    if not _PORT.fullmatch(word) or int(word) > 65535:
        raise Malformed(f"{_PHASE}: a port that is not one of 0 to 65535")
    return int(word)


def _binary(head: bytes) -> ProxyHeader | More:
    """Read version 2; what is wrong is told as soon as it shows, whatever is still to come."""
    if len(head) > len(_V2):
        _check(head)
    if len(head) < _FIXED:
        return More(_FIXED)
    size = _FIXED + int.from_bytes(head[14:_FIXED], "big")
    if size > LARGEST_V2:
        raise Malformed(f"{_PHASE}: {size} bytes, limit {LARGEST_V2}")
    width = _ADDRESSES[head[13]] if head[12] == _PROXY else 0
    ports = 0 if head[13] in _WITHOUT_PORTS else 4
    if size < _FIXED + 2 * width + (ports if width else 0):
        raise Malformed(f"{_PHASE}: {size} bytes, which is too short for its addresses")
    if len(head) < size:
        return More(size)
    if head[12] == _LOCAL or head[13] in _WITHOUT_PORTS:
        return ProxyHeader(size, None)
    cursor = Cursor(head[_FIXED:size], _PHASE)
    source, _destination = cursor.take(width, "address"), cursor.take(width, "address")
    return ProxyHeader(size, (_plain(ipaddress.ip_address(source)), cursor.number(2, "port")))


def _check(head: bytes) -> None:
    """See that version and command, and family and transport, are known as far as they are there."""
    if head[12] not in (_LOCAL, _PROXY):
        raise Malformed(f"{_PHASE}: version and command {head[12]:#04x}, expected 0x20 or 0x21")
    if head[12] == _PROXY and len(head) > 13 and head[13] not in _ADDRESSES:
        raise Malformed(f"{_PHASE}: family and transport {head[13]:#04x}, expected a stream of IPv4, IPv6 or unix")


def _plain(address: _Address) -> str:
    """Write an address; one of IPv4 that is wrapped in IPv6 (RFC 4291, section 2.5.5.2) as what it is."""
    return str(getattr(address, "ipv4_mapped", None) or address)
