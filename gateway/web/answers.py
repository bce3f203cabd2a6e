"""The answers that the gateway gives itself."""

from dataclasses import replace
from urllib.parse import urlencode

from gateway.errors import Reason, Refusal
from gateway.replies import http_error
from gateway.web import cookies
from gateway.web.visit import Answer, Caller, Visit
from gateway.wire import httpreply
from gateway.wire.httphead import RequestHead
from router.access import AccessLevel, Principal
from router.credentials import Credentials
from router.model import Route, RouteState
from router.sealing import Session, seal

_CHALLENGE = ("WWW-Authenticate", 'Bearer realm="podgate"')
NEW_TOKEN = "Make another: podgate token create NAME"  # noqa: S105  # a sentence
_WHAT_TO_DO = {
    RouteState.STARTING: "Try again in a moment.",
    RouteState.STOPPED: "Its owner can start it: podgate pod start NAME",
    RouteState.FAILED: "Its owner can see why: podgate pod show NAME",
}


def refuse(
    head: RequestHead, refusal: Refusal, who: Principal | None = None, headers: httpreply.Headers = ()
) -> Answer:
    """Say no, and end the connection."""
    if refusal.reason is Reason.UNIDENTIFIED:
        headers = (*headers, _CHALLENGE)
    data = http_error(refusal, wants_html=head.wants_html, head_only=head.method == "HEAD", headers=headers)
    return Answer(data, f"refused: {refusal}", refused=who)


def see_other(place: str, why: str, headers: httpreply.Headers, head: RequestHead) -> Answer:
    """Send a browser to another place, by GET."""
    keeps = head.length == 0 and head.keeps_alive
    return Answer(httpreply.redirect(303, place, headers, keeps_alive=keeps), why, keeps)


def send_to_sign_in(head: RequestHead, visit: Visit, path: str, more: dict[str, str] | None = None) -> Answer:
    """Send a person to the sign-in site, which leads back to `path`."""
    nonce = cookies.find(head.values(b"cookie"), cookies.STATE) or ""
    if not cookies.NONCE.fullmatch(nonce):  # one that is there is kept: another tab may be signing in
        nonce = cookies.new_nonce()
    asked = {"host": visit.host, "path": path, "state": cookies.state_of(nonce)} | (more or {})
    cookie = cookies.set_cookie(cookies.STATE, nonce, cookies.STATE_LIFETIME)
    return see_other(visit.url(visit.console, f"/sign-in?{urlencode(asked)}"), "sent to the sign-in", [cookie], head)


def is_path(path: str) -> bool:
    """Tell whether a text is a path at one host and cannot be read as another host's URL."""
    return path.startswith("/") and path[1:2] not in ("/", "\\") and path.isascii() and path.isprintable()


def session_cookie(visit: Visit, credentials: Credentials, session: Session) -> tuple[str, str]:
    """Make the field that gives a browser a session with the host it visits."""
    sealed = seal(session, credentials.newest_key, credentials.keys[credentials.newest_key])
    return cookies.set_cookie(cookies.SESSION, sealed, max(0, int(session.expires - session.issued)))


def _is_page(head: RequestHead, visit: Visit) -> bool:
    """Tell whether a person's browser opens a page, and there is a site to send them to."""
    is_page = head.wants_html and head.method == "GET" and not head.is_upgrade
    return is_page and bool(visit.console) and head.values(b"sec-fetch-dest") in ([], [b"document"])


def ask_who(head: RequestHead, visit: Visit, caller: Caller) -> Answer:
    """Answer one whom nobody knows: a person is sent to sign in, a program is told what to send."""
    if caller.is_token_ours:
        return refuse(head, Refusal(Reason.UNIDENTIFIED, "this token is not valid (any more)", NEW_TOKEN))
    if _is_page(head, visit):
        return send_to_sign_in(head, visit, head.path if is_path(head.path) else "/")
    hint = "Send an API token: Authorization: Bearer TOKEN. Make one: podgate token create NAME"
    return refuse(head, Refusal(Reason.UNIDENTIFIED, f"{visit.host} is not open to everyone: say who you are", hint))


def tell_no(head: RequestHead, route: Route, visit: Visit, caller: Caller) -> Answer:
    """Answer one who is known and holds too little: a person is shown by the sign-in site whom to ask and how to come
    as somebody else, a program is told.
    """
    principal = caller.principal
    if not caller.is_token_ours and _is_page(head, visit):
        return replace(send_to_sign_in(head, visit, head.path if is_path(head.path) else "/"), refused=principal)
    if principal is not None and principal.pod and principal.pod != route.pod:
        message = f"the credential you use is for another pod than {visit.host}"
        return refuse(head, Refusal(Reason.FORBIDDEN, message, NEW_TOKEN), principal)
    pod = visit.host.partition(".")[0].partition("--")[0]
    held = f"holds {caller.level}" if caller.level is not None else "holds no level on it"
    owner = next(
        (who[len("user:") :] for who, level in route.grants.items() if level is AccessLevel.OWNER), "its owner"
    )
    hint = f"Ask {owner} to run: podgate share {pod} --with {caller.principal} --level {route.access}"
    if caller.principal is not None and not caller.principal.user:
        hint = "This share link does not reach that far, or it has been taken back."
    message = f"{visit.host} asks for level {route.access}, and {caller.principal} {held}"
    return refuse(head, Refusal(Reason.FORBIDDEN, message, hint), caller.principal)


def tell_state(head: RequestHead, route: Route, visit: Visit) -> Answer:
    """Answer one who may come in when the pod is not there."""
    if route.state is RouteState.STARTING and head.method in ("GET", "HEAD") and head.wants_html:
        detail = f"{visit.host} will be here in a moment; this page then becomes it."
        return Answer(httpreply.waiting("This pod is starting", detail, head.method == "HEAD"), "starting")
    return refuse(head, state_refusal(route, visit.host))


def state_refusal(route: Route, host: str) -> Refusal:
    """Refuse because of what a pod is doing."""
    state = "has failed" if route.state is RouteState.FAILED else f"is {route.state}"
    hint = route.message or _WHAT_TO_DO[route.state]
    return Refusal(Reason[route.state.name], f"the pod behind {host} {state}", hint)


def too_large_for(route: Route) -> Refusal:
    """Refuse a body."""
    return Refusal(Reason.TOO_LARGE, f"this endpoint takes request bodies of at most {route.web.largest_body} bytes")
