"""The few paths that the gateway answers itself, at every host: what leads from the sign-in to a session, and out.

/.podgate/begin?path=…    to the sign-in, whoever one was before; a share link comes this way
/.podgate/enter?ticket=…  back from it: a ticket in the right browser becomes a session with this host
/.podgate/sign-out        ends the session with this host, and leads to where the sign-in itself is ended
/.podgate/state           what the pod is doing, for the page that waits; for those who may use the pod
"""

import hmac
from urllib.parse import parse_qs

from gateway.errors import Reason, Refusal
from gateway.proof import SessionProof
from gateway.web import cookies
from gateway.web.answers import is_path, refuse, see_other, send_to_sign_in, session_cookie
from gateway.web.visit import Answer, Visit
from gateway.wire import httpreply
from gateway.wire.httphead import RequestHead
from router.credentials import Credentials
from router.model import Route
from router.sealing import Session, Ticket, Unsealable, unseal

DOORS = "/.podgate/"
MOST_FIELDS = 10  # of a query
_CLEAR = ("Clear-Site-Data", '"cache", "storage"')  # w3.org/TR/clear-site-data


def outer_door(head: RequestHead, visit: Visit, credentials: Credentials, pod: str, now: float) -> Answer | None:
    """Answer at a door that is open to those whom nobody knows; None: it is none of these."""
    path, _, query = head.path.partition("?")
    if not path.startswith(DOORS):
        return None
    name = path[len(DOORS) :]
    if name not in ("begin", "enter", "sign-out"):
        return None
    if head.method != "GET" or head.is_upgrade or not visit.console:
        return refuse(head, Refusal(Reason.NO_SUCH_PAGE, f"{path} is for opening with a browser"))
    try:
        asked = {key: values[0] for key, values in parse_qs(query, max_num_fields=MOST_FIELDS).items()}
    except ValueError:
        return refuse(head, Refusal(Reason.MALFORMED, f"the query of {path} has more than {MOST_FIELDS} fields"))
    if name == "sign-out":
        is_own_wish = head.values(b"sec-fetch-site") in ([], [b"none"], [b"same-origin"])
        forget = [cookies.set_cookie(cookies.SESSION, "", 0)] if is_own_wish else []  # else the sign-out page asks
        return see_other(visit.url(visit.console, f"/sign-out?host={visit.host}"), "signs out", forget, head)
    back = asked.get("path", "/")
    if name == "begin":
        more = {"via": "link"} if asked.get("via") == "link" else {}
        return send_to_sign_in(head, visit, back if is_path(back) else "/", more)
    return _enter(head, visit, credentials, asked.get("ticket", ""), pod, now)


def inner_door(head: RequestHead, route: Route) -> Answer | None:
    """Answer at a door that is open to those who may use the pod; None: the path is the pod's own."""
    if not head.path.startswith(DOORS):
        return None
    if head.path == f"{DOORS}state" and head.method == "GET" and head.length == 0:
        return Answer(httpreply.document(200, {"state": str(route.state)}), "asked for the state", head.keeps_alive)
    return refuse(head, Refusal(Reason.NO_SUCH_PAGE, "there is no such page here"))


def _enter(head: RequestHead, visit: Visit, credentials: Credentials, text: str, pod: str, now: float) -> Answer:
    nonce = cookies.find(head.values(b"cookie"), cookies.STATE) or ""
    try:
        ticket = unseal(Ticket, text, credentials.keys, now)
    except Unsealable as error:
        return _try_again(head, f"the way back from the sign-in is not valid: {error}")
    fits = cookies.NONCE.fullmatch(nonce) and hmac.compare_digest(cookies.state_of(nonce), ticket.state)
    if ticket.host != visit.host or not is_path(ticket.path):
        return _try_again(head, "this sign-in was for another host")
    if not fits:
        return _try_again(head, "this sign-in began in another browser, or this one keeps no cookies")
    # Issued with the ticket: a sign-out since then ends what would come of it.
    session = Session(visit.host, ticket.id, ticket.issued, ticket.session_expires, ticket.user, ticket.link)
    if SessionProof(session).principal(credentials, now) is None:
        return _try_again(head, "this sign-in has been ended since")
    made = [session_cookie(visit, credentials, session), cookies.set_cookie(cookies.STATE, "", 0)]
    if cookies.find(head.values(b"cookie"), cookies.POD) != pod:  # what an earlier pod of this name left is not for it
        made += [cookies.set_cookie(cookies.POD, pod, cookies.POD_LIFETIME), _CLEAR]
    return see_other(visit.url(visit.host, ticket.path), f"session for {ticket.user or 'a link'}", made, head)


def _try_again(head: RequestHead, what: str) -> Answer:
    return refuse(head, Refusal(Reason.FORBIDDEN, what, "Open the page you wanted once more."))
