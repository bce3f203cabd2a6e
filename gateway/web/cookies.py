"""The gateway's own cookies: found, made, and taken out of what a pod receives.

All have the prefix `__Host-` (RFC 6265bis, section 4.1.3.2): a browser takes them from their own host only, and sends
them to it only, so that no sibling pod can plant or read one.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable

SESSION = "__Host-podgate"
STATE = "__Host-podgate-state"  # what the ticket that comes back from the sign-in must fit
POD = "__Host-podgate-pod"  # the key of the pod that this browser met last at this host
POD_LIFETIME = 400 * 86400  # seconds: browsers keep none longer
STATE_LIFETIME = 600  # seconds to sign in
NONCE = re.compile(r"[A-Za-z0-9_-]{43}")

_OURS = b"__host-podgate"  # in lower case: what begins with it never reaches a pod, nor comes from one


def find(values: Iterable[bytes], name: str) -> str | None:
    """Give the value of a cookie; None if there is none, or more than one: then nobody can tell which is meant."""
    wanted, found = name.encode("ascii"), []
    for value in values:
        for pair in value.split(b";"):
            key, equals, content = pair.strip(b" \t").partition(b"=")
            if equals and key == wanted:
                found.append(content)
    return found[0].decode("ascii", "replace") if len(found) == 1 else None


def without_ours(value: bytes) -> bytes:
    """Give what is left of a Cookie field's value for a pod."""
    if _OURS not in value.lower():
        return value
    kept = [pair for pair in value.split(b";") if not _is_ours(pair)]
    return b";".join(kept).strip(b" \t")


def sets_ours(value: bytes) -> bool:
    """Tell whether a Set-Cookie field is about a cookie of ours."""
    return _is_ours(value)


def _is_ours(pair: bytes) -> bool:
    return pair.strip(b" \t\"'=").lower().startswith(_OURS)


def set_cookie(name: str, value: str, lifetime: int) -> tuple[str, str]:
    """Make the field that has a browser keep a cookie for `lifetime` seconds; 0: forget it."""
    return "Set-Cookie", f"{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={lifetime}"


def new_nonce() -> str:
    """Make the content of a state cookie: 256 random bits."""
    return secrets.token_urlsafe(32)


def state_of(nonce: str) -> str:
    """Give what the sign-in is told of a nonce: it can tell the right browser and nothing else."""
    return base64.urlsafe_b64encode(hashlib.sha256(nonce.encode()).digest()).rstrip(b"=").decode("ascii")
