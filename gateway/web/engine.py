"""Engine: what all HTTP connections of a worker share, and the one way by which a request is decided about."""

import math
import time
from collections.abc import Callable

from gateway.errors import Reason, Refusal
from gateway.web.answers import refuse
from gateway.web.judging import judge
from gateway.web.pacing import Pacer
from gateway.web.visit import Admitted, Answer, Policy, Visit
from gateway.wire.httphead import RequestHead
from router.credentials import Credentials
from router.table import RouteTable


class Engine:
    """The policy in force, the pace of callers, and the clock; `policy` is replaced whole."""

    def __init__(self, clock: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self.policy = Policy(RouteTable(), Credentials())
        self.is_draining = False  # each response is the last of its connection
        self.clock = clock  # seconds since 1970
        self.steady = steady  # seconds that only go on
        self._pacer = Pacer()

    def decide(self, head: RequestHead, visit: Visit) -> Admitted | Answer:
        """Decide about one request, which counts towards its caller's rate if it is let in."""
        decision = judge(head, visit, self.policy, self.clock())
        if not isinstance(decision, Admitted) or not decision.route.web.rate:
            return decision
        rules, principal = decision.route.web, decision.caller.principal
        who = str(principal) if principal is not None else visit.address
        wait = self._pacer.take((decision.route.host, who), rules.rate, rules.burst, self.steady())
        if not wait:
            return decision
        seconds = math.ceil(wait)
        refusal = Refusal(Reason.TOO_MANY, f"{visit.host} takes {rules.rate:g} requests a second of one caller")
        return refuse(head, refusal, principal, [("Retry-After", str(seconds))])
