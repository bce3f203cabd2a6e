"""Judging another login within a session (LOGOFF and LOGON, from version 5.1 on), in the relay and without waiting.

Answers come in the order of what was asked, and only the database knows how far it is. So a login that is refused goes
to the database all the same, as one of nobody: its own refusal then is the client's answer, in its place.

Nor can be known here whether the database takes a login that is not refused: after an error it ignores all it is told,
and goes on after a RESET as who was there before. So an earlier login is forgotten only once one of its level or a
higher one came after it. Until then the session ends with either: whoever holds that level may have that session, and
nobody else.
"""

import logging
import secrets
from typing import NamedTuple

from gateway.bolt.database import logon
from gateway.bolt.identifying import Identified, identify
from gateway.errors import Reason, Refusal
from gateway.link import Link, Shown
from gateway.services import Services
from gateway.ways import Way, route_now, way_in
from gateway.web.judging import is_from_allowed_network, network_refusal
from gateway.web.visit import Visit
from gateway.wire.bolt import LOGON, Message, message
from gateway.wire.packstream import Value
from gateway.wire.verdict import Malformed
from router.access import AccessLevel
from router.database import Login
from router.model import Address, Protocol, Route

log = logging.getLogger("podgate.link")

MOST_REFUSED = 100  # logins of one session, each with a line in the log; drivers close it after the first


class Entered(NamedTuple):
    """How a session got into its database."""

    who: Identified
    least: AccessLevel | None
    login: Login  # which the database took
    pod: str
    address: Address  # of the database


class Again:
    """The logins of one session after its first."""

    def __init__(self, services: Services, visit: Visit, first: Entered) -> None:
        self._services = services
        self._visit = visit
        self._first = first
        self._login = first.login
        self._refused = 0
        self.shown = Shown(first.who.proof, first.least)
        self.earlier: tuple[Shown, ...] = ()  # those that are not forgotten yet
        self._link: Link | None = None

    def follow(self, link: Link) -> None:
        """Tell a link who is there, now and from now on."""
        self._link = link
        (link.proof, link.least), link.earlier = self.shown, self.earlier

    def log_on(self, asked: Message) -> bytes:
        """Make the LOGON that goes to the database. Raises Malformed where too many were refused."""
        shown = asked.fields[0] if asked.fields else None
        try:
            who, way = self._judge(shown if isinstance(shown, dict) else {})
        except Refusal as refusal:
            self._count(refusal)
            return message(LOGON, _nobody())
        self.earlier = tuple(each for each in (self.shown, *self.earlier) if not _is_covered(each, way.least))
        self.shown = Shown(who.proof, way.least)
        if self._link is not None:
            self.follow(self._link)
        if self._login not in way.logins:
            self._login = way.logins[0]
        return message(LOGON, logon(self._login))

    def _count(self, refusal: Refusal) -> None:
        log.info("%s %s: refused another login: %s", self._visit.client, self._visit.host, refusal)
        self._refused += 1
        steady, failures = self._services.engine.steady(), self._services.failures
        if refusal.reason is Reason.WRONG_TOKEN and failures.count(self._visit.address, steady):
            raise Malformed("too many wrong tokens") from refusal
        if self._refused > MOST_REFUSED:
            raise Malformed(f"more than {MOST_REFUSED} logins were refused") from refusal

    def _judge(self, shown: dict[str, Value]) -> tuple[Identified, Way]:
        engine, visit = self._services.engine, self._visit
        route = route_now(engine.policy.routes, visit.host, Protocol.BOLT)
        who = identify(self._services, visit, route, shown)
        with engine.trail.decision(visit, route, who.principal):
            return who, self._way(route, who)

    def _way(self, route: Route, who: Identified) -> Way:
        if not is_from_allowed_network(route, self._visit):
            raise network_refusal(self._visit.host, self._visit.address)
        way = way_in(self._visit.host, route, who.principal, can_log_in=False)
        if route.pod != self._first.pod or self._first.address not in route.upstreams:
            raise Refusal(  # whose passwords the one at the other end is not to be told
                Reason.UNREACHABLE,
                f"the database behind {self._visit.host} is another one by now",
                "Open a connection of your own.",
            )
        if route.database.most_links_of_user and who.principal.user != self._first.who.principal.user:
            raise Refusal(
                Reason.TOO_MANY,
                f"connections to {self._visit.host} are counted by user, and this one is counted as another's",
                "Open a connection of your own.",
            )
        return way


def _is_covered(earlier: Shown, least: AccessLevel | None) -> bool:
    """Tell whether who holds `least` may have what came of an earlier login."""
    return earlier.least is None or (least is not None and earlier.least <= least)


def _nobody() -> dict[str, Value]:
    """Give credentials that no database takes, never the same: some lock users whose password was wrong too often."""
    return {"scheme": "basic", "principal": f"refused-{secrets.token_hex(8)}", "credentials": secrets.token_hex(16)}
