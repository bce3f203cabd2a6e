"""Credentials: what a gateway knows of people, so that it can tell who is calling without asking anybody.

They are records, each with a key of its own such as `token:k3…`; `router.credentialdocument` reads them. What is absent
lets nobody in, but for `Ended`, which comes after the session it ends.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from router.access import AccessLevel

LONGEST_NAME = 64  # characters of a user's or a group's name
LEAST_ITERATIONS = 4096  # of SCRAM-SHA-256 (RFC 7677, section 4)
MOST_ITERATIONS = 10_000_000
LONGEST_VERIFIER = 1024  # characters
SALTS_KEY = "k00000000"  # the id of the key that salts of nobody are made with; it is never replaced, nor the newest
_ITERATIONS = re.compile(r"[1-9][0-9]{0,7}")
_KEY_BYTES = 32  # of SHA-256
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")


class InvalidCredential(ValueError):
    """A record that cannot be used; the text names the field and holds no secret."""


def check_person_name(name: str) -> str:
    """Give back `name` if it may name a user or a group. Raises InvalidCredential.

    It stands in header fields, log lines, URLs and as a database user's name: nothing to escape.
    """
    if not _NAME.fullmatch(name) or name == "everyone":
        raise InvalidCredential(
            f"name: expected 1 to {LONGEST_NAME} lower-case letters, digits and '.', '_', '-' within, and not "
            "'everyone'"
        )
    return name


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may be let in; `since`: sessions and certificates issued before it are void."""

    name: str
    groups: frozenset[str] = frozenset()
    since: float = 0.0  # seconds since 1970

    @property
    def key(self) -> str:
        """What the record is kept by."""
        return f"user:{self.name}"


@dataclass(frozen=True, slots=True)
class Token:
    """An API token, by what tells a right one from a wrong one."""

    id: str
    hash: str = field(repr=False)  # SHA-256 of the token, in hexadecimal
    user: str = ""
    pod: str = ""  # the key of the only pod it is for; empty: all of the account
    most: AccessLevel = AccessLevel.OWNER
    expires: float | None = None  # seconds since 1970
    verifier: str = field(default="", repr=False)  # SCRAM-SHA-256 (RFC 5803): `iterations:salt:stored:server`

    @property
    def key(self) -> str:
        """What the record is kept by."""
        return f"token:{self.id}"


@dataclass(frozen=True, slots=True)
class Verifier:
    """What tells whether somebody knows a token, without holding it (RFC 5802, section 3)."""

    iterations: int
    salt: bytes
    stored: bytes = field(repr=False)  # StoredKey
    server: bytes = field(repr=False)  # ServerKey


def parse_verifier(text: object) -> Verifier | None:
    """Read `iterations:salt:stored:server`, the last three in base64; None: nothing anybody could prove."""
    parts = text.split(":") if isinstance(text, str) and len(text) <= LONGEST_VERIFIER else []
    if len(parts) != 4 or not _ITERATIONS.fullmatch(parts[0]):
        return None
    try:
        salt, stored, server = (base64.b64decode(part, validate=True) for part in parts[1:])
    except ValueError:  # binascii.Error, or letters beyond ASCII
        return None
    fits = LEAST_ITERATIONS <= int(parts[0]) <= MOST_ITERATIONS and salt and len(stored) == len(server) == _KEY_BYTES
    return Verifier(int(parts[0]), salt, stored, server) if fits else None


@dataclass(frozen=True, slots=True)
class Key:
    """A key that seals and opens (`router.sealing`); the one whose id is the greatest, as a text, is the newest."""

    id: str
    secret: bytes = field(repr=False)

    @property
    def key(self) -> str:
        """What the record is kept by."""
        return f"key:{self.id}"


@dataclass(frozen=True, slots=True)
class Ended:
    """A sign-in whose sessions are void, remembered until the last of them would have ended by itself."""

    session: str
    until: float

    @property
    def key(self) -> str:
        """What the record is kept by."""
        return f"ended:{self.session}"


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs JSON web tokens (RFC 7519) that we take: its keys (RFC 7517), and which subject is which user."""

    issuer: str
    audience: str
    keys: tuple[Mapping[str, Any], ...] = ()
    users: Mapping[str, str] = field(default_factory=dict)  # by the subject's identifier

    @property
    def key(self) -> str:
        """What the record is kept by."""
        return f"issuer:{self.issuer}"


Credential = User | Token | Key | Ended | Issuer


class Credentials:
    """An immutable set of records; a change makes a new one."""

    __slots__ = ("_of_user", "_records", "issuers", "keys", "newest_key", "tokens")

    def __init__(self, records: Iterable[Credential] = ()) -> None:
        self._set({record.key: record for record in records})

    def _set(self, records: dict[str, Credential]) -> None:
        self._records = records
        self.tokens = {record.hash: record for record in records.values() if isinstance(record, Token)}
        of_user: dict[str, list[Token]] = {}
        for token in self.tokens.values():
            of_user.setdefault(token.user, []).append(token)
        self._of_user = {user: tuple(tokens) for user, tokens in of_user.items()}
        keys = [record for record in records.values() if isinstance(record, Key)]
        self.keys: Mapping[str, bytes] = MappingProxyType({record.id: record.secret for record in keys})
        self.newest_key = max((record.id for record in keys), default="")
        self.issuers = {record.issuer: record for record in records.values() if isinstance(record, Issuer)}

    def user(self, name: str) -> User | None:
        """Find a user."""
        record = self._records.get(f"user:{name}")
        return record if isinstance(record, User) else None

    def token(self, id_: str) -> Token | None:
        """Find a token by its id."""
        record = self._records.get(f"token:{id_}")
        return record if isinstance(record, Token) else None

    def tokens_of(self, user: str) -> tuple[Token, ...]:
        """Give the tokens of a user, in no order."""
        return self._of_user.get(user, ())

    def ended(self, session: str) -> bool:
        """Tell whether a sign-in was ended."""
        return f"ended:{session}" in self._records

    def changed(self, put: Iterable[Credential], remove: Iterable[str]) -> "Credentials":
        """Make the set that has `put` instead of, or beside, its own, and none of the keys of `remove`."""
        records = self._records.copy()
        for key in remove:
            records.pop(key, None)
        records.update((record.key, record) for record in put)
        new = Credentials()
        new._set(records)
        return new

    def __iter__(self) -> Iterator[Credential]:
        return iter(self._records.values())

    def __len__(self) -> int:
        return len(self._records)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Credentials) and self._records == other._records

    __hash__ = None  # type: ignore[assignment]
