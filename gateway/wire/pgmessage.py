"""Messages of the Postgres protocol after the startup packet, as far as the gateway itself speaks it: logging a client
in, logging itself in to a database, and passing on cancel keys.

Source: PostgreSQL, "Message Formats", "Message Flow" and "SASL Authentication". A message is a byte that tells its
kind, four bytes of length that count themselves, and the body. Texts that are not UTF-8 keep their bytes as surrogate
escapes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from gateway.wire.cursor import Cursor
from gateway.wire.postgres import LONGEST_SECRET, SHORTEST_SECRET, encoded
from gateway.wire.verdict import Malformed, More

HEADER = 5  # bytes: kind and length
LARGEST_SASL = 1_024  # bytes of a SASL message: PostgreSQL's PG_MAX_SASL_MESSAGE_LENGTH
LONGEST_PASSWORD = 65_535  # bytes with the zero at the end: PostgreSQL's PG_MAX_AUTH_TOKEN_LENGTH
MOST_MECHANISMS = 16  # that a server may offer; PostgreSQL knows three

_NEGOTIATE_MAJOR = 3
_CANCEL = 80_877_102
_NO_DATA = 0xFFFFFFFF  # -1: a client names its mechanism and says nothing yet


class Auth(IntEnum):
    """What a server asks for, or tells, in an Authentication message."""

    OK = 0
    CLEARTEXT = 3
    MD5 = 5
    SASL = 10
    SASL_CONTINUE = 11
    SASL_FINAL = 12


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message; `size` is what it took, header included."""

    kind: bytes
    body: bytes = field(repr=False)
    size: int


@dataclass(frozen=True, slots=True)
class SaslInitial:
    """A client's choice among the mechanisms, and the first it says in it."""

    mechanism: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CancelKey:
    """What lets its holder cancel the query of a connection."""

    process_id: int  # may be negative: 32 bits with a sign
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ErrorFields:
    """What an ErrorResponse or a NoticeResponse says; empty where it says nothing."""

    severity: str = ""
    sqlstate: str = ""
    message: str = ""
    detail: str = ""
    hint: str = ""


# ---- any message


def parse_message(data: bytes | memoryview, largest: int) -> Message | More:
    """Read the message that `data` begins with; what follows it is left alone. Raises Malformed, also for one of more
    than `largest` bytes with its header.
    """
    header = bytes(data[:HEADER])
    if len(header) < HEADER:
        return More(HEADER)
    size = 1 + int.from_bytes(header[1:], "big")
    if not HEADER <= size <= largest:
        raise Malformed(f"message: {size} bytes, expected {HEADER} to {largest}")
    if len(data) < size:
        return More(size)
    return Message(header[:1], bytes(data[HEADER:size]), size)


def split_messages(data: bytes, largest: int) -> list[tuple[bytes, bytes]] | More:
    """Give the kind of each whole message that `data` begins with, one at least, and all of it with its header. Raises
    Malformed, also for one of more than `largest` bytes.
    """
    found: list[tuple[bytes, bytes]] = []
    at, needed, available = 0, HEADER, len(data)
    while available - at >= HEADER:
        needed = 1 + int.from_bytes(data[at + 1 : at + HEADER], "big")
        if not HEADER <= needed <= largest:
            raise Malformed(f"message: {needed} bytes, expected {HEADER} to {largest}")
        if available - at < needed:
            break
        found.append((data[at : at + 1], data[at : at + needed]))
        at += needed
    return found or More(needed)


def message(kind: bytes, body: bytes = b"") -> bytes:
    """Make a message."""
    return kind + (4 + len(body)).to_bytes(4, "big") + body


# ---- authentication


def authentication(kind: Auth, data: bytes = b"") -> bytes:
    """Make an Authentication message (R)."""
    return message(b"R", kind.to_bytes(4, "big") + data)


def parse_authentication(body: bytes) -> tuple[int, bytes]:
    """Read the body of an Authentication message (R): what is asked for, which need not be an `Auth`, and the data
    with it. Raises Malformed.
    """
    cursor = Cursor(body, "authentication")
    return cursor.number(4, "kind"), cursor.rest()


def offer(mechanisms: Iterable[str]) -> bytes:
    """Make an AuthenticationSASL message that offers these mechanisms, the best one first."""
    return authentication(Auth.SASL, b"".join(encoded(name) + b"\0" for name in mechanisms) + b"\0")


