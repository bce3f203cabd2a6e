"""Telling who sends a request.

An Authorization field with one of our tokens tells it, the session cookie, or the client certificate of the
connection. The latter two a browser shows by itself, whoever made it send the request, and pods are same-site to each
other: so they count only for requests that the host's own pages have made, and for navigations of the whole window
(Fetch Metadata, w3.org/TR/fetch-metadata). Everything else goes on as if nobody were known.
"""

import base64
import binascii
from typing import NamedTuple

from gateway.proof import TOKEN_PREFIX, Proof, by_session, by_token, by_web_token, issuer_of
from gateway.web import cookies
from gateway.web.visit import Caller, Visit
from gateway.wire.httphead import RequestHead
from router.access import level_of
from router.credentials import Credentials
from router.model import Route


def identify(head: RequestHead, visit: Visit, credentials: Credentials, route: Route, now: float) -> Caller:
    """Tell who is calling."""
    shown = _shown(head, visit, credentials, now)
    if shown.is_ambient and is_from_elsewhere(head, visit):
        return Caller(is_token_ours=shown.is_token_ours)
    principal = shown.proof.principal(credentials, now) if shown.proof is not None else None
    if principal is None or (shown.user and shown.user != principal.user):
        return Caller(is_token_ours=shown.is_token_ours)
    return Caller(shown.proof, principal, level_of(principal, route.pod, route.grants), shown.is_token_ours)


class _Shown(NamedTuple):
    """What a request carries."""

    proof: Proof | None = None
    is_token_ours: bool = False  # the Authorization field is meant for us
    is_ambient: bool = False  # a browser may have added it by itself
    user: str = ""  # who they say they are beside it


def _shown(head: RequestHead, visit: Visit, credentials: Credentials, now: float) -> _Shown:
    fields = head.values(b"authorization")
    if len(fields) > 1:
        return _Shown(is_token_ours=True)  # nobody can tell which one is meant
    if fields and (shown := _authorized(fields[0], credentials, now)) is not None:
        return shown
    session = cookies.find(head.values(b"cookie"), cookies.SESSION)
    if session is not None and (proof := by_session(session, visit.host, credentials, now)) is not None:
        return _Shown(proof, is_ambient=True)
    return _Shown(visit.certificate, is_ambient=True)


def _authorized(value: bytes, credentials: Credentials, now: float) -> _Shown | None:
    """Read an Authorization field (RFC 9110, 11.4; RFC 6750; RFC 7617). None: it is for the pod."""
    words = value.decode("ascii", "replace").split(None, 1)
    scheme, text = words if len(words) == 2 else ("", "")
    if scheme.lower() == "basic":  # which browsers keep, and then send by themselves
        user, _, password = _decoded(text).partition(":")
        if password.startswith(TOKEN_PREFIX):
            return _Shown(by_token(password, credentials), True, is_ambient=True, user=user)
        if (proof := _web_token(password, credentials, now)) is not None:
            return _Shown(proof, True, is_ambient=True, user=user)
        if TOKEN_PREFIX in user or TOKEN_PREFIX in password or _web_token(user, credentials, now) is not None:
            return _Shown(is_token_ours=True)
    elif scheme.lower() == "bearer" and text.startswith(TOKEN_PREFIX):
        return _Shown(by_token(text, credentials), is_token_ours=True)
    elif scheme.lower() == "bearer" and (issuer := issuer_of(text, credentials)) is not None:
        return _Shown(by_web_token(text, issuer, now), is_token_ours=True)
    if TOKEN_PREFIX.encode("ascii") in value:
        return _Shown(is_token_ours=True)  # in a form that we do not take: not for a pod either
    return None


def _web_token(text: str, credentials: Credentials, now: float) -> Proof | None:
    """Read a JSON web token for the gateway, which Bolt takes for a password too. None: it is none."""
    issuer = issuer_of(text, credentials)
    return by_web_token(text, issuer, now) if issuer is not None else None


def _decoded(text: str) -> str:
    """Read base64 as the most careless server does."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4)).decode("utf-8", "replace")
    except binascii.Error:
        return ""


def is_from_elsewhere(head: RequestHead, visit: Visit) -> bool:
    """Tell whether a request was, or may have been, made by a page of another host."""
    origins, sites = head.values(b"origin"), head.values(b"sec-fetch-site")
    own = visit.url(visit.host, "").encode("ascii")
    if head.is_upgrade:  # a page may open WebSockets anywhere; the server is to look at Origin (RFC 6455, 10.2)
        return origins != [own]
    if sites and sites != [b"same-origin"] and sites != [b"none"]:
        return not _is_navigation(head)
    if not sites and origins:
        return origins != [own]
    return len(origins) > 1


def _is_navigation(head: RequestHead) -> bool:
    """Tell whether the whole window goes there, by a method that changes nothing."""
    mode, dest = head.values(b"sec-fetch-mode"), head.values(b"sec-fetch-dest")
    return head.method == "GET" and mode == [b"navigate"] and dest == [b"document"]
