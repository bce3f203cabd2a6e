"""Proofs: worth what the credentials of the moment make of them, and nothing once they are revoked or have ended."""

import base64
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certs.client import ClientName
from gateway.proof import (
    LONGEST_TOKEN,
    CertificateProof,
    Proof,
    SessionProof,
    TokenProof,
    WebTokenProof,
    by_session,
    by_token,
    by_web_token,
    issuer_of,
)
from router.access import AccessLevel, Principal
from router.credentials import Credential, Credentials, Ended, Issuer, User
from router.sealing import CLOCK_SKEW, seal
from tests.gateway.web.site import ALICE, HOST, KEY, NOW, session, token
from tests.gateway.webtokens import CLAIMS, EC, ED, ISSUER, P384, RSA, jwk, signed

ALICES = User("alice", frozenset(("lab",)), since=NOW - 100)
TOKEN = token(ALICE, "alice")
PROOFS: Mapping[str, Proof] = {
    "token": TokenProof("alice"),
    "session": SessionProof(session(issued=NOW - 10)),
    "session of a token": SessionProof(session("", issued=NOW - 10, token="alice")),
    "certificate": CertificateProof(ClientName("alice", NOW - 10), NOW + 3590),
    "web token": WebTokenProof(ISSUER.issuer, "sub-1", NOW - 10, NOW + 3590),
}
every = pytest.mark.parametrize("name", PROOFS)


def who(proof: Proof, *known: Credential, now: float = NOW) -> Principal | None:
    return proof.principal(Credentials(known or (ALICES, TOKEN, ISSUER)), now)


@every
def test_a_proof_tells_the_user_and_the_groups_of_now(name: str) -> None:
    found = who(PROOFS[name])
    assert found is not None
    assert (found.user, found.groups, found.most, found.pod) == ("alice", frozenset(("lab",)), AccessLevel.OWNER, "")
    assert found.credential
    moved = who(PROOFS[name], replace(ALICES, groups=frozenset(("ops",))), TOKEN, ISSUER)
    assert moved is not None
    assert moved.groups == {"ops"}


@every
def test_it_tells_nobody_once_the_user_is_gone(name: str) -> None:
    assert who(PROOFS[name], TOKEN, ISSUER, User("bob")) is None


@every
def test_it_tells_nobody_once_it_is_older_than_the_users_since(name: str) -> None:
    voided = who(PROOFS[name], replace(ALICES, since=NOW - 8), TOKEN, ISSUER)
    assert (voided is None) == ("token" not in name or name == "web token")  # API tokens are revoked one by one


@every
def test_it_tells_nobody_once_its_time_is_over(name: str) -> None:
    known = (ALICES, replace(TOKEN, expires=NOW + 3590), ISSUER)
    assert who(PROOFS[name], *known, now=NOW + 3589) is not None
    assert who(PROOFS[name], *known, now=NOW + 3590) is None


@pytest.mark.parametrize("name", ["token", "session of a token"])
def test_what_comes_from_a_token_ends_with_it_and_is_limited_like_it(name: str) -> None:
    assert who(PROOFS[name], ALICES) is None
    limited = who(PROOFS[name], ALICES, replace(TOKEN, pod="pod-1", most=AccessLevel.READ))
    assert limited is not None
    assert (limited.pod, limited.most) == ("pod-1", AccessLevel.READ)


@pytest.mark.parametrize("name", ["session", "session of a token"])
def test_a_session_ends_with_its_sign_in(name: str) -> None:
    assert who(PROOFS[name], ALICES, TOKEN, Ended("signin-1", NOW + 9)) is None
    assert who(PROOFS[name], ALICES, TOKEN, Ended("signin-2", NOW + 9)) is not None


def test_the_bearer_of_a_link_is_no_user_and_ends_with_its_session() -> None:
    proof = SessionProof(session("", link="l1", issued=NOW - 10))
    assert who(proof) == Principal(link="l1", credential="link:l1")
    assert who(proof, Ended("signin-1", NOW)) is None
    assert who(proof, now=NOW + 4000) is None
    assert who(SessionProof(session(""))) is None


