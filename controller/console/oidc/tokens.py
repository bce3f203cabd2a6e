"""What an ID token must be to be believed (OpenID Connect Core 1.0, section 3.1.3.7; RFC 8725): pure."""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.types import Options

ALGORITHMS = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}  # and the kind of key each needs; never `none` or HS*
LEEWAY = 60.0  # seconds that clocks may differ
OLDEST = 600.0  # seconds since a token was made for us: it is asked for and used at once
LONGEST_TOKEN = 64 * 1024  # characters
LONGEST_SUBJECT = 255  # characters (OpenID Connect Core 1.0, section 2)
SHORTEST_RSA = 2048  # bits
_PUBLIC = ("kty", "kid", "use", "alg", "n", "e", "crv", "x", "y")  # what is passed on of a key (RFC 7518, section 6)

_JUDGED_HERE: Options = {  # by a clock that a test can hold
    "verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False, "verify_iss": False,
    "verify_sub": False, "verify_jti": False,
}  # fmt: skip

Claims = Mapping[str, Any]
WebKey = Mapping[str, Any]  # a JSON web key (RFC 7517)


class BadToken(ValueError):
    """An ID token that is not believed; the text says why and holds nothing of it."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must say."""

    issuer: str
    client_id: str
    nonce: str


@dataclass(frozen=True, slots=True)
class Header:
    """Which key is said to have signed a token."""

    algorithm: str
    key_id: str | None


def read_header(token: str) -> Header:
    """Read what a token says about its signature. Raises BadToken."""
    if len(token) > LONGEST_TOKEN or token.count(".") != 2:
        raise BadToken("it is not a signed token")
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise BadToken("its header cannot be read") from None
    algorithm, key_id = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise BadToken(f"its algorithm is none of {', '.join(ALGORITHMS)}")
    if "crit" in header or not (key_id is None or isinstance(key_id, str)):
        raise BadToken("its header asks for what is not known here")
    return Header(algorithm, key_id)


def usable_keys(document: object) -> tuple[WebKey, ...]:
    """Take the public parts of the keys that may sign tokens out of a provider's key set; others are passed over."""
    keys = document.get("keys") if isinstance(document, Mapping) else None
    found = [key for key in keys if _usable(key)] if isinstance(keys, list) else []
    return tuple({name: key[name] for name in _PUBLIC if name in key} for key in found)


def find_key(keys: Iterable[WebKey], header: Header) -> WebKey | None:
    """Find the key a token says it is signed with; without a name it must be the only one of its kind."""
    fitting = [key for key in keys if key["kty"] == ALGORITHMS[header.algorithm]]
    fitting = [key for key in fitting if key.get("alg", header.algorithm) == header.algorithm]
    if header.key_id is not None:
        fitting = [key for key in fitting if key.get("kid") == header.key_id]
    return fitting[0] if len(fitting) == 1 else None


def believe(token: str, header: Header, key: WebKey, expected: Expected, now: float) -> Claims:
    """Give the claims of a token that `key` has signed and that says what is expected. Raises BadToken."""
    try:
        signer = jwt.PyJWK(dict(key), header.algorithm)
        claims = jwt.decode(token, signer, algorithms=[header.algorithm], options=_JUDGED_HERE)
    except jwt.PyJWTError:
        raise BadToken("its signature is not the provider's") from None
    _check_parties(claims, expected)
    _check_times(claims, now)
    return claims


def _check_parties(claims: Claims, expected: Expected) -> None:
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if claims.get("iss") != expected.issuer:
        raise BadToken("it is of another issuer")
    if not isinstance(audiences, list) or expected.client_id not in audiences:
        raise BadToken("it is for somebody else")
    if claims.get("azp", expected.client_id) != expected.client_id or (len(audiences) > 1 and "azp" not in claims):
        raise BadToken("it was given to somebody else")
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(errors="replace"), expected.nonce.encode()):
        raise BadToken("it is not for this sign-in")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT:
        raise BadToken("it does not say who signs in")


def _check_times(claims: Claims, now: float) -> None:
    expires, issued = _time(claims, "exp"), _time(claims, "iat")
    if now >= expires + LEEWAY:
        raise BadToken("it has expired")
    if not now - OLDEST - LEEWAY <= issued <= now + LEEWAY:
        raise BadToken("it was made at another time; the clocks of the provider and of this machine may differ")
    if "nbf" in claims and _time(claims, "nbf") > now + LEEWAY:
        raise BadToken("it is not valid yet")


def _time(claims: Claims, name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**53:
        raise BadToken(f"its time {name!r} cannot be read")
    return float(value)


def _usable(key: object) -> bool:
    if not isinstance(key, Mapping) or key.get("kty") not in ALGORITHMS.values() or key.get("use", "sig") != "sig":
        return False
    fits = key["kty"] == "RSA" or key.get("crv") == {"EC": "P-256", "OKP": "Ed25519"}[key["kty"]]
    if not fits or key.get("alg", "RS256") not in ALGORITHMS:
        return False
    algorithm = next(name for name, kind in ALGORITHMS.items() if kind == key["kty"])
    try:
        return bool(getattr(jwt.PyJWK(dict(key), algorithm).key, "key_size", SHORTEST_RSA) >= _least(key))
    except (jwt.PyJWTError, ValueError, TypeError):
        return False


def _least(key: WebKey) -> int:
    return SHORTEST_RSA if key["kty"] == "RSA" else 0
