"""The TLS ClientHello, read before any handshake: which name is asked for, which protocols are offered.

Two layers. Below, `_gather` joins the fragments of as many TLS records as the hello spans: post-quantum key shares
make it larger than a network packet, and some clients cut it on purpose. Above, the hello itself is read by a cursor
that checks every length. What is only passed on to OpenSSL (cipher suites, key shares, …) is stepped over, not judged.

Sources: RFC 8446 sections 4.1.2 (ClientHello), 4.2 (extensions), 5.1 (records); RFC 6066 section 3 (server_name);
RFC 7301 section 3.1 (ALPN).
"""

import struct
from dataclasses import dataclass

from gateway.wire.cursor import Cursor
from gateway.wire.verdict import Malformed, More

LARGEST = 16 * 1024  # bytes of all its records: a hello with post-quantum shares and a session ticket is below 4 KiB
MOST_RECORDS = 512  # a hello in one-byte records is still read; a stranger cannot make us read it again for ever

_HANDSHAKE_RECORD = 22
_CLIENT_HELLO = 1
_RECORD_HEADER = 5  # bytes: type, version, length
_HANDSHAKE_HEADER = 4  # bytes: type, length
_EXTENSION = struct.Struct(">HH")  # type, length

_SERVER_NAME = 0
_ALPN = 16
_HOST_NAME = 0  # the one NameType there is


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What routing needs of a hello; nothing in it is judged beyond its form."""

    server_name: bytes | None  # None: the extension is absent; b"": it is there and names no host
    alpn: tuple[bytes, ...]  # in the client's order
    size: int  # bytes of the records that hold it


def parse(data: bytes | memoryview) -> ClientHello | More:
    """Read the hello that `data` begins with; what follows its records is left alone. Raises Malformed."""
    gathered = _gather(memoryview(data))
    if isinstance(gathered, More):
        return gathered
    hello, size = gathered
    cursor = Cursor(hello, "client hello")
    cursor.take(2, "version")
    cursor.take(32, "random")
    _check_length("session id", len(cursor.block(1, "session id")), 0, 32)
    _check_length("cipher suites", len(cursor.block(2, "cipher suites")), 2, 0xFFFE, step=2)
    _check_length("compression methods", len(cursor.block(1, "compression methods")), 1, 0xFF)
    extensions = _extensions(cursor)
    return ClientHello(
        server_name=_server_name(extensions.get(_SERVER_NAME)),
        alpn=_alpn(extensions.get(_ALPN)),
        size=size,
    )


def _gather(view: memoryview) -> tuple[bytes, int] | More:
    """Join the fragments of the records; give the hello without its header, and the bytes its records take."""
    handshake = bytearray()
    at = 0
    for _record in range(MOST_RECORDS):
        end = _end_of_record(view, at)
        if isinstance(end, More):
            return end
        handshake += view[at + _RECORD_HEADER : end]
        whole = _whole(handshake)
        if len(view) < end:
            return More(end)
        if whole is not None and len(handshake) >= whole:
            return bytes(handshake[_HANDSHAKE_HEADER:whole]), end
        at = end
    raise Malformed(f"client hello: more than {MOST_RECORDS} records")


def _end_of_record(view: memoryview, at: int) -> int | More:
    """Judge the record header at `at` as far as it is there; give the offset behind its fragment."""
    header = bytes(view[at : at + _RECORD_HEADER])
    if header and header[0] != _HANDSHAKE_RECORD:
        raise Malformed(f"client hello: record of type {header[0]}, expected {_HANDSHAKE_RECORD} (handshake)")
    if len(header) > 1 and header[1] != 3:
        raise Malformed(f"client hello: record of version {header[1]}.x, expected 3.x")
    if at + _RECORD_HEADER >= LARGEST:
        raise Malformed(f"client hello: unfinished after {at} bytes, limit {LARGEST}")
    if len(header) < _RECORD_HEADER:
        return More(at + _RECORD_HEADER)
    length = int.from_bytes(header[3:], "big")
    if length == 0:
        raise Malformed("client hello: empty record")
    end = at + _RECORD_HEADER + length
    if end > LARGEST:
        raise Malformed(f"client hello: record of {length} bytes at {at}, limit {LARGEST} in all")
    return end


def _whole(handshake: bytearray) -> int | None:
    """Judge the handshake header as far as it is there; give the size of the whole message once it is known."""
    if handshake and handshake[0] != _CLIENT_HELLO:
        raise Malformed(f"client hello: handshake message of type {handshake[0]}, expected {_CLIENT_HELLO}")
    if len(handshake) < _HANDSHAKE_HEADER:
        return None
    whole = _HANDSHAKE_HEADER + int.from_bytes(handshake[1:_HANDSHAKE_HEADER], "big")
    if _RECORD_HEADER + whole > LARGEST:
        raise Malformed(f"client hello: message of {whole} bytes, limit {LARGEST - _RECORD_HEADER}")
    return whole


def _extensions(cursor: Cursor) -> dict[int, bytes]:
    """Read the extensions by type; there may be none at all, and never two of a type."""
    found: dict[int, bytes] = {}
    if not cursor.left:
        return found
    extensions = cursor.block(2, "extensions")
    cursor.end("extensions")
    at, end = 0, len(extensions)
    while at < end:
        if end - at < _EXTENSION.size:
            raise Malformed(f"client hello: extension header of {_EXTENSION.size} bytes, {end - at} left")
        kind, size = _EXTENSION.unpack_from(extensions, at)
        start = at + _EXTENSION.size
        at = start + size
        if at > end:
            raise Malformed(f"client hello: extension {kind} of {size} bytes, {end - start} left")
        if kind in found:
            raise Malformed(f"client hello: extension {kind} given twice")
        found[kind] = extensions[start:at]
    return found


def _server_name(extension: bytes | None) -> bytes | None:
    """Give the one host name; an empty extension, an empty list and an empty name are all `b""`."""
    if not extension:
        return extension
    outer = Cursor(extension, "client hello: server name")
    names = outer.vector(2, "list")
    outer.end("list")
    hosts: list[bytes] = []
    while names.left:
        kind = names.number(1, "type")
        name = names.block(2, "name")
        if kind == _HOST_NAME:
            hosts.append(name)
    if len(hosts) > 1:
        raise Malformed(f"client hello: server name: {len(hosts)} host names, expected one")
    return hosts[0] if hosts else b""


def _alpn(extension: bytes | None) -> tuple[bytes, ...]:
    if extension is None:
        return ()
    outer = Cursor(extension, "client hello: alpn")
    protocols = outer.vector(2, "list")
    outer.end("list")
    _check_length("alpn list", protocols.left, 2, 0xFFFF)
    names: list[bytes] = []
    while protocols.left:
        names.append(protocols.block(1, "name"))
        _check_length("alpn name", len(names[-1]), 1, 0xFF)
    return tuple(names)


def _check_length(what: str, length: int, least: int, most: int, step: int = 1) -> None:
    if not least <= length <= most or length % step:
        even = ", an even number" if step == 2 else ""
        raise Malformed(f"client hello: {what} of {length} bytes, expected {least} to {most}{even}")
