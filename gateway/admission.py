"""Admission to a pod that speaks a protocol of which nothing is looked at (`tcp`).

Who comes is told by a client certificate alone. Of what is looked at, `gateway.web.judging`, `gateway.postgres.judging`
and `gateway.ways` decide, by more.
"""

from gateway.errors import Reason, Refusal
from gateway.proof import Proof
from gateway.web.answers import state_refusal
from gateway.web.engine import Engine
from gateway.web.judging import is_from_allowed_network, network_refusal
from gateway.web.visit import Policy, Visit
from router.access import Decision, Principal, decide
from router.model import Route, RouteState


def admit(visit: Visit, route: Route, policy: Policy, engine: Engine) -> Proof | None:
    """Let through who may go to a pod that can be gone to, and give what proves it. Raises Refusal."""
    if not is_from_allowed_network(route, visit):
        raise network_refusal(visit.host, visit.address)
    proof = visit.certificate
    principal = proof.principal(policy.credentials, engine.clock()) if proof is not None else None
    if decide(route.access, principal, route.pod, route.grants) is not Decision.ALLOWED:
        refusal = _forbidden(route, visit.host, principal)
        engine.trail.refused(visit, route, principal, refusal.message)
        raise refusal
    if route.state is not RouteState.AVAILABLE:
        raise state_refusal(route, visit.host)
    engine.trail.allowed(visit, route, principal)
    return proof


def _forbidden(route: Route, host: str, principal: Principal | None) -> Refusal:
    message = f"{host} asks for access level {route.access}"
    if principal is not None:
        return Refusal(Reason.FORBIDDEN, f"{message}, and {principal} does not hold it", "Ask its owner to share it.")
    hint = "Its owner can have it ask for client certificates: podgate pod access NAME LEVEL --client-certificates"
    if route.certificates:
        hint = "Connect with a client certificate: podgate certificate issue"
    return Refusal(Reason.FORBIDDEN, f"{message}, and your client has not shown who you are", hint)
