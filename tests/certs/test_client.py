"""Client certificates: what is signed, for whom, and what is not."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.authority import CLOCK_SKEW, ELSEWHERE_LIFETIME, Authority
from certs.client import ClientName, InvalidRequest, read_client
from certs.files import CertificateProblem
from certs.peer import is_gateway

NOW = datetime(2030, 1, 1, tzinfo=UTC)
BACKDATED = CLOCK_SKEW.total_seconds()


def request(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, name: str = "mallory") -> bytes:
    builder = x509.CertificateSigningRequestBuilder()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    wished = x509.SubjectAlternativeName([x509.DNSName("bank.test")])
    signed = builder.subject_name(subject).add_extension(wished, critical=False).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.open(tmp_path)


def test_a_certificate_names_its_user_and_nothing_of_the_request_but_the_key(authority: Authority) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    signed = x509.load_pem_x509_certificate(authority.sign_client(request(key), "alice", 12, NOW))
    signed.verify_directly_issued_by(authority.certificate)
    assert read_client(signed, BACKDATED) == ClientName("alice", NOW.timestamp())
    assert signed.public_key() == key.public_key()
    assert signed.not_valid_after_utc == NOW + timedelta(hours=12)
    usages = signed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not signed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert b"mallory" not in signed.public_bytes(serialization.Encoding.DER)


def test_it_ends_with_its_authority_and_is_not_signed_after_that(authority: Authority) -> None:
    csr = request(ec.generate_private_key(ec.SECP256R1()))
    late = authority.not_after - timedelta(hours=1)
    signed = x509.load_pem_x509_certificate(authority.sign_client(csr, "alice", 12, late))
    assert signed.not_valid_after_utc == authority.not_after
    with pytest.raises(CertificateProblem, match="expired"):
        authority.sign_client(csr, "alice", 12, authority.not_after)


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"x" * 20_000,
        b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        request(rsa.generate_private_key(65537, 1024)),  # noqa: S505  # that is the point
        request(ec.generate_private_key(ec.SECP192R1())),
        request(ec.generate_private_key(ec.SECP224R1())),
    ],
)
def test_a_request_that_is_none_or_weak_is_refused(authority: Authority, pem: bytes) -> None:
    with pytest.raises(InvalidRequest):
        authority.sign_client(pem, "alice", 12)


def test_a_request_signed_by_another_key_is_refused(authority: Authority) -> None:
    csr = x509.load_pem_x509_csr(request(ec.generate_private_key(ec.SECP256R1())))
    der = bytearray(csr.public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(InvalidRequest):
        authority.sign_client(forged, "alice", 12)


def test_the_certificate_of_a_server_names_no_client(authority: Authority) -> None:
    leaf = x509.load_pem_x509_certificate(authority.issue(["a.test"], NOW).chain_pem)
    assert read_client(leaf, BACKDATED) is None
    assert read_client(authority.certificate, BACKDATED) is None


def test_a_gateway_elsewhere_gets_certificates_for_hosts_and_for_peers_that_are_not_each_other(
    authority: Authority,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    hosts = x509.load_pem_x509_certificate(authority.sign_hosts(request(key), ["*.pods.test", "pods.test"], NOW))
    peer = x509.load_pem_x509_certificate(authority.sign_peer(request(key), NOW))
    for signed in (hosts, peer):
        signed.verify_directly_issued_by(authority.certificate)
        assert signed.public_key() == key.public_key()
        assert signed.not_valid_after_utc == NOW + ELSEWHERE_LIFETIME
        assert read_client(signed, BACKDATED) is None
        assert b"mallory" not in signed.public_bytes(serialization.Encoding.DER)
        assert b"bank.test" not in signed.public_bytes(serialization.Encoding.DER)
    names = hosts.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["*.pods.test", "pods.test"]
    assert (is_gateway(hosts), is_gateway(peer)) == (False, True)
    usages = hosts.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.SERVER_AUTH]
