"""What a misspelt name may have meant."""

import difflib
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from podgate.cli.client import Client, Refused
from podgate.cli.failure import Failure

_Answer = TypeVar("_Answer")
_NOT_FOUND = frozenset({404, 409, 422})  # the latter two: the name stood in the body, or is of whom it is for


class Named(NamedTuple):
    """Something a call names: a pod, user, group or token."""

    noun: str
    name: str
    of: str = ""  # of a token: whose, if not the caller's

    @property
    def collection(self) -> str:
        """Under which name the API lists its like."""
        return f"{self.noun}s"


def suggesting(client: Client, call: Callable[[], _Answer], *named: Named) -> _Answer:
    """Make a call; if it fails since something it names is not there, tell which names are close."""
    try:
        return call()
    except Refused as refused:
        if refused.status not in _NOT_FOUND:
            raise
        for each in named:
            look_for(client, each)
        raise


def look_for(client: Client, named: Named) -> None:
    """Raise Failure if there is none of that name, as far as this caller may know."""
    try:
        found = client.get(named.collection, extra_time=0, **({"user": named.of} if named.of else {}))[named.collection]
    except Refused:
        return
    known = {str(item[field]) for item in found for field in ("name", "id", "key") if field in item}
    if named.name in known:
        return
    close = difflib.get_close_matches(named.name, sorted({str(item["name"]) for item in found}))
    cure = f"did you mean {' or '.join(close)}?" if close else f"see: podgate {named.noun} list"
    raise Failure(f"there is no {named.noun} {named.name!r}; {cure}") from None
