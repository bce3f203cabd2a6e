"""Telling who a Bolt client is: by what it shows in TLS, or by the credentials in its HELLO or LOGON.

    basic     the name of its user is its name with us, and its password an API token of its own
    bearer    an API token, or a JSON web token of the issuer people sign in with
    none      a client certificate has to tell

Source: Neo4j, "Bolt Protocol", "HELLO message" and "LOGON message".
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from gateway.errors import Reason, Refusal
from gateway.proof import TOKEN_PREFIX, Proof, by_token, by_web_token, issuer_of
from gateway.services import Services
from gateway.ways import forbidden
from gateway.web.visit import Visit
from gateway.wire.packstream import Structure, Value
from gateway.wire.verdict import Malformed
from router.access import Principal
from router.credentials import LONGEST_NAME, Credentials
from router.model import Route

MOST_TEXTS = 64  # in a login that goes to a database: drivers send some 20, and a look at one takes up to 0.16 ms
_HINT = "The user is your Podgate name, and the password an API token of yours: podgate token create cypher"


class Identified(NamedTuple):
    """Who a client is."""

    proof: Proof
    principal: Principal


def identify(services: Services, visit: Visit, route: Route, shown: Mapping[str, Value]) -> Identified:
    """Tell who shows these credentials, as things are now. Raises Refusal; `Reason.WRONG_TOKEN` is to be counted."""
    engine = services.engine
    if visit.certificate is not None:
        return _by_certificate(visit.certificate, shown, engine.policy.credentials, engine.clock())
    if shown.get("scheme") not in ("basic", "bearer"):
        raise forbidden(visit.host, route, None)
    found = _by_secret(shown, engine.policy.credentials, engine.clock())
    if isinstance(found, Refusal):
        raise found
    return found


def shows_token(shown: Iterable[Value], credentials: Credentials, now: float) -> bool:
    """Tell whether a token for the gateway is anywhere in what a client shows to a database. Raises Malformed."""
    for number, text in enumerate(_texts(shown)):
        if number >= MOST_TEXTS:
            raise Malformed(f"bolt message: more than {MOST_TEXTS} texts in a login")
        if text.startswith(TOKEN_PREFIX) or _proof(text, credentials, now) is not None:
            return True
    return False


def _texts(shown: Iterable[Value]) -> Iterator[str]:
    for value in shown:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield from _texts(value.values())
        elif isinstance(value, list | Structure):
            yield from _texts(value if isinstance(value, list) else value.fields)


def _by_secret(shown: Mapping[str, Value], credentials: Credentials, now: float) -> Identified | Refusal:
    scheme, name, secret = (shown.get(field) for field in ("scheme", "principal", "credentials"))
    proof = _proof(secret, credentials, now) if isinstance(secret, str) else None
    principal = proof.principal(credentials, now) if proof is not None else None
    if proof is not None and principal is not None and (scheme == "bearer" or principal.user == name):
        return Identified(proof, principal)
    if scheme == "bearer":
        return Refusal(Reason.WRONG_TOKEN, "the token is not valid (any more)", "Get one: podgate token create NAME")
    return Refusal(Reason.WRONG_TOKEN, f"the password is no valid API token of a user {_quoted(name)}", _HINT)


def _proof(secret: str, credentials: Credentials, now: float) -> Proof | None:
    issuer = issuer_of(secret, credentials)
    return by_web_token(secret, issuer, now) if issuer is not None else by_token(secret, credentials)


def _by_certificate(proof: Proof, shown: Mapping[str, Value], credentials: Credentials, now: float) -> Identified:
    principal = proof.principal(credentials, now)
    if principal is None:
        raise Refusal(
            Reason.UNIDENTIFIED,
            "your client certificate is not valid any more",
            "Get another: podgate certificate issue",
        )
    name = shown.get("principal") or principal.user
    if name != principal.user:
        raise Refusal(
            Reason.FORBIDDEN,
            f"your client certificate is for {principal.user}, and your client says it is {_quoted(name)}",
            f"Connect as {principal.user}",
        )
    return Identified(proof, principal)


def _quoted(name: Value) -> str:
    """Quote a name as a client has sent it: it may hold anything."""
    return ascii(name[:LONGEST_NAME]) if isinstance(name, str) else "without a name"
