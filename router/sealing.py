"""Sealed values: what one part of Podgate gives a browser to bring to another part, unforgeable and with an end.

A sealed text is `KEY-ID.PAYLOAD.SEAL`: the payload is JSON in base64url, the seal HMAC-SHA256 (RFC 2104) over purpose,
key id and payload. A text sealed for one purpose opens for no other. Keys are shared by the controller and its
gateways; the newest seals, all of them open.
"""

import base64
import binascii
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any, TypeVar

LONGEST_SEALED = 4096  # characters: browsers keep no longer cookies
SHORTEST_KEY = 32  # bytes (RFC 2104, section 3: at least the length of the hash)

_SHAPE = re.compile(r"([A-Za-z0-9_-]{1,32})\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{43})")


class Unsealable(ValueError):
    """A text that cannot be opened; the reason is for the log and holds nothing of the text."""


@dataclass(frozen=True, slots=True)
class Session:
    """The value of a session cookie: who its bearer is, at one host only. Times are seconds since 1970."""

    host: str  # the only host it is good for
    id: str  # of the sign-in it comes from: ending that ends all its sessions
    issued: float
    expires: float
    user: str = ""
    link: str = ""  # of the share link it comes from, if there is no user
    token: str = ""  # the id of the API token it comes from: it ends with it


@dataclass(frozen=True, slots=True)
class Ticket:
    """What leads a browser from the sign-in site back to a pod: good for seconds, at one host, in one browser."""

    host: str
    path: str  # where to go then; begins with one `/`
    state: str  # the hash of what the host's own cookie holds
    id: str
    issued: float
    expires: float  # of the ticket itself
    session_expires: float
    user: str = ""
    link: str = ""


Sealed = TypeVar("Sealed", Session, Ticket)
Keys = Mapping[str, bytes]  # by id


def seal(value: Session | Ticket, key_id: str, key: bytes) -> str:
    """Make the sealed text of a value."""
    payload = _encode(json.dumps(asdict(value), separators=(",", ":")).encode())
    return f"{key_id}.{payload}.{_seal_of(type(value).__name__, key_id, payload, key)}"


def unseal(kind: type[Sealed], text: str, keys: Keys, now: float) -> Sealed:
    """Open a sealed text. Raises Unsealable if it is not whole, not ours, of another kind, or not valid now."""
    parts = _SHAPE.fullmatch(text) if len(text) <= LONGEST_SEALED else None
    if parts is None:
        raise Unsealable("not of the shape of a sealed text")
    key_id, payload, found = parts.groups()
    key = keys.get(key_id)
    if key is None:
        raise Unsealable("sealed with a key that is not known here")
    value: Sealed = _opened(kind.__name__, key_id, payload, found, key)
    if now >= value.expires:
        raise Unsealable("expired")
    if value.issued > now + CLOCK_SKEW:
        raise Unsealable("issued in the future")
    return value


CLOCK_SKEW = 60.0  # seconds that the clocks of two machines may differ


@lru_cache(4096)
def _opened(kind: str, key_id: str, payload: str, found: str, key: bytes) -> Any:  # noqa: ANN401  # a Session or Ticket
    """Check the seal and read what is under it; a browser brings the same text with each request."""
    if not hmac.compare_digest(_seal_of(kind, key_id, payload, key), found):
        raise Unsealable("the seal does not fit")
    try:
        document: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        value = _KINDS[kind](**document)
        if not all(isinstance(getattr(value, name), kinds) for name, kinds in _shape(kind)):
            raise TypeError("fields of other types")
        return value
    except (binascii.Error, ValueError, TypeError) as error:  # sealed by another version of ours
        raise Unsealable(f"sealed by another version: {type(error).__name__}") from None


@lru_cache
def _shape(kind: str) -> tuple[tuple[str, Any], ...]:
    """Give the fields of a kind and what they may be: numbers, but for the texts."""
    return tuple((each.name, str if each.type is str else (int, float)) for each in fields(_KINDS[kind]))


_KINDS: Mapping[str, type[Session] | type[Ticket]] = {"Session": Session, "Ticket": Ticket}


def _seal_of(kind: str, key_id: str, payload: str, key: bytes) -> str:
    message = f"podgate {kind.lower()}\n{key_id}\n{payload}".encode()
    return _encode(hmac.digest(key, message, "sha256"))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
