"""By what replicas know each other: the local authority of a home, or files that may change at any time."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from certs.authority import PEER_LIFETIME, Authority
from certs.files import PRIVATE, CertificateProblem, write_file
from certs.leaf import Leaf
from certs.peer import GATEWAY, is_gateway
from gateway.identity import SETTLED, FileIdentity, LocalIdentity, SignedIdentity
from tests.peers import write_leaf

NOW = datetime.now(UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.open(tmp_path / "authority")


def test_the_certificate_is_made_anew_before_it_ends(authority: Authority) -> None:
    identity = LocalIdentity(authority)
    now = datetime.now(UTC)
    first, _ = identity.get(now)
    assert is_gateway(x509.load_pem_x509_certificate(first.chain_pem))
    assert identity.get(now + PEER_LIFETIME / 2)[0] is first
    second, _ = identity.get(now + PEER_LIFETIME * 0.8)
    assert second.not_after > first.not_after
    assert second.key_pem != first.key_pem


# ---- files


def files(directory: Path, *names: str) -> tuple[Path, Path, Path]:
    """Have somebody's own authority make a certificate with some names."""
    ca = trustme.CA()
    key = ec.generate_private_key(ec.SECP256R1())
    signer = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    issuer = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    uris = [x509.UniformResourceIdentifier(name) for name in names]
    certificate = (
        x509.CertificateBuilder()
        .issuer_name(issuer.subject)
        .subject_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW - timedelta(hours=1))
        .not_valid_after(NOW + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("gw1.example.org"), *uris]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    leaf = Leaf.from_pem(certificate.public_bytes(serialization.Encoding.PEM), pem)
    authority = directory / "peers.pem"
    authority.write_bytes(ca.cert_pem.bytes())
    return (*write_leaf(leaf, directory), authority)


def test_files_have_to_name_a_gateway(tmp_path: Path) -> None:
    with pytest.raises(CertificateProblem, match="URI:podgate:gateway"):
        FileIdentity(*files(tmp_path, "podgate:user:alice"))


def test_an_authority_has_to_be_one(tmp_path: Path) -> None:
    certificate, key, ca = files(tmp_path, GATEWAY)
    for content in (b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        ca.write_bytes(content)
        with pytest.raises(CertificateProblem, match="no readable authority"):
            FileIdentity(certificate, key, ca)


def test_broken_files_change_nothing_and_good_ones_do(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    certificate, key, ca = files(tmp_path, GATEWAY)
    identity = FileIdentity(certificate, key, ca)
    before = identity.get(NOW)
    certificate.write_bytes(b"half")
    assert identity.get(NOW) == before
    assert "the certificate before stays in use" in caplog.text
    files(tmp_path, GATEWAY)
    assert identity.get(NOW)[0] != before[0]


def settled(*paths: Path) -> datetime:
    """Wait until a change would bear another time than the last one did; give one so late that all know so."""
    probe = paths[0].with_name("probe")
    probe.touch()
    while probe.stat().st_ctime_ns <= max(path.stat().st_ctime_ns for path in paths):
        probe.touch()
    return datetime.now(UTC) + timedelta(seconds=2 * SETTLED)


def test_files_that_are_as_they_were_are_not_read_again(tmp_path: Path) -> None:
    paths = files(tmp_path, GATEWAY)
    identity = FileIdentity(*paths)
    later = settled(*paths)
    fresh, _ = identity.get(datetime.now(UTC))
    kept, _ = identity.get(later)
    assert kept is not fresh, "they had only just changed, and might have changed again in the same moment"
    assert identity.get(later)[0] is kept
    expired = identity.get(kept.not_after)[0]
    assert expired is not kept, "what is no longer good is looked for in the files each time"


def put_in_place(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def put_at_once(path: Path, data: bytes) -> None:
    write_file(path, data, PRIVATE)


def put_as_if_nothing_were(path: Path, data: bytes) -> None:
    """With the times of the file before, as `cp --preserve` of another one may have them."""
    was = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


@pytest.mark.parametrize("put", [put_in_place, put_at_once, put_as_if_nothing_were])
@pytest.mark.parametrize("is_settled", [False, True])
def test_a_change_is_seen_at_once(tmp_path: Path, put: Callable[[Path, bytes], None], *, is_settled: bool) -> None:
    """Be it of files that have just changed, whose times may stay the same, or of some that were left alone."""
    paths = files(tmp_path, GATEWAY)
    identity = FileIdentity(*paths)
    now = settled(*paths) if is_settled else datetime.now(UTC)
    before = identity.get(now)
    elsewhere = tmp_path / "new"
    elsewhere.mkdir()
    for path, new in zip(paths, files(elsewhere, GATEWAY), strict=True):
        put(path, new.read_bytes())
    found = identity.get(now)
    assert found[0].key_pem == (elsewhere / paths[1].name).read_bytes() != before[0].key_pem
    assert found[1] != before[1]


def test_a_key_that_was_opened_to_others_is_told_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    certificate, key, ca = files(tmp_path, GATEWAY)
    identity = FileIdentity(certificate, key, ca)
    later = settled(certificate, key, ca)
    before = identity.get(later)
    key.chmod(0o644)
    assert identity.get(later) == before
    assert "open to others" in caplog.text


def test_what_a_controller_has_still_to_sign_is_taken_as_soon_as_it_is_there(tmp_path: Path) -> None:
    paths = (tmp_path / "certificate.pem", tmp_path / "key.pem", tmp_path / "peers.pem")
    identity = SignedIdentity(*paths)
    with pytest.raises(CertificateProblem, match="the controller has not signed a certificate for this gateway yet"):
        identity.get(NOW)
    assert files(tmp_path, GATEWAY) == paths
    first = identity.get(NOW)
    assert is_gateway(x509.load_pem_x509_certificate(first[0].chain_pem))
    files(tmp_path, GATEWAY)
    assert identity.get(NOW) != first
