"""The heads of requests and responses as the other side is to see them. Pure.

What concerns one connection only is taken out (RFC 9110, section 7.6.1), and so is what only the gateway may say: who
the caller is and where they come from. Field names are compared with every sign read as `-`, since some servers
hand them all to an application under one name. Framing stays as it is, because bodies are relayed as they come.
"""

import base64

from gateway.web import cookies
from gateway.web.visit import Admitted, Visit
from gateway.wire.httpfields import plain
from gateway.wire.httphead import Field, RequestHead, list_members
from gateway.wire.httpresponse import ResponseHead
from router.access import AccessLevel, login_level

_HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade", b"http2-settings", b"proxy-authorization")
)
# And what CGI would take for something else: `Proxy` (httpoxy.org), `Remote-User`.
_OURS = frozenset((b"forwarded", b"x-real-ip", b"x-client-cert", b"x-ssl-client-cert", b"proxy", b"remote-user"))
_OUR_PREFIXES = (b"x-forwarded-", b"x-podgate-")
# A pod must not clear the cookies of its siblings, send browsers elsewhere for its host, or answer for the gateway.
_NOT_FROM_PODS = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"upgrade", b"alt-svc", b"proxy-authenticate")
)
_CORS = (b"access-control-allow-origin", b"access-control-allow-credentials")

# For endpoints that are not public: what keeps pages of sibling pods from holding a window of this one or embedding
# what it answers (html.spec.whatwg.org: COOP, origin-keyed agent clusters; fetch.spec.whatwg.org: CORP).
_ISOLATION = (
    (b"cross-origin-opener-policy", b"Cross-Origin-Opener-Policy: same-origin-allow-popups\r\n"),
    (b"cross-origin-resource-policy", b"Cross-Origin-Resource-Policy: same-origin\r\n"),
    (b"origin-agent-cluster", b"Origin-Agent-Cluster: ?1\r\n"),
)


def request_head(head: RequestHead, visit: Visit, admitted: Admitted) -> bytes:
    """Make the head that the pod receives."""
    named = frozenset(plain(option) for option in list_members(head.values(b"connection")))
    lines = [f"{head.method} {head.path} HTTP/1.{head.minor}\r\n".encode("ascii")]
    login = _database_login(admitted)
    for field in head.fields:
        name = plain(field.name)
        if name in _HOP_BY_HOP or name in named or name in _OURS or name.startswith(_OUR_PREFIXES):
            continue
        if name == b"expect" and not head.expects_continue:
            continue
        if name == b"cookie" and not admitted.route.own:
            kept = cookies.without_ours(field.value)
            if kept:
                lines.append(field.line if kept == field.value else b"Cookie: " + kept + b"\r\n")
        elif name != b"authorization" or not (admitted.caller.is_token_ours or login):
            lines.append(field.line)
    lines.append(login)
    lines.append(_from_us(head, visit, admitted).encode("ascii"))
    if head.is_upgrade:
        lines += [field.line for field in head.fields if field.name == b"upgrade"]
        lines.append(b"Connection: Upgrade\r\n")
    elif not head.keeps_alive or head.minor == 0:
        lines.append(b"Connection: close\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


def _database_login(admitted: Admitted) -> bytes:
    """Make the field by which the gateway logs in to a database that is asked over HTTP, as it does over Bolt: by the
    login for the caller's level. Empty where the caller does so, as everybody does where everybody may come.
    """
    logins = admitted.route.database.logins
    level = login_level(admitted.caller.level, logins)
    if level is None or admitted.route.access is AccessLevel.PUBLIC:
        return b""
    login = logins[level][0]
    return b"Authorization: Basic " + base64.b64encode(f"{login.user}:{login.password}".encode()) + b"\r\n"


def _from_us(head: RequestHead, visit: Visit, admitted: Admitted) -> str:
    caller = admitted.caller
    text = (
        f"X-Forwarded-For: {visit.address}\r\nX-Forwarded-Proto: https\r\n"
        f"X-Forwarded-Host: {head.authority or visit.host}\r\n"
    )
    if caller.principal is None:
        return text
    user = f"X-Podgate-User: {caller.principal.user}\r\n" if caller.principal.user else ""
    link = f"X-Podgate-Link: {caller.principal.link}\r\n" if caller.principal.link else ""
    level = caller.level if caller.level is not None else AccessLevel.PUBLIC
    return f"{text}{user}{link}X-Podgate-Level: {level}\r\n"


def response_head(
    head: ResponseHead, admitted: Admitted, *, closes: bool, is_old: bool, origin: str | None = None
) -> bytes:
    """Make the head that the client receives; `is_old`: it speaks HTTP/1.0. `origin` may read it, by CORS."""
    named = frozenset(list_members(head.values(b"connection")))
    minor = 0 if is_old else 1
    lines = [b"HTTP/1.%d %d %b\r\n" % (minor, head.status, head.reason)]
    present = {field.name for field in head.fields}
    for field in head.fields:
        if field.name in _NOT_FROM_PODS or field.name in named:
            continue
        if _is_not_for_pods_to_say(field) and not admitted.route.own:
            continue
        if origin is None or field.name not in _CORS:
            lines.append(field.line)
    if head.is_upgrade:
        lines += [field.line for field in head.fields if field.name == b"upgrade"]
        lines.append(b"Connection: Upgrade\r\n")
    elif closes:
        lines.append(b"Connection: close\r\n")
    elif is_old:
        lines.append(b"Connection: keep-alive\r\n")
    if admitted.route.access is not AccessLevel.PUBLIC and head.status >= 200:
        lines += [line for name, line in _ISOLATION if name not in present]
    if origin is not None:
        lines.append(f"Access-Control-Allow-Origin: {origin}\r\nVary: Origin\r\n".encode("ascii"))
    lines.append(b"\r\n")
    return b"".join(lines)


def _is_not_for_pods_to_say(field: Field) -> bool:
    if field.name == b"set-cookie":
        return cookies.sets_ours(field.value)
    if field.name == b"clear-site-data":  # it clears cookies of the whole site, which is all pods of the domain
        return b"cookies" in field.value.lower() or b"*" in field.value
    return False
