"""Revocation: open links are decided about again when routes or credentials have changed, and once a minute.

All of them would be too many for one turn of the loop, so they are looked at in slices, and several changes within
`PAUSE` together.
"""

from gateway.errors import Reason, Refusal
from gateway.link import Link, Shown
from gateway.loop import Loop
from gateway.relay import Relay
from gateway.web.engine import Engine
from gateway.web.judging import is_from_allowed_network
from gateway.web.visit import Policy
from router.access import Decision, decide, level_of
from router.model import Route

PAUSE = 0.5  # seconds from a change to the first look
SLICE = 128  # links in one turn of the loop: about half a millisecond
EVERY = 60.0  # seconds between looks without a change: what ends by its time ends so late at the most


class Revocation:
    """Looks at the links of a relay. For the loop's thread."""

    def __init__(self, loop: Loop, relay: Relay, engine: Engine) -> None:
        self._loop = loop
        self._relay = relay
        self._engine = engine
        self._is_due = False
        self._rest: list[Link] = []
        loop.after(EVERY, self._again)

    def policy_changed(self) -> None:
        """Look at all links soon."""
        if not self._is_due:
            self._is_due = True
            self._loop.after(PAUSE, self._begin)

    def _again(self) -> None:
        self.policy_changed()
        self._loop.after(EVERY, self._again)

    def _begin(self) -> None:
        self._is_due = False
        self._rest = list(self._relay.links)
        self._go_on()

    def _go_on(self) -> None:
        part, self._rest = self._rest[:SLICE], self._rest[SLICE:]
        for link in part:
            self._relay.guard(self._look, link)
        if self._rest:
            self._loop.after(0, self._go_on)

    def _look(self, link: Link) -> None:
        if not link.closed and not is_admitted(link, self._engine.policy, self._engine.clock()):
            self._relay.ending.close(link, "its access was taken back")


def check_admitted(link: Link, engine: Engine) -> None:
    """See that a link would be let in by the policy that is in force now. Raises Refusal."""
    if not is_admitted(link, engine.policy, engine.clock()):
        raise Refusal(Reason.FORBIDDEN, f"access to {link.visit.host} was taken back just now")


def is_admitted(link: Link, policy: Policy, now: float) -> bool:
    """Tell whether a link would be let in now. A pod that is stopping is for its runtime to end, not for us."""
    route = policy.routes.find(link.visit.host)
    if route is None or not is_from_allowed_network(route, link.visit):
        return False
    told = link.web.caller if link.web is not None else None  # what a pod was told of the caller it goes on believing
    proof = told.proof if told is not None else link.proof
    if told is not None and told.principal is not None:
        principal = proof.principal(policy.credentials, now) if proof is not None else None
        held = level_of(principal, route.pod, route.grants)
        if principal is None or (told.level is not None and (held is None or held < told.level)):
            return False
    return all(_holds(shown, route, policy, now) for shown in (Shown(proof, link.least), *link.earlier))


def _holds(shown: Shown, route: Route, policy: Policy, now: float) -> bool:
    """Tell whether somebody would be let in now by what they have shown, at the level they were let in at."""
    principal = shown.proof.principal(policy.credentials, now) if shown.proof is not None else None
    if shown.least is not None:
        held = level_of(principal, route.pod, route.grants)
        if held is None or held < shown.least:
            return False
    return decide(route.access, principal, route.pod, route.grants) is Decision.ALLOWED