def test_an_issuer_that_is_gone_vouches_for_nobody() -> None:
    assert who(PROOFS["web token"], ALICES) is None
    assert who(PROOFS["web token"], ALICES, replace(ISSUER, users={})) is None
    assert who(PROOFS["web token"], ALICES, replace(ISSUER, users={"sub-1": "nobody"})) is None


def test_what_browsers_show_by_themselves_says_so() -> None:
    ambient = {name for name, proof in PROOFS.items() if getattr(proof, "is_ambient", name.startswith(("ses", "cert")))}
    assert ambient == {"session", "session of a token", "certificate"}


def test_a_token_is_known_by_its_hash() -> None:
    known = Credentials([ALICES, TOKEN])
    assert by_token(ALICE, known) == TokenProof("alice")
    for text in ("", "pgt_", ALICE + " ", ALICE.upper(), TOKEN.hash, "alice", "\ufffd"):
        assert by_token(text, known) is None


def test_a_session_cookie_is_for_one_host() -> None:
    known = Credentials([ALICES, KEY])
    cookie = seal(session(), KEY.id, KEY.secret)
    assert by_session(cookie, HOST, known, NOW) == SessionProof(session())
    assert by_session(cookie, "other.pods.test", known, NOW) is None
    assert by_session(cookie, HOST, Credentials([ALICES]), NOW) is None
    assert by_session(cookie, HOST, known, NOW + 1e6) is None
    assert by_session("x", HOST, known, NOW) is None


# ---- JSON web tokens

KEYS = (jwk(RSA, "r"), jwk(EC, "e"), jwk(ED, "d"))


def taken(text: str, keys: Iterable[Mapping[str, Any]] = KEYS, now: float = NOW, issuer: Issuer = ISSUER) -> str | None:
    """Give whom a web token tells."""
    known = Credentials([ALICES, replace(issuer, keys=tuple(keys))])
    found = issuer_of(text, known)
    proof = by_web_token(text, found, now) if found is not None else None
    principal = proof.principal(known, now) if proof is not None else None
    return principal.user if principal is not None else None


@pytest.mark.parametrize(("key", "algorithm", "kid"), [(RSA, "RS256", "r"), (EC, "ES256", "e"), (ED, "EdDSA", "d")])
def test_a_token_signed_by_an_issuer_of_ours_tells_its_user(key: Any, algorithm: str, kid: str) -> None:
    assert taken(signed(key, algorithm, kid)) == "alice"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.test"},
        {"iss": ...},
        {"iss": ["https://i.test"]},
        {"aud": "others"},
        {"aud": ...},
        {"aud": ["others"]},
        {"sub": "sub-2"},
        {"sub": ...},
        {"sub": 5},
        {"exp": ...},
        {"exp": NOW},
        {"exp": NOW - 1},
        {"exp": "soon"},
        {"exp": float("nan")},
        {"iat": ...},
        {"iat": NOW + CLOCK_SKEW + 1},
        {"iat": float("nan")},
        {"iat": NOW - 102},
    ],
)
def test_with_any_claim_wrong_it_tells_nobody(claims: dict[str, Any]) -> None:
    if claims.get("iss") == ["https://i.test"] or claims.get("sub") == 5:
        payload = base64.urlsafe_b64encode(json.dumps(CLAIMS | claims).encode()).rstrip(b"=")
        header = base64.urlsafe_b64encode(b'{"alg":"RS256","kid":"r"}').rstrip(b"=")
        algorithm = jwt.algorithms.get_default_algorithms()["RS256"]
        signature = base64.urlsafe_b64encode(algorithm.sign(header + b"." + payload, RSA)).rstrip(b"=")
        assert taken(b".".join((header, payload, signature)).decode()) is None
    else:
        assert taken(signed(**claims)) is None


def test_it_may_be_for_others_too_and_of_a_clock_a_little_ahead() -> None:
    assert taken(signed(aud=["others", "podgate"])) == "alice"
    assert taken(signed(iat=NOW + CLOCK_SKEW)) == "alice"


