"""What SCRAM binds a channel to: the hash of a certificate."""

from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gateway.postgres.scram import end_point_hash
from tests.peers import leaf_of


def certificate(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey,
                algorithm: hashes.HashAlgorithm | None) -> x509.Certificate:  # fmt: skip
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pods.test")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    return builder.sign(key, algorithm)  # type: ignore[arg-type]


@pytest.mark.parametrize("algorithm", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
def test_the_binding_is_by_the_hash_of_the_signature(algorithm: hashes.HashAlgorithm) -> None:
    made = certificate(ec.generate_private_key(ec.SECP256R1()), algorithm)
    assert end_point_hash(made) == made.fingerprint(algorithm)


def test_a_signature_without_a_hash_binds_nothing() -> None:
    assert end_point_hash(certificate(ed25519.Ed25519PrivateKey.generate(), None)) is None


def test_old_hashes_are_replaced() -> None:
    """RFC 5929, 4.1: SHA-256 where the signature has MD5 or SHA-1."""
    for old in (hashes.SHA1(), hashes.MD5()):  # noqa: S303
        assert end_point_hash(_Signed(old)) == b"sha256"  # type: ignore[arg-type]


class _Signed:
    """A certificate such as today's libraries do not make any more."""

    def __init__(self, algorithm: hashes.HashAlgorithm) -> None:
        self.signature_hash_algorithm = algorithm

    def fingerprint(self, algorithm: hashes.HashAlgorithm) -> bytes:
        return algorithm.name.encode()


def test_an_unknown_signature_binds_nothing() -> None:
    assert end_point_hash(_Unknown()) is None  # type: ignore[arg-type]


class _Unknown:
    @property
    def signature_hash_algorithm(self) -> hashes.HashAlgorithm:
        raise UnsupportedAlgorithm("of tomorrow")


def test_certificates_of_tests_can_be_bound_to() -> None:
    leaf = leaf_of(trustme.CA(key_type=trustme.KeyType.ECDSA), "pods.test")
    assert end_point_hash(x509.load_pem_x509_certificate(leaf.chain_pem)) is not None
