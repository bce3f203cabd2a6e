"""Passwords: argon2id (RFC 9106), by the parameters argon2-cffi has as its defaults: 64 MiB and about 0.1 seconds.

A check costs the same whether there is anything to check against or not, and only so many run at a time: their memory
is bounded, and the rest of the controller has a processor left.
"""

import base64
import secrets

import trio
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION

SHORTEST_PASSWORD = 8  # characters (NIST SP 800-63B, section 5.1.1.1)
LONGEST_PASSWORD = 1024
MOST_AT_ONCE = 2


def hash_of_nobody(hasher: PasswordHasher) -> str:
    """Give what no password fits, and what costs as much to check as any: random bytes in place of a hash of ours.

    Made so, a start of the controller does not take the time and the memory of a hash.
    """
    salt, random = (
        base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (hasher.salt_len, hasher.hash_len)
    )
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v={ARGON2_VERSION}${costs}${salt}${random}"


_hasher = PasswordHasher()
_NOBODYS = hash_of_nobody(_hasher)


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
