"""Engine: what all HTTP connections of a worker share, and the one way by which a request is decided about."""

import math
import time
from collections.abc import Callable

from gateway.audit import Trail
from gateway.errors import Reason, Refusal
from gateway.web.answers import refuse
from gateway.web.judging import judge
from gateway.web.pacing import Pacer
from gateway.web.visit import Admitted, Answer, Policy, Visit
from gateway.wire.httphead import RequestHead
from router.credentials import Credentials
from router.table import RouteTable

LONGEST_WAIT = 86400.0  # seconds that a caller is told to wait


class Engine:
    """The policy in force, the pace of callers, and the clock; `policy` is replaced whole."""

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
        trail: Trail | None = None,
    ) -> None:
        self.trail = trail if trail is not None else Trail(clock)
        self.policy = Policy(RouteTable(), Credentials())
        self.is_draining = False  # each response is the last of its connection
        self.clock = clock  # seconds since 1970
        self.steady = steady  # seconds that only go on
        self._pacer = Pacer()

    def decide(self, head: RequestHead, visit: Visit) -> Admitted | Answer:
        """Decide about one request, which counts towards its caller's rate if it is let in."""
        decision = self._paced(judge(head, visit, self.policy, self.clock()), head, visit)
        if isinstance(decision, Admitted):
            self.trail.allowed(visit, decision.route, decision.caller.principal)
        elif decision.refused is not None:
            self.trail.refused(visit, self.policy.routes.find(visit.host), decision.refused, decision.why)
        return decision

    def _paced(self, decision: Admitted | Answer, head: RequestHead, visit: Visit) -> Admitted | Answer:
        if not isinstance(decision, Admitted) or not decision.route.web.rate:
            return decision
        rules, principal = decision.route.web, decision.caller.principal
        who = str(principal) if principal is not None else visit.address
        wait = self._pacer.take((decision.route.host, who), rules.rate, rules.burst, self.steady())
        if not wait:
            return decision
        seconds = math.ceil(min(wait, LONGEST_WAIT))
        refusal = Refusal(Reason.TOO_MANY, f"{visit.host} takes {rules.rate:g} requests a second of one caller")
        return refuse(head, refusal, principal, [("Retry-After", str(seconds))])