def parse_offer(data: bytes) -> tuple[str, ...]:
    """Read the data of an AuthenticationSASL message: the names of mechanisms. Raises Malformed."""
    texts = data.split(b"\0")
    if texts[-2:] != [b"", b""] or b"" in texts[:-2]:
        raise Malformed("sasl: mechanisms do not end with an empty one")
    if len(texts) - 2 > MOST_MECHANISMS:
        raise Malformed(f"sasl: {len(texts) - 2} mechanisms, limit {MOST_MECHANISMS}")
    return tuple(_decoded(text) for text in texts[:-2])


def sasl_initial(mechanism: str, data: bytes) -> bytes:
    """Make a SASLInitialResponse (p)."""
    return message(b"p", encoded(mechanism) + b"\0" + len(data).to_bytes(4, "big") + data)


def parse_sasl_initial(body: bytes) -> SaslInitial:
    """Read the body of a SASLInitialResponse (p); no data is the same as empty data. Raises Malformed."""
    name, zero, rest = body.partition(b"\0")
    if not zero:
        raise Malformed("sasl: mechanism without a zero at its end")
    cursor = Cursor(rest, "sasl")
    size = cursor.number(4, "length")
    data = b"" if size == _NO_DATA else cursor.take(size, "data")
    cursor.end("data")
    if len(data) > LARGEST_SASL:
        raise Malformed(f"sasl: data of {len(data)} bytes, limit {LARGEST_SASL}")
    return SaslInitial(_decoded(name), data)


def sasl_response(data: bytes) -> bytes:
    """Make a SASLResponse (p); its body is the data and nothing else."""
    return message(b"p", data)


def password_message(text: str) -> bytes:
    """Make a PasswordMessage (p). Raises Malformed for a text that cannot be one."""
    return message(b"p", encoded(text) + b"\0")


def parse_password(body: bytes) -> str:
    """Read the body of a PasswordMessage (p). Raises Malformed."""
    if len(body) > LONGEST_PASSWORD:
        raise Malformed(f"password: {len(body)} bytes, limit {LONGEST_PASSWORD}")
    if body.find(b"\0") != len(body) - 1 or not body:
        raise Malformed("password: expected one zero, at the end")
    return _decoded(body[:-1])


# ---- cancel keys


def parse_key(body: bytes) -> CancelKey:
    """Read the body of a BackendKeyData (K). Raises Malformed."""
    cursor = Cursor(body, "cancel key")
    number = int.from_bytes(cursor.take(4, "process id"), "big", signed=True)
    if not SHORTEST_SECRET <= cursor.left <= LONGEST_SECRET:
        raise Malformed(f"cancel key: secret of {cursor.left} bytes, expected {SHORTEST_SECRET} to {LONGEST_SECRET}")
    return CancelKey(number, cursor.rest())


def backend_key(key: CancelKey) -> bytes:
    """Make a BackendKeyData (K)."""
    return message(b"K", key.process_id.to_bytes(4, "big", signed=True) + key.secret)


def cancel_request(key: CancelKey) -> bytes:
    """Make a CancelRequest, the packet that a connection of its own begins with."""
    body = _CANCEL.to_bytes(4, "big") + key.process_id.to_bytes(4, "big", signed=True) + key.secret
    return (4 + len(body)).to_bytes(4, "big") + body


# ---- what a database says


def parse_error(body: bytes) -> ErrorFields:
    """Read the body of an ErrorResponse (E) or a NoticeResponse (N); of a field it has twice the last one counts.
    Raises Malformed.
    """
    *texts, last = body.split(b"\0")
    if last or not texts or texts.pop() or b"" in texts:
        raise Malformed("error: fields do not end with a zero byte")
    fields = {text[:1]: _decoded(text[1:]) for text in texts}
    severity = fields.get(b"V") or fields.get(b"S", "")  # V is never translated
    return ErrorFields(severity, *(fields.get(kind, "") for kind in (b"C", b"M", b"D", b"H")))


def negotiated_minor(body: bytes) -> int:
    """Read the body of a NegotiateProtocolVersion (v): the minor version of protocol 3 that the server speaks. Raises
    Malformed.

    PostgreSQL sends both halves of the version, and its documentation can be read as if it sent the minor one alone.
    """
    cursor = Cursor(body, "negotiate version")
    major, minor = divmod(cursor.number(4, "version"), 0x10000)
    count = cursor.number(4, "number of options")
    names = cursor.rest().split(b"\0")
    if major not in (0, _NEGOTIATE_MAJOR):
        raise Malformed(f"negotiate version: protocol {major}.{minor}, expected 3.x")
    if names.pop() or len(names) != count:
        raise Malformed(f"negotiate version: {count} options announced, {len(names)} found")
    return minor


def _decoded(text: bytes) -> str:
    return text.decode(errors="surrogateescape")
