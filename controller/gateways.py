"""The gateways that follow a controller, as it knows them: who they say they are, what they run, how they stand.

Each has a name. A second one that takes the name of one that is live is told so, and not let in: both would acknowledge
versions for each other. A gateway that follows from elsewhere has a token of its own, which speaks for its name alone.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from controller.pacing import Pace
from router.snapshot import NO_VERSION, Version

ANY_GATEWAY = "gateway"  # the scope of the home's own token, which speaks for every name
OF_ONE = "gateway:"  # before the name, in the scope of a token that speaks for that name
LONGEST_NAME = 63  # letters: what is good for a host is good here
_NAME = re.compile(rf"[a-z0-9](?:[a-z0-9.-]{{0,{LONGEST_NAME - 2}}}[a-z0-9])?")


class NotLive(Exception):
    """Word of a gateway that has no open stream."""


class NotPublished(ValueError):
    """An acknowledgement of a version that this life has not published yet."""


class NameInUse(Exception):
    """Another gateway that is live has this name; the text says which, and what to do."""


@dataclass(frozen=True, slots=True)
class Who:
    """What a gateway says of itself when it begins to follow, and where its stream comes from."""

    instance: str = ""  # of its life: two with one name have two
    number: int = 0
    software: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a gateway is, as it told last."""

    workers: int = 0
    links: int = 0
    openings: int = 0
    draining: bool = False
    addresses: tuple[str, ...] = ()


class Lag(NamedTuple):
    """How far a gateway is behind what is published."""

    versions: int
    seconds: float  # since the first of these was published


NOBODY_SAID = Who()
NOTHING_TOLD = Standing()


@dataclass(slots=True, eq=False)
class Gateway:
    """A gateway replica with an open stream."""

    replica: str
    workers: int  # that it means to have
    since: float  # seconds since 1970
    who: Who = NOBODY_SAID
    standing: Standing = NOTHING_TOLD
    acknowledged: Version = NO_VERSION
    rejected: dict[str, tuple[int, str]] = field(default_factory=dict)  # host: in which version, why
    pace: Pace = field(default_factory=Pace, compare=False)

    def is_other_than(self, who: Who) -> bool:
        """Tell whether a stream of the same name is of another gateway; who does not say counts as the same."""
        return bool(who.instance and self.who.instance) and who.instance != self.who.instance


def is_gateways(scope: str) -> bool:
    """Tell whether a token of this scope is one of gateways."""
    return scope == ANY_GATEWAY or scope.startswith(OF_ONE)


def may_speak_for(scope: str, replica: str) -> bool:
    """Tell whether a token of this scope speaks for a replica: its own name, or that with `-` and more behind it."""
    if not scope.startswith(OF_ONE):
        return True
    name = scope.removeprefix(OF_ONE)
    return replica == name or replica.startswith(f"{name}-")


def check_name(name: str) -> str:
    """Give the name of a gateway if it can be one. Raises ValueError."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"expected at most {LONGEST_NAME} of a to z, 0 to 9, '-' and '.', such as berlin or gw-1")
    return name
