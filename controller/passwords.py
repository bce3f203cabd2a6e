"""Passwords: argon2id (RFC 9106), by the parameters argon2-cffi has as its defaults: 64 MiB and about 0.1 seconds.

A check costs the same whether there is anything to check against or not, and only so many run at a time: their memory
is bounded, and the rest of the controller has a processor left.
"""

import secrets

import trio
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST_PASSWORD = 8  # characters (NIST SP 800-63B, section 5.1.1.1)
LONGEST_PASSWORD = 1024
MOST_AT_ONCE = 2

_hasher = PasswordHasher()
_NOBODYS = _hasher.hash(secrets.token_urlsafe(24))


class Passwords:
    """Makes and checks hashes in threads."""

    def __init__(self) -> None:
        self._room = trio.CapacityLimiter(MOST_AT_ONCE)

    async def hash(self, password: str) -> str:
        """Give what is stored of a password; empty for none."""
        if not password:
            return ""
        return await trio.to_thread.run_sync(_hasher.hash, password, limiter=self._room)

    async def fits(self, hashed: str, password: str) -> bool:
        """Tell whether a password is the one; nothing fits where there is none."""
        return await trio.to_thread.run_sync(_fits, hashed, password, limiter=self._room)


def _fits(hashed: str, password: str) -> bool:
    try:
        _hasher.verify(hashed or _NOBODYS, password[: LONGEST_PASSWORD + 1])
    except (VerificationError, InvalidHashError, UnicodeError):
        return False
    return bool(hashed)
