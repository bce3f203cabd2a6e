"""The answers of a parser or recogniser that are not the value asked for.

More       what is there is a beginning of it: look again when there is more
NOT_THIS   it is something else, and no further byte would change that
Malformed  it is what was expected, and broken; raised, and the client is to blame
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal


class Malformed(Exception):
    """A client broke its protocol; the text says phase, expected and got, and never holds what the client sent."""


@dataclass(frozen=True, slots=True)
class More:
    """Too little is there; `at_least` bytes in all, always more than there are, before another look is worth while."""

    at_least: int


class Verdict(Enum):
    """An answer that needs no value of its own."""

    NOT_THIS = "not this"


NOT_THIS: Final[Literal[Verdict.NOT_THIS]] = Verdict.NOT_THIS
