"""Findings: what one look showed, in words, and what to do about it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum


class State(StrEnum):
    """How something stands."""

    OK = "ok"
    UNSURE = "unsure"  # it could not be learnt, or may be as meant: worth a look, and no failure
    WRONG = "wrong"  # Podgate, or some pods, will not work


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look showed."""

    what: str
    state: State
    found: str
    cure: str = ""  # what to do; empty where all is well

    def to_document(self) -> dict[str, str]:
        """Give it for JSON."""
        return asdict(self)


def ok(what: str, found: str) -> Finding:
    """All is well."""
    return Finding(what, State.OK, found)


def unsure(what: str, found: str, cure: str) -> Finding:
    """It may be well."""
    return Finding(what, State.UNSURE, found, cure)


def wrong(what: str, found: str, cure: str) -> Finding:
    """It is not."""
    return Finding(what, State.WRONG, found, cure)


def looked(looks: Iterable[Callable[[], Iterable[Finding]]]) -> Iterator[Finding]:
    """Take one look after the other, each told as soon as it is known."""
    for look in looks:
        yield from look()
