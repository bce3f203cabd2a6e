"""Where a request wants to go: its target and its authority.

Sources: RFC 9110, section 7.2 (Host); RFC 9112, sections 3.2.1 (origin form), 3.2.2 (absolute form), 3.2.4 (asterisk
form).
"""

import re
from functools import lru_cache

from gateway.wire.verdict import Malformed

_HIGHEST_PORT = 65535
LONGEST_AUTHORITY = 262  # bytes: a name of 255 (RFC 1035), a colon and a port

_AUTHORITY = re.compile(rb"([a-z0-9._-]++|\[[0-9a-f:.]++\])(?::([0-9]{0,5}+))?+")
_ABSOLUTE = re.compile(r"https?://([^/?]*)(.*)", re.IGNORECASE)


def read_target(method: str, target: str) -> tuple[str, str | None]:
    """Give the path to ask an upstream for, and the authority that the target names, in lower case. Raises Malformed.

    It is for every target but origin form, which is its own path and names no authority. CONNECT, whose target is
    nothing but an authority, is refused.
    """
    if method == "CONNECT":
        raise Malformed("http head: connect is not served here")
    if target == "*" and method == "OPTIONS":
        return target, None
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise Malformed("http head: unknown form of request target")
    path = absolute[2]
    if not path.startswith("/"):
        path = "*" if method == "OPTIONS" and not path else f"/{path}"
    return path, absolute[1].lower()


@lru_cache(maxsize=256)
def read_authority(host: bytes) -> tuple[str, str]:
    """Give the host and the authority that a Host field or a target names, in lower case. Raises Malformed."""
    authority = host.lower()
    read = _AUTHORITY.fullmatch(authority)
    if read is None or len(host) > LONGEST_AUTHORITY or int(read[2] or 0) > _HIGHEST_PORT:
        raise Malformed("http head: host is not a host name and port")
    return read[1].decode("ascii"), authority.decode("ascii")
