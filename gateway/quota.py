"""Quota: how many connections an endpoint may have open, and one user of it, counted exactly over a replica.

The supervisor counts, in `Places`; its workers ask it before they let a link in, through `Quota`, and tell it when the
link has ended. Only routes that have a limit are asked about. A worker that ends gives back all it had, however it
ended.

A limit that cannot be checked is taken for one that is hit. The supervisor answers in well under a millisecond; if it
does not, it has died or hangs, the worker is about to end (its control channel is its life line), and a client that is
told to try again finds another one.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from gateway.asking import Document, Questions
from router.model import Route

PATIENCE = 5.0  # seconds for the supervisor to answer
Key = TypeVar("Key", bound=Hashable)


class Limit(StrEnum):
    """What keeps a link out."""

    ENDPOINT = "endpoint"
    USER = "user"
    UNKNOWN = "unknown"  # nobody could tell


@dataclass(frozen=True, slots=True)
class Full:
    """There is no place; `most` links may be open by the limit that was hit."""

    limit: Limit
    most: int = 0


@dataclass(slots=True, eq=False)
class Leave:
    """A place that was taken; call it when the link has ended, or does not come about. Further calls do nothing."""

    _give_back: Callable[[], object] | None = None  # None: there is nothing to give back

    def __call__(self) -> None:
        """Give it back."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()


class Quota:
    """The limits as a worker meets them. It belongs to the loop's thread."""

    def __init__(self, questions: Questions | None = None) -> None:
        """`questions` reach the supervisor."""
        self._questions = questions if questions is not None else Questions()
        self._tickets = itertools.count(1)

    async def enter(self, route: Route, user: str) -> Leave | Full:
        """Take a place for a link of `user`; where nobody is known, it is empty and only the endpoint is counted."""
        most, most_of_user = route.database.most_links, route.database.most_links_of_user
        if not most and not most_of_user:
            return Leave()
        ticket = next(self._tickets)
        leave = Leave(lambda: self._questions.tell({"kind": "left", "ticket": ticket}))
        question = {"host": _endpoint(route), "user": user, "most": most, "most_of_user": most_of_user}
        try:
            answer = await self._questions.ask({"what": "enter", "ticket": ticket, **question}, PATIENCE)
        except BaseException:  # nobody will hear the answer, whatever it is
            leave()
            raise
        if answer is None:
            leave()
            return Full(Limit.UNKNOWN)
        limit = answer["full"]
        if limit is None:
            return leave
        return Full(Limit(limit), most_of_user if limit == Limit.USER else most)


def _endpoint(route: Route) -> str:
    """Name what is counted as one: a pod's endpoint has as many hosts as its owner gives it."""
    return f"{route.pod} {route.upstreams[0]}" if route.pod and route.upstreams else route.host


@dataclass(slots=True)
class Places:
    """The places taken in a replica, as its supervisor counts them."""

    _by_endpoint: Counter[str] = field(default_factory=Counter)
    _by_user: Counter[tuple[str, str]] = field(default_factory=Counter)  # of an endpoint
    _taken: dict[Hashable, dict[int, tuple[str, str]]] = field(default_factory=dict)  # by worker and its ticket

    def enter(self, worker: Hashable, question: Document) -> Limit | None:
        """Take a place, or tell which limit is hit; 0 is none. A user's own is told first: that one they can mend."""
        host, user = question["host"], question["user"]
        if user and 0 < question["most_of_user"] <= self._by_user[host, user]:
            return Limit.USER
        if 0 < question["most"] <= self._by_endpoint[host]:
            return Limit.ENDPOINT
        self._by_endpoint[host] += 1
        self._by_user[host, user] += 1
        self._taken.setdefault(worker, {})[question["ticket"]] = (host, user)
        return None

    def leave(self, worker: Hashable, ticket: int) -> None:
        """Give back a place, if that ticket took one."""
        place = self._taken.get(worker, {}).pop(ticket, None)
        if place is not None:
            _count_down(self._by_endpoint, place[0])
            _count_down(self._by_user, place)

    def drop(self, worker: Hashable) -> None:
        """Give back all that a worker had, which has ended."""
        for ticket in tuple(self._taken.get(worker, ())):
            self.leave(worker, ticket)
        self._taken.pop(worker, None)


def _count_down(counter: Counter[Key], key: Key) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
