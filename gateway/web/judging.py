"""Judging one request: may it go to the pod, as whom, and if not, what is its answer. Pure.

The order is that of what may be told to whom: first what concerns the connection, then who is calling, and only those
who may use a pod learn what it is doing.
"""

import re
from urllib.parse import unquote

from gateway.errors import Reason, Refusal
from gateway.proof import TOKEN_PREFIX, by_token
from gateway.web.answers import (
    NEW_TOKEN,
    ask_who,
    refuse,
    see_other,
    session_cookie,
    tell_no,
    tell_state,
    too_large_for,
)
from gateway.web.doors import inner_door, outer_door
from gateway.web.identifying import identify, is_from_elsewhere
from gateway.web.visit import NOBODY, Admitted, Answer, Caller, Policy, Visit
from gateway.wire import httpreply
from gateway.wire.httphead import RequestHead
from router.access import Decision, decide
from router.credentials import Credentials
from router.model import Route, RouteState
from router.sealing import Session

SESSION_LIFETIME = 12 * 3600.0  # seconds that a session lasts which comes from a token

_GIVEN_TOKEN = f"token={TOKEN_PREFIX}"
_TOKEN = re.compile(rf"{TOKEN_PREFIX}[A-Za-z0-9_-]{{20}}")
_QUERY_TOKEN = re.compile(rf"[?&]{_GIVEN_TOKEN}")


def judge(head: RequestHead, visit: Visit, policy: Policy, now: float) -> Admitted | Answer:
    """Decide about one request; `now` is in seconds since 1970."""
    if head.host != visit.host:
        return refuse(head, foreign(head, visit))
    found = policy.routes.find(visit.host)
    route = found.web_side() if found is not None else None
    if route is None:
        return refuse(head, Refusal(Reason.UNKNOWN_HOST, f"there is no web pod behind {visit.host} any more"))
    if not is_from_allowed_network(route, visit):
        return refuse(head, network_refusal(visit.host, visit.address))
    if route.own:
        return _decide(head, visit, route, NOBODY, policy)
    answer = _preflight(head, route) or outer_door(head, visit, policy.credentials, route.pod, now)
    if answer is not None:
        return answer
    caller = identify(head, visit, policy.credentials, route, now)
    if _QUERY_TOKEN.search(head.target):
        return _trade_token(head, visit, policy.credentials, caller, now)
    if _carries_token(head):
        hint = "Send tokens in a header: Authorization: Bearer TOKEN"
        return refuse(head, Refusal(Reason.MALFORMED, "a token stands where the pod would see it", hint))
    return _decide(head, visit, route, caller, policy)


def _decide(head: RequestHead, visit: Visit, route: Route, caller: Caller, policy: Policy) -> Admitted | Answer:
    decision = decide(route.access, caller.principal, route.pod, route.grants)
    if caller.is_token_ours and caller.principal is None:
        decision = Decision.UNIDENTIFIED  # who shows a token means to be somebody, even where nobody needs to be
    if decision is Decision.UNIDENTIFIED:
        return ask_who(head, visit, caller)
    is_for_another = caller.principal is not None and caller.principal.pod not in ("", route.pod)
    if decision is not Decision.ALLOWED or is_for_another:  # who is limited to a pod is nobody at others, public or not
        return tell_no(head, route, visit, caller)
    answer = inner_door(head, route) if not route.own else None
    if answer is not None:
        return answer
    if route.state is not RouteState.AVAILABLE:
        return tell_state(head, route, visit)
    if route.web.largest_body is not None and (head.length or 0) > route.web.largest_body:
        return refuse(head, too_large_for(route))
    return Admitted(route, caller, policy)


def _carries_token(head: RequestHead) -> bool:
    """Tell whether a token of ours stands in the target, in whatever spelling, or among WebSocket subprotocols."""
    target = unquote(head.target) if "%" in head.target else head.target
    return _TOKEN.search(target) is not None or any(
        _TOKEN.search(value.decode("latin-1")) for value in head.values(b"sec-websocket-protocol")
    )


