"""The first packet of a Postgres client inside TLS, and the ErrorResponse it understands.

Source: PostgreSQL, "Message Formats" (StartupMessage, CancelRequest, ErrorResponse) and "Error and Notice Message
Fields".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.wire.verdict import Malformed, More

SSL_REQUEST_SIZE = 8  # bytes: length and code
LARGEST_STARTUP = 10_000  # bytes: PostgreSQL's MAX_STARTUP_PACKET_LENGTH
SHORTEST_SECRET, LONGEST_SECRET = 4, 256  # bytes of a cancel key; more than four since protocol 3.2
LONGEST_TEXT = 2_000  # characters of one error field: libpq reads no error above 30,000 bytes while it connects

_HEADER = 8  # bytes: length of the packet, and its version or request code
_CANCEL = 80_877_102
_REQUESTS = {80_877_103: "SSLRequest", 80_877_104: "GSSENCRequest"}


@dataclass(frozen=True, slots=True)
class Startup:
    """A StartupMessage. Text that is not UTF-8 keeps its bytes as surrogate escapes."""

    version: tuple[int, int]
    parameters: Mapping[str, str]
    size: int


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """A wish to cancel what another connection does; it gets no answer."""

    process_id: int
    secret: bytes = field(repr=False)
    size: int


def parse_startup(data: bytes | memoryview) -> Startup | CancelRequest | More:
    """Read the packet that `data` begins with; what follows it is left alone. Raises Malformed."""
    header = bytes(data[:_HEADER])
    if len(header) < _HEADER:
        return More(_HEADER)
    size, code = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:], "big")
    if not _HEADER <= size <= LARGEST_STARTUP:
        raise Malformed(f"startup: packet of {size} bytes, expected {_HEADER} to {LARGEST_STARTUP}")
    if code == _CANCEL:
        return _cancel_request(data, size)
    version = divmod(code, 0x10000)
    if code in _REQUESTS:
        raise Malformed(f"startup: {_REQUESTS[code]} inside tls, expected a startup message")
    if version[0] != 3:
        raise Malformed(f"startup: protocol {version[0]}.{version[1]}, expected 3.x")
    if len(data) < size:
        return More(size)
    return Startup(version, _parameters(bytes(data[_HEADER:size])), size)


def startup_message(version: tuple[int, int], parameters: Mapping[str, str]) -> bytes:
    """Make a StartupMessage that `parse_startup` reads back. Raises Malformed for what none can hold."""
    if "" in parameters:
        raise Malformed("startup: parameter without a name")
    texts = "".join(f"{name}\0{value}\0" for name, value in parameters.items())
    if texts.count("\0") != 2 * len(parameters):
        raise Malformed("text: holds a zero byte")
    body = (version[0] << 16 | version[1]).to_bytes(4, "big") + _utf8(texts) + b"\0"
    if 4 + len(body) > LARGEST_STARTUP:
        raise Malformed(f"startup: packet of {4 + len(body)} bytes, expected {_HEADER} to {LARGEST_STARTUP}")
    return (4 + len(body)).to_bytes(4, "big") + body


def encoded(text: str) -> bytes:
    """Give the bytes of a text that a zero byte can end; surrogate escapes are bytes again. Raises Malformed."""
    data = _utf8(text)
    if b"\0" in data:
        raise Malformed("text: holds a zero byte")
    return data


def _utf8(text: str) -> bytes:
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        raise Malformed("text: holds a character that UTF-8 does not have") from None


def error_response(sqlstate: str, message: str, hint: str = "", severity: str = "FATAL") -> bytes:
    """Make an ErrorResponse; NULs in the texts are left out, and texts beyond `LONGEST_TEXT` are cut."""
    fields = {"S": severity, "V": severity, "C": sqlstate, "M": message, "H": hint}
    body = b"".join(kind.encode() + _text(text) for kind, text in fields.items() if text) + b"\0"
    return b"E" + (4 + len(body)).to_bytes(4, "big") + body


def _cancel_request(data: bytes | memoryview, size: int) -> CancelRequest | More:
    secret_size = size - _HEADER - 4
    if not SHORTEST_SECRET <= secret_size <= LONGEST_SECRET:
        expected = f"{SHORTEST_SECRET} to {LONGEST_SECRET}"
        raise Malformed(f"cancel request: secret of {secret_size} bytes, expected {expected}")
    if len(data) < size:
        return More(size)
    body = bytes(data[_HEADER:size])
    return CancelRequest(int.from_bytes(body[:4], "big", signed=True), body[4:], size)


def _parameters(body: bytes) -> dict[str, str]:
    """Read pairs of zero-ended names and values, ended by an empty name."""
    texts = body.split(b"\0")
    if texts[-2:] != [b"", b""] or len(texts) % 2:
        raise Malformed("startup: parameters do not end with a pair and a zero byte")
    parameters: dict[str, str] = {}
    for name, value in zip(texts[:-2:2], texts[1:-2:2], strict=True):
        key = name.decode(errors="surrogateescape")
        if not key:
            raise Malformed("startup: parameter without a name")
        if key in parameters:
            raise Malformed(f"startup: parameter {len(parameters) + 1} has the name of an earlier one")
        parameters[key] = value.decode(errors="surrogateescape")
    return parameters


def _text(text: str) -> bytes:
    return text.replace("\0", "")[:LONGEST_TEXT].encode(errors="replace") + b"\0"
