"""Proofs: what a caller has shown for being who they are, in a form that can be asked again later.

A proof outlives the moment it was given: links stay open for days. So it holds no level and no group, only what was
shown, and tells whom that makes the caller under the credentials known now: nobody, once it is revoked or has ended.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import jwt
from cryptography import x509

from certs.client import ClientName, read_client
from router.access import Principal
from router.credentials import Credentials, Issuer
from router.sealing import CLOCK_SKEW, Session, Unsealable, unseal

TOKEN_PREFIX = "pgt_"  # noqa: S105  # tells our tokens from those that a pod itself gives out
LONGEST_TOKEN = 8192  # characters, of a web token with many claims
BACKDATED = 3600.0  # seconds: client certificates begin to be valid so long before they are issued (certs.authority)
WHOLE_SECOND = 1.0  # certificates and web tokens tell whole seconds: what was issued right after `since` is not older
ALGORITHMS = ("RS256", "ES256", "EdDSA")  # of web tokens (RFC 7518): signatures only, never a shared secret or none


class Proof(Protocol):
    """Something shown."""

    @property
    def is_ambient(self) -> bool:
        """Whether a browser shows it by itself, whoever made it send the request."""

    def principal(self, credentials: Credentials, now: float) -> Principal | None:
        """Tell who shows it, as things are `now` (seconds since 1970)."""


@dataclass(frozen=True, slots=True)
class TokenProof:
    """An API token was sent."""

    id: str
    is_ambient = False

    def principal(self, credentials: Credentials, now: float) -> Principal | None:
        """Tell whose it is while it is valid."""
        token = credentials.token(self.id)
        user = credentials.user(token.user) if token is not None else None
        if token is None or user is None or (token.expires is not None and now >= token.expires):
            return None
        return Principal(user.name, user.groups, "", token.pod, token.most, f"token:{token.id}")


@dataclass(frozen=True, slots=True)
class SessionProof:
    """A browser has a session with one host."""

    session: Session
    is_ambient = True

    def principal(self, credentials: Credentials, now: float) -> Principal | None:
        """Tell whose it is until its sign-in, its token or its link ends."""
        session = self.session
        if now >= session.expires or credentials.ended(session.id):
            return None
        if session.token:
            return TokenProof(session.token).principal(credentials, now)
        if session.link:
            return Principal(link=session.link, credential=f"link:{session.link}")
        user = credentials.user(session.user)
        if user is None or session.issued < user.since:
            return None
        return Principal(user.name, user.groups, credential=f"session:{session.id[:8]}")


@dataclass(frozen=True, slots=True)
class CertificateProof:
    """A client certificate of the local authority was presented."""

    name: ClientName
    expires: float
    is_ambient = True

    def principal(self, credentials: Credentials, now: float) -> Principal | None:
        """Tell whose it is until it expires or the user's earlier ones are void."""
        user = credentials.user(self.name.user)
        if user is None or now >= self.expires or self.name.issued + WHOLE_SECOND < user.since:
            return None
        return Principal(user.name, user.groups, credential="certificate")


@dataclass(frozen=True, slots=True)
class WebTokenProof:
    """A signed JSON web token was sent."""

    issuer: str
    subject: str
    issued: float
    expires: float
    is_ambient = False

    def principal(self, credentials: Credentials, now: float) -> Principal | None:
        """Tell whose it is while it is valid and its issuer is one of ours."""
        issuer = credentials.issuers.get(self.issuer)
        user = credentials.user(issuer.users.get(self.subject, "")) if issuer is not None else None
        if user is None or now >= self.expires or self.issued + WHOLE_SECOND < user.since:
            return None
        return Principal(user.name, user.groups, credential="web token")


def by_token(text: str, credentials: Credentials) -> TokenProof | None:
    """Take an API token for what it is worth: nothing, if nobody has it."""
    token = credentials.tokens.get(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())
    return TokenProof(token.id) if token is not None else None


def by_session(cookie: str, host: str, credentials: Credentials, now: float) -> SessionProof | None:
    """Take a session cookie, which is worth something only at the host it was given by."""
    try:
        session = unseal(Session, cookie, credentials.keys, now)
    except Unsealable:
        return None
    return SessionProof(session) if session.host == host else None


def by_certificate(certificate: x509.Certificate) -> CertificateProof | None:
    """Take a certificate whose chain and purpose OpenSSL has verified."""
    name = read_client(certificate, BACKDATED)
    return CertificateProof(name, certificate.not_valid_after_utc.timestamp()) if name is not None else None


def issuer_of(text: str, credentials: Credentials) -> Issuer | None:
    """Tell which of our issuers a JSON web token says it comes from, whether or not that is true."""
    if len(text) > LONGEST_TOKEN or not text.isascii() or text.count(".") != 2:
        return None
    try:
        claimed = jwt.decode(text, options={"verify_signature": False}).get("iss")
    except jwt.PyJWTError:
        return None
    return credentials.issuers.get(claimed) if isinstance(claimed, str) else None


def by_web_token(text: str, issuer: Issuer, now: float) -> WebTokenProof | None:
    """Take a JSON web token (RFC 7519) that an issuer has signed for us."""
    try:
        key = _key(issuer, jwt.get_unverified_header(text).get("kid"))
        if key is None:
            return None
        options: Any = {"require": ["exp", "iat", "sub"], "verify_exp": False, "verify_iat": False}
        claims = jwt.decode(
            text, key=key, algorithms=ALGORITHMS, audience=issuer.audience, issuer=issuer.issuer, options=options,
            leeway=CLOCK_SKEW,
        )  # fmt: skip
        if claims.get("azp", issuer.audience) != issuer.audience:
            return None  # made for another client that the same provider serves (OpenID Connect Core, section 2)
        proof = WebTokenProof(issuer.issuer, str(claims["sub"]), float(claims["iat"]), float(claims["exp"]))
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    return proof if proof.issued <= now + CLOCK_SKEW and now < proof.expires else None


def _key(issuer: Issuer, key_id: object) -> jwt.PyJWK | None:
    """Find the issuer's key of this id; without an id, its only one."""
    found = [key for key in issuer.keys if key_id is None or key.get("kid") == key_id]
    if len(found) != 1 or found[0].get("kty") == "oct":
        return None
    return _parsed(json.dumps(dict(found[0]), sort_keys=True))


@lru_cache(64)
def _parsed(document: str) -> jwt.PyJWK:
    return jwt.PyJWK(json.loads(document))
