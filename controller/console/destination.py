"""Destination: where a browser wants to go once somebody is known to it. Read from what strangers can write: pure.

    /sign-in?host=H&path=P&state=S[&via=link]

H is only a candidate here: `entering.Doors` knows the hosts of pods, and nothing else is ever led to.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from router.hostname import InvalidName, normalise

LONGEST_PATH = 2000  # characters: with the rest of a ticket it stays within what one sealed text may have
_PATH = re.compile(r"/(?![/\\])[!-~]*|/")  # visible ASCII: the origin form of RFC 9112, and nothing a browser mends
_STATE = re.compile(r"[A-Za-z0-9_-]{43}")  # SHA-256 in base64url
FIELDS = ("host", "path", "state", "via")


class BadDestination(ValueError):
    """A destination that nobody is led to; the text says what is wrong and repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A pod's host, where to go there, and the hash of what only this browser holds for that host."""

    host: str
    path: str
    state: str
    via: str = ""  # `link`: with the share link just opened rather than as oneself

    @property
    def fields(self) -> dict[str, str]:
        """Give what leads here again, as a form's or a query's fields."""
        values = {name: getattr(self, name) for name in FIELDS}
        return {name: value for name, value in values.items() if value}

    @property
    def query(self) -> str:
        """Give the same as a query with its question mark."""
        return f"?{urlencode(self.fields)}"


def read_destination(fields: Mapping[str, str]) -> Destination | None:
    """Read the destination out of a query or a form; None: there is none. Raises BadDestination."""
    if not any(name in fields for name in FIELDS):
        return None
    state, via = fields.get("state", ""), fields.get("via", "")
    if not _STATE.fullmatch(state):
        raise BadDestination("the state is not one that a gateway makes")
    if via not in ("", "link"):
        raise BadDestination("there is no such way of coming here")
    return Destination(read_host(fields.get("host", "")), read_path(fields.get("path", "")), state, via)


def read_host(text: str) -> str:
    """Read a host name as routes are keyed by it. Raises BadDestination."""
    try:
        return normalise(text)
    except InvalidName:
        raise BadDestination("the host is not a host name") from None


def read_path(text: str) -> str:
    """Read a path with its query; one that is too long leads to the host's own front page. Raises BadDestination."""
    if not _PATH.fullmatch(text):
        raise BadDestination("the path does not begin with one '/', or has characters that no path has")
    return text if len(text) <= LONGEST_PATH else "/"
