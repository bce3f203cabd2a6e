"""Judging another login within a session (LOGOFF and LOGON, from version 5.1 on), in the relay and without waiting.

Answers come in the order of what was asked, and only the database knows how far it is. So a login that is refused goes
to the database all the same, as one of nobody: its own refusal then is the client's answer, in its place.
"""

import logging
import secrets

from gateway.bolt.database import logon
from gateway.bolt.identifying import Identified, identify
from gateway.errors import Reason, Refusal
from gateway.link import Link
from gateway.proof import Proof
from gateway.services import Services
from gateway.ways import Way, by_login, check
from gateway.web.judging import is_from_allowed_network, network_refusal
from gateway.web.visit import Visit
from gateway.wire.bolt import LOGON, Message, message
from gateway.wire.packstream import Value
from gateway.wire.verdict import Malformed
from router.access import AccessLevel
from router.database import Login
from router.model import Route

log = logging.getLogger("podgate.link")


class Again:
    """The logins of one session after its first."""

    def __init__(
        self, services: Services, visit: Visit, who: Identified, least: AccessLevel | None, login: Login
    ) -> None:
        """`login` is the one that the database took for `who`."""
        self._services = services
        self._visit = visit
        self._counted = who.principal.user
        self._login = login
        self.proof: Proof = who.proof
        self.least = least
        self.link: Link | None = None  # to be told who is there now, once there is one

    def log_on(self, asked: Message) -> bytes:
        """Make the LOGON that goes to the database."""
        shown = asked.fields[0] if asked.fields else None
        try:
            who, way = self._judge(shown if isinstance(shown, dict) else {})
        except Refusal as refusal:
            log.info("%s %s: refused another login: %s", self._visit.client, self._visit.host, refusal)
            steady, failures = self._services.engine.steady(), self._services.failures
            if refusal.reason is Reason.WRONG_TOKEN and failures.count(self._visit.address, steady):
                raise Malformed("too many wrong tokens") from refusal
            return message(LOGON, _nobody())
        self.proof, self.least = who.proof, way.least
        if self.link is not None:
            self.link.proof, self.link.least = who.proof, way.least
        if self._login not in way.logins:
            self._login = way.logins[0]
        return message(LOGON, logon(self._login))

    def _judge(self, shown: dict[str, Value]) -> tuple[Identified, Way]:
        engine, visit = self._services.engine, self._visit
        route = engine.policy.routes.find(visit.host)
        if route is None:
            raise Refusal(Reason.UNKNOWN_HOST, f"there is no pod behind {visit.host} any more")
        who = identify(self._services, visit, route, shown)
        try:
            way = self._way(route, who)
        except Refusal as refusal:
            engine.trail.refused(visit, route, who.principal, refusal.message)
            raise
        engine.trail.allowed(visit, route, who.principal)
        return who, way

    def _way(self, route: Route, who: Identified) -> Way:
        if not is_from_allowed_network(route, self._visit):
            raise network_refusal(self._visit.host, self._visit.address)
        check(self._visit.host, route, who.principal)
        if route.database.most_links_of_user and who.principal.user != self._counted:
            raise Refusal(
                Reason.TOO_MANY,
                f"connections to {self._visit.host} are counted by user, and this one is counted as another's",
                "Open a connection of your own.",
            )
        return by_login(self._visit.host, route, who.principal)


def _nobody() -> dict[str, Value]:
    """Give credentials that no database takes, never the same: some lock users whose password was wrong too often."""
    return {"scheme": "basic", "principal": f"refused-{secrets.token_hex(8)}", "credentials": secrets.token_hex(16)}