@pytest.mark.parametrize("kid", ["x", "e", "", None])
def test_with_the_wrong_key_id_it_tells_nobody(kid: str | None) -> None:
    assert taken(signed(kid=kid)) is None


def test_without_a_key_id_it_is_the_issuers_only_key() -> None:
    assert taken(signed(kid=None), [jwk(RSA, "r")]) == "alice"
    assert taken(signed(kid=None), [jwk(RSA, None)]) == "alice"
    assert taken(signed(), [jwk(RSA, "r"), jwk(RSA, "r")]) is None
    assert taken(signed(), []) is None


def test_no_shared_secret_and_no_signature_at_all_is_taken() -> None:
    public = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    der = RSA.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    shared = base64.urlsafe_b64encode(der).rstrip(b"=").decode()
    oct_ = {"kty": "oct", "k": shared, "kid": "o", "alg": "HS256"}
    for secret, kid in ((public, "r"), (der, "r"), (der, "o")):
        header, payload = part(b'{"alg":"HS256","kid":"%b"}' % kid.encode()), signed().split(".")[1]
        mac = part(hmac.digest(secret, f"{header}.{payload}".encode(), "sha256"))
        assert taken(f"{header}.{payload}.{mac}", [*KEYS, oct_]) is None
    assert taken(signed("", "none", "r")) is None
    assert taken(signed("", "none", None), []) is None
    header, payload, signature = signed().split(".")
    for text in (f"{header}.{payload}.", f"{header}.{payload}.{signature[:-4]}", f"{header}.{payload}.AAAA"):
        assert taken(text) is None
    assert public.startswith(b"-----BEGIN PUBLIC KEY")


def test_a_hash_of_its_own_choice_is_not_taken() -> None:
    assert taken(signed(RSA, "RS512")) is None
    assert taken(signed(RSA, "PS256")) is None
    assert taken(signed(P384, "ES384", "p"), [*KEYS, jwk(P384, "p", alg="ES384")]) is None


def test_another_key_is_not_taken() -> None:
    assert taken(signed(rsa.generate_private_key(65537, 2048))) is None
    assert taken(signed(ec.generate_private_key(ec.SECP256R1()), "ES256", "e")) is None


@pytest.mark.parametrize(
    "keys",
    [
        [{}],
        [{"kty": "RSA", "kid": "r"}],
        [{"kty": "RSA", "kid": "r", "n": 5, "e": []}],
        [{"kty": "EC", "kid": "r"}],
        [{"kty": "x", "kid": "r"}],
        [{"kty": "EC", "kid": "r", "crv": "P-256", "x": 5, "y": 5}],
        [{"kid": ["r"]}],
    ],
)
def test_a_key_that_is_none_is_no_fault(keys: list[dict[str, Any]]) -> None:
    assert taken(signed(), keys) is None


def part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "\ufffd.\ufffd.\ufffd",
        f"{part(b'[]')}.{part(b'[]')}.",
        f"{part(b'5')}.{part(b'null')}.AA",
        f"{part(b'{')}.{part(b'{')}.AA",
        signed() + "." + "a",
        "a" * LONGEST_TOKEN + "..",
        part(b'{"alg":"RS256","kid":5}') + signed()[signed().index(".") :],
        f"{part(b'{}')}.{signed().split('.')[1]}.AA",
    ],
    ids=range(12),
)
def test_garbage_is_nobody(text: str) -> None:
    assert taken(text) is None


@pytest.mark.parametrize("where", ["header", "payload"])
def test_a_stranger_cannot_make_it_a_fault_by_nesting(where: str) -> None:
    deep = part(b'{"iss":' + b"[" * 2900)
    parts = {"header": f"{deep}.{signed().split('.')[1]}.AA", "payload": f"{part(b'{}')}.{deep}.AA"}
    assert len(parts[where]) <= LONGEST_TOKEN
    assert taken(parts[where]) is None
