"""The documents of credentials (`router.credentials`).

    {"kind": "user", "name": "alice", "groups": ["lab"], "since": 1790000000.0}
    {"kind": "token", "id": "k3…", "hash": "…", "user": "alice", "pod": "", "most": "owner", "expires": null,
     "verifier": "4096:salt:stored:server"}
    {"kind": "key", "id": "s1", "secret": "…"}
    {"kind": "ended", "session": "…", "until": 1790000000.0}
    {"kind": "issuer", "issuer": "https://…", "audience": "…", "users": {"subject": "alice"}, "keys": [{…}]}

Each is one record with a key of its own, such as `token:k3…`, and is judged alone like a route: one that cannot be read
is not there at all.
"""

import base64
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from router.access import AccessLevel
from router.credentials import (
    Credential,
    Ended,
    InvalidCredential,
    Issuer,
    Key,
    Token,
    User,
    check_person_name,
)
from router.sealing import SHORTEST_KEY

LATEST = 2.0**53  # seconds since 1970
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")  # as in sealed texts
_TEXT = re.compile(r".+", re.DOTALL)
_HASH = re.compile(r"[0-9a-f]{64}")


def to_document(record: Credential) -> dict[str, Any]:
    """Give the JSON form that `parse_credential` reads back to an equal record."""
    match record:
        case User():
            return {"kind": "user", "name": record.name, "groups": sorted(record.groups), "since": record.since}
        case Token():
            return {
                "kind": "token", "id": record.id, "hash": record.hash, "user": record.user, "pod": record.pod,
                "most": str(record.most), "expires": record.expires, "verifier": record.verifier,
            }  # fmt: skip
        case Key():
            return {"kind": "key", "id": record.id, "secret": base64.b64encode(record.secret).decode("ascii")}
        case Ended():
            return {"kind": "ended", "session": record.session, "until": record.until}
        case _:
            return {
                "kind": "issuer", "issuer": record.issuer, "audience": record.audience,
                "keys": [dict(key) for key in record.keys], "users": dict(record.users),
            }  # fmt: skip


def key_of_document(document: object) -> str | None:
    """Give the key of a record if that much can be read: even a bad one names what it is about."""
    if not isinstance(document, Mapping):
        return None
    name = _NAMED_BY.get(str(document.get("kind")))
    value = document.get(name) if name else None
    return f"{document['kind']}:{value}" if isinstance(value, str) and value else None


_NAMED_BY = {"user": "name", "token": "id", "key": "id", "ended": "session", "issuer": "issuer"}


def ended_of_document(document: object) -> Ended | None:
    """Give what ends a session for good, if a record is about that and however bad the rest of it is: this kind alone
    takes something away.
    """
    if not isinstance(document, Mapping) or document.get("kind") != "ended":
        return None
    session = document.get("session")
    return Ended(session, math.inf) if isinstance(session, str) and session else None


def parse_credential(document: object) -> Credential:
    """Read one record; a field it does not know might be a restriction, so there must be none. Raises
    InvalidCredential.
    """
    if not isinstance(document, Mapping):
        raise InvalidCredential(f"expected a table of fields, got {type(document).__name__}")
    reader = _READERS.get(str(document.get("kind")))
    if reader is None:
        raise InvalidCredential(f"kind: expected one of {', '.join(_READERS)}")
    fields = _Fields(document)
    record = reader(fields)
    unknown = sorted(str(key) for key in set(document) - fields.read - {"kind"})
    if unknown:
        raise InvalidCredential(f"{', '.join(unknown)}: no such field")
    return record


class _Fields:
    """Reads the fields of a document and remembers which."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self.read: set[str] = set()

    def get(self, name: str, default: object = None) -> Any:  # noqa: ANN401  # JSON: each reader judges its own
        self.read.add(name)
        return self._document.get(name, default)

    def text(self, name: str, shape: re.Pattern[str] | None = None, default: str | None = None) -> str:
        value = self.get(name, default)
        if not isinstance(value, str) or (shape is not None and value != default and not shape.fullmatch(value)):
            raise InvalidCredential(f"{name}: not a text of the shape expected")
        return value

    def time(self, name: str) -> float:
        value = self.get(name, 0.0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LATEST:
            raise InvalidCredential(f"{name}: expected seconds since 1970")
        return float(value)

    def texts(self, name: str) -> list[str]:
        value = self.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise InvalidCredential(f"{name}: expected a list of texts")
        return value


def _user(fields: _Fields) -> User:
    groups = frozenset(check_person_name(group) for group in fields.texts("groups"))
    return User(check_person_name(fields.text("name")), groups, fields.time("since"))


def _token(fields: _Fields) -> Token:
    try:
        most = AccessLevel.parse(fields.get("most"))
    except ValueError as error:
        raise InvalidCredential(f"most: {error}") from None
    expires = fields.get("expires")
    return Token(
        id=fields.text("id", _ID),
        hash=fields.text("hash", _HASH),
        user=check_person_name(fields.text("user")),
        pod=fields.text("pod", _ID, ""),
        most=most,
        expires=None if expires is None else fields.time("expires"),
        verifier=fields.text("verifier", None, ""),
    )


def _key(fields: _Fields) -> Key:
    text = fields.text("secret")
    try:
        secret = base64.b64decode(text, validate=True)
    except ValueError:  # binascii.Error, or letters beyond ASCII
        secret = b""
    if len(secret) < SHORTEST_KEY:
        raise InvalidCredential(f"secret: expected base64 of at least {SHORTEST_KEY} bytes")
    return Key(fields.text("id", _KEY_ID), secret)


def _ended(fields: _Fields) -> Ended:
    return Ended(fields.text("session", _ID), fields.time("until"))


def _issuer(fields: _Fields) -> Issuer:
    keys, users = fields.get("keys", []), fields.get("users", {})
    if not isinstance(keys, list) or not all(isinstance(key, Mapping) for key in keys):
        raise InvalidCredential("keys: expected a list of JSON web keys")
    if not isinstance(users, Mapping):
        raise InvalidCredential("users: expected user names by subject")
    named = {str(subject): check_person_name(str(name)) for subject, name in users.items()}
    return Issuer(fields.text("issuer", _TEXT), fields.text("audience", _TEXT), tuple(keys), named)


_READERS: Mapping[str, Callable[[_Fields], Credential]] = {
    "user": _user, "token": _token, "key": _key, "ended": _ended, "issuer": _issuer,
}  # fmt: skip
