"""JSON web tokens as an issuer of ours signs them."""

import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from router.credentials import Issuer
from tests.gateway.web.site import NOW

ISSUER = Issuer("https://i.test", "podgate", (), {"sub-1": "alice"})
RSA = rsa.generate_private_key(65537, 2048)
EC, P384, ED = (
    ec.generate_private_key(ec.SECP256R1()),
    ec.generate_private_key(ec.SECP384R1()),
    ed25519.Ed25519PrivateKey.generate(),
)
CLAIMS = {"iss": ISSUER.issuer, "aud": "podgate", "sub": "sub-1", "iat": NOW - 10, "exp": NOW + 100}


def jwk(key: Any, kid: str | None, **more: Any) -> dict[str, Any]:
    algorithms = jwt.algorithms.get_default_algorithms()
    name = {rsa.RSAPrivateKey: "RS256", ec.EllipticCurvePrivateKey: "ES256", ed25519.Ed25519PrivateKey: "EdDSA"}
    kind = next(value for base, value in name.items() if isinstance(key, base))
    made: dict[str, Any] = json.loads(algorithms[kind].to_jwk(key.public_key()))
    return made | ({"kid": kid} if kid is not None else {}) | more


def signed(key: Any = RSA, algorithm: str = "RS256", kid: Any = "r", **claims: Any) -> str:
    every = {name: value for name, value in (CLAIMS | claims).items() if value is not ...}
    return jwt.encode(every, key, algorithm, headers={} if kid is None else {"kid": kid})
