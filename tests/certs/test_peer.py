"""Certificates by which gateways know each other."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.authority import CLOCK_SKEW, PEER_LIFETIME, Authority
from certs.client import read_client
from certs.files import CertificateProblem
from certs.peer import GATEWAY, is_gateway

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.open(tmp_path)


def read(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def test_it_names_a_gateway_and_neither_a_user_nor_a_host(authority: Authority) -> None:
    leaf = authority.issue_peer(NOW)
    signed = read(leaf.chain_pem)
    signed.verify_directly_issued_by(authority.certificate)
    assert is_gateway(signed)
    assert leaf.hosts == ()
    assert read_client(signed, CLOCK_SKEW.total_seconds()) is None
    assert (leaf.not_before, leaf.not_after) == (NOW - CLOCK_SKEW, NOW + PEER_LIFETIME)
    usages = signed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usages) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert not signed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


@pytest.mark.parametrize("user", ["alice", "gateway", GATEWAY])
def test_no_user_is_a_gateway(authority: Authority, user: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    uri = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(GATEWAY)])
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(uri, critical=False)
    csr = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    assert not is_gateway(read(authority.sign_client(csr, user, 12, NOW)))


def test_no_host_is_a_gateway(authority: Authority) -> None:
    assert not is_gateway(read(authority.issue([GATEWAY, "gateway.pods.test"], NOW).chain_pem))


def test_the_authority_itself_is_not_one(authority: Authority) -> None:
    assert not is_gateway(authority.certificate)


def test_it_is_not_signed_after_its_authority(authority: Authority) -> None:
    late = authority.not_after - timedelta(hours=1)
    assert authority.issue_peer(late).not_after == authority.not_after
    with pytest.raises(CertificateProblem, match="expired"):
        authority.issue_peer(authority.not_after)