def is_from_allowed_network(route: Route, visit: Visit) -> bool:
    """Tell whether a client's address is one the endpoint takes."""
    if not route.ip_allow:
        return True
    address = visit.ip
    return address is not None and any(
        address.version == network.version and address in network for network in route.ip_allow
    )


def network_refusal(host: str, address: str) -> Refusal:
    """Refuse because of where a client is."""
    hint = "Use a network it allows, or ask its owner: podgate pod access NAME LEVEL --allow-ip NETWORK"
    return Refusal(Reason.FORBIDDEN, f"{host} does not take connections from {address}", hint)


def foreign(head: RequestHead, visit: Visit) -> Refusal:
    """Refuse a request that belongs on another connection."""
    return Refusal(
        Reason.FOREIGN_HOST,
        f"this connection was opened for {visit.host}, and the request is for {head.host or 'no host'}",
        "Open a connection of its own for each host.",
    )


def allowed_origin(head: RequestHead, route: Route) -> str | None:
    """Give the origin whose scripts may read the answer, if the endpoint's rules name it."""
    origins = head.values(b"origin") if route.web.cors else []
    if len(origins) != 1:
        return None
    origin = origins[0].decode("ascii", "replace")
    return origin if origin in route.web.cors else "*" if "*" in route.web.cors else None


def _preflight(head: RequestHead, route: Route) -> Answer | None:
    """Answer a CORS preflight (fetch.spec.whatwg.org) where the endpoint has rules; it carries no credentials."""
    if head.method != "OPTIONS" or head.length != 0 or not head.values(b"access-control-request-method"):
        return None
    origin = allowed_origin(head, route)
    if origin is None:
        return None
    headers = [
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        ("Access-Control-Max-Age", "600"),
        ("Vary", "Origin, Access-Control-Request-Headers"),
    ]
    asked = b", ".join(head.values(b"access-control-request-headers"))
    if asked.isascii():
        headers.append(("Access-Control-Allow-Headers", asked.decode("ascii")))
    return Answer(httpreply.response(204, headers, b"", keeps_alive=head.keeps_alive), "preflight", head.keeps_alive)


def _trade_token(head: RequestHead, visit: Visit, credentials: Credentials, caller: Caller, now: float) -> Answer:
    """Answer a URL with a token in it: a session cookie for it, and the way to the URL without it."""
    path, _, query = head.path.partition("?")
    parts = query.split("&")
    given = [part[len("token=") :] for part in parts if part.startswith(_GIVEN_TOKEN)]
    sites = head.values(b"sec-fetch-site")
    is_unasked = sites not in ([], [b"none"], [b"same-origin"]) and head.values(b"sec-fetch-user") != [b"?1"]
    if is_unasked or is_from_elsewhere(head, visit):  # no page may exchange the session of who looks at it
        return refuse(head, Refusal(Reason.FORBIDDEN, "a URL with a token is opened by a click, not by another page"))
    if head.method != "GET" or head.is_upgrade or len(given) != 1:
        hint = "Send tokens in a header: Authorization: Bearer TOKEN"
        return refuse(head, Refusal(Reason.MALFORMED, "a token in a URL is for opening a page with a browser", hint))
    rest = "&".join(part for part in parts if not part.startswith(_GIVEN_TOKEN))
    place = visit.url(visit.host, path + (f"?{rest}" if rest else ""))
    if caller.principal is not None:  # who is known stays who they are, whoever made the link
        return see_other(place, "token in the url, not needed", (), head)
    proof = by_token(given[0], credentials)
    principal = proof.principal(credentials, now) if proof is not None else None
    record = credentials.token(proof.id) if proof is not None else None
    if record is None or principal is None or not credentials.newest_key:
        return refuse(head, Refusal(Reason.UNIDENTIFIED, "the token in this URL is not valid (any more)", NEW_TOKEN))
    expires = now + SESSION_LIFETIME if record.expires is None else min(now + SESSION_LIFETIME, record.expires)
    session = Session(visit.host, f"token-{record.id}", now, expires, token=record.id)
    return see_other(place, f"session for {principal}", [session_cookie(visit, credentials, session)], head)
