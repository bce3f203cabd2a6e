"""From when a change was visible to when gateways had it: pure.

A mark says when something became visible and what a route must be for it to have arrived. A fact says how a route was
at a gateway when that gateway had acknowledged it. Both count by the machine's monotonic clock, which all processes
share.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

AVAILABLE, STOPPED, REMOVED = "available", "stopped", "removed"  # states of a route, and none


class What(StrEnum):
    """What was to arrive."""

    READY = "a Pod became ready"  # in the cluster: its address is to be there
    AWAY = "a Pod was deleted by hand"  # in the cluster: its address is to be gone
    STOPPED = "a stop or deletion was asked for"  # at the API: the route is to be closed
    ACCESS = "an access level was changed"  # at the API: the level is to be there
    STARTED = "a start or a pod was asked for"  # at the API: an address is to be there, once the cluster has started it


IN_CLUSTER = (What.READY, What.AWAY)
AT_API = (What.STOPPED, What.ACCESS)
WHOLE = (What.STARTED,)


class Mark(NamedTuple):
    """A change, when it could first be seen."""

    what: What
    at: float
    host: str
    value: str = ""  # the address or the level


class Fact(NamedTuple):
    """A route as a gateway had acknowledged it."""

    gateway: int
    at: float
    host: str
    state: str
    address: str
    access: str


class Wish(NamedTuple):
    """What a route is to be in the end, whatever it was on the way; of an empty value nothing is known."""

    state: str
    access: str = ""


@dataclass(frozen=True, slots=True)
class Arrival:
    """When a change had arrived, in seconds since it was visible; None: not while anybody looked."""

    mark: Mark
    first: float | None  # at one gateway
    every: float | None  # at all of them


def arrivals(marks: Iterable[Mark], facts: Iterable[Fact], gateways: int) -> list[Arrival]:
    """Find for each mark when what it asks for was true, at one gateway and at all."""
    known: dict[str, dict[int, list[Fact]]] = defaultdict(lambda: defaultdict(list))
    for fact in facts:
        known[fact.host][fact.gateway].append(fact)
    return [_arrival(mark, known.get(mark.host, {}), gateways) for mark in marks]


def in_time(found: Sequence[Arrival], what: Iterable[What], *, every: bool) -> list[float]:
    """Give the lags of what arrived, in seconds."""
    kinds = frozenset(what)
    lags = [each.every if every else each.first for each in found if each.mark.what in kinds]
    return [lag for lag in lags if lag is not None]


def unseen(found: Iterable[Arrival]) -> int:
    """Count what was not to be seen at every gateway: it never came, or something later hid it."""
    return sum(each.every is None for each in found)


def wrong(
    wishes: Mapping[str, Wish], addresses: Mapping[str, str], last: Mapping[int, Mapping[str, Fact]], gateways: int
) -> list[str]:
    """Give the hosts whose routes are not at every gateway what they are to be in the end.

    `addresses`: where each Pod is that became ready; `last`: by gateway and host, the last that is known of a route.
    """
    return [
        host
        for host, wish in wishes.items()
        if sum(_is(wish, addresses.get(host, ""), facts.get(host)) for facts in last.values()) < gateways
    ]


def _is(wish: Wish, address: str, fact: Fact | None) -> bool:
    if fact is None or fact.state != wish.state:
        return False
    if wish.state == AVAILABLE and address and fact.address != address:
        return False
    return wish.state == REMOVED or not wish.access or fact.access == wish.access


def _arrival(mark: Mark, facts: Mapping[int, list[Fact]], gateways: int) -> Arrival:
    times = []
    for told in facts.values():
        at = next((fact.at for fact in told if fact.at >= mark.at and _fits(mark, fact)), None)
        if at is not None:
            times.append(at - mark.at)
    return Arrival(mark, min(times, default=None), max(times) if len(times) == gateways else None)


def _fits(mark: Mark, fact: Fact) -> bool:
    if mark.what is What.READY:
        return (fact.state, fact.address) == (AVAILABLE, mark.value)
    if mark.what is What.AWAY:
        return fact.state != AVAILABLE or fact.address != mark.value
    if mark.what is What.STOPPED:
        return fact.state in (STOPPED, REMOVED)
    if mark.what is What.STARTED:
        return fact.state == AVAILABLE
    return fact.access == mark.value
