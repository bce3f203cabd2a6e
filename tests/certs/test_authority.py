"""The local authority: made once, whole or not at all, strict enough for every client, never silently replaced."""

import multiprocessing
import os
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from certs.authority import AUTHORITY_LIFETIME, Authority, _make
from certs.files import CertificateProblem
from certs.leaf import Leaf

NOW = datetime.now(UTC).replace(microsecond=0)
POD = ("*.pods.localhost", "pods.localhost")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.open(tmp_path / "authority")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def verify(authority: Authority, leaf: Leaf, *options: str) -> subprocess.CompletedProcess[str]:
    certificate = authority.path.parent / "leaf.pem"
    certificate.write_bytes(leaf.chain_pem)
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", str(authority.path)]
    return subprocess.run([*command, *options, str(certificate)], capture_output=True, text=True, check=False)


def handshake(authority: Authority, leaf: Leaf, name: str, directory: Path) -> str:
    """Do a whole TLS handshake in memory, the client as strict as Python 3.13's default."""
    pair = directory / "pair.pem"
    pair.write_bytes(leaf.key_pem + leaf.chain_pem)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(pair)
    client_side = ssl.create_default_context(cafile=str(authority.path))
    client_side.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(down, up, server_hostname=name)
    server = server_side.wrap_bio(up, down, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return str(client.version())


def test_the_first_opening_makes_an_authority_and_later_ones_find_it(tmp_path: Path) -> None:
    first = Authority.open(tmp_path / "home" / "authority")
    again = Authority.open(tmp_path / "home" / "authority")
    assert first.certificate == again.certificate
    assert first.path == tmp_path / "home" / "authority" / "ca.pem"
    assert first.not_after - datetime.now(UTC) > AUTHORITY_LIFETIME - timedelta(minutes=5)
    assert again.issue(POD, NOW).hosts == POD


def test_files_have_their_modes_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        authority = Authority.open(tmp_path / "authority")
    finally:
        os.umask(before)
    assert mode(authority.path) == 0o644
    assert mode(authority.path.with_name("ca.key")) == 0o600


def test_the_key_is_not_shown(authority: Authority) -> None:
    assert "key=" not in repr(authority)
    assert "key" not in repr(authority.issue(POD, NOW))


@pytest.mark.parametrize("name", ["mydb.pods.localhost", "pods.localhost", "db--metrics.pods.localhost"])
def test_strict_clients_accept_a_leaf(authority: Authority, tmp_path: Path, name: str) -> None:
    leaf = authority.issue(POD, NOW)
    outcome = verify(authority, leaf, "-verify_hostname", name)
    assert outcome.returncode == 0, outcome.stderr
    assert handshake(authority, leaf, name, tmp_path) == "TLSv1.3"


@pytest.mark.parametrize("name", ["a.b.pods.localhost", "other.localhost", "localhost"])
def test_strict_clients_refuse_a_leaf_for_another_name(authority: Authority, tmp_path: Path, name: str) -> None:
    leaf = authority.issue(POD, NOW)
    assert verify(authority, leaf, "-verify_hostname", name).returncode == 2
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(authority, leaf, name, tmp_path)


def test_the_authority_signs_no_further_authority(authority: Authority) -> None:
    constraints = authority.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = authority.certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert not usage.value.digital_signature
    assert verify(authority, authority.issue(POD, NOW), "-purpose", "sslclient").returncode == 2


def test_a_leaf_is_what_browsers_ask_for(authority: Authority) -> None:
    certificate = x509.load_pem_x509_certificate(authority.issue(POD, NOW).chain_pem)
    extensions = certificate.extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName)
    purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    issuer = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    own = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert (constraints.critical, constraints.value.ca) == (True, False)
    assert (usage.critical, usage.value.digital_signature, usage.value.key_cert_sign) == (True, True, False)
    assert names.value.get_values_for_type(x509.DNSName) == list(POD)
    assert [purpose.dotted_string for purpose in purposes] == ["1.3.6.1.5.5.7.3.1"]
    assert issuer.key_identifier == own.digest
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    assert authority.issue(POD, NOW).key_pem != authority.issue(POD, NOW).key_pem
    assert certificate.serial_number.bit_length() > 64


def test_a_leaf_lives_90_days_and_began_an_hour_ago(authority: Authority) -> None:
    leaf = authority.issue(POD, NOW)
    assert (leaf.not_before, leaf.not_after) == (NOW - timedelta(hours=1), NOW + timedelta(days=90))
    assert authority.issue(POD, NOW, timedelta(hours=2)).not_after == NOW + timedelta(hours=2)


def test_a_leaf_never_outlives_the_authority(authority: Authority) -> None:
    late = authority.not_after - timedelta(days=1)
    assert authority.issue(POD, late).not_after == authority.not_after
    with pytest.raises(CertificateProblem, match=r"ca\.pem expired at .*move .* away to get a new authority"):
        authority.issue(POD, authority.not_after)


def test_a_half_made_authority_is_finished_with_its_own_key(authority: Authority) -> None:
    leaf = authority.issue(POD, NOW)
    authority.path.unlink()
    again = Authority.open(authority.path.parent)
    assert again.key.public_key() == authority.key.public_key()
    assert verify(again, leaf).returncode == 0


def damage_certificate(directory: Path) -> None:
    (directory / "ca.pem").write_bytes((directory / "ca.pem").read_bytes()[:200])


def empty_certificate(directory: Path) -> None:
    (directory / "ca.pem").write_bytes(b"")


def swap_for_leaf(directory: Path) -> None:
    (directory / "ca.pem").write_bytes(Authority.open(directory).issue(POD, NOW).chain_pem)


def swap_for_other(directory: Path) -> None:
    (directory / "ca.pem").write_bytes(Authority.open(directory.parent / "other").path.read_bytes())


def damage_key(directory: Path) -> None:
    (directory / "ca.key").write_bytes(b"-----BEGIN PRIVATE KEY-----\n")


def remove_key(directory: Path) -> None:
    (directory / "ca.key").unlink()


def change_key_kind(directory: Path) -> None:
    (directory / "ca.key").write_bytes(
        ed25519.Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (damage_certificate, r"ca\.pem does not hold an authority's certificate"),
        (empty_certificate, r"ca\.pem does not hold an authority's certificate"),
        (swap_for_leaf, r"ca\.pem is not the certificate of ca\.key"),
        (swap_for_other, r"ca\.pem is not the certificate of ca\.key"),
        (damage_key, r"ca\.key does not hold a readable key"),
        (change_key_kind, r"ca\.key does not hold an elliptic curve key"),
        (remove_key, r"ca\.key is missing"),
    ],
)
def test_a_damaged_authority_is_an_error_and_left_as_it_is(tmp_path: Path, harm: object, problem: str) -> None:
    directory = tmp_path / "authority"
    Authority.open(directory)
    assert callable(harm)
    harm(directory)
    found = {path.name: path.read_bytes() for path in directory.iterdir()}
    with pytest.raises(CertificateProblem, match=rf"{problem}; restore it from a backup, or move .* away"):
        Authority.open(directory)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == found


def test_a_key_open_to_others_is_refused_with_the_cure(authority: Authority) -> None:
    key = authority.path.with_name("ca.key")
    key.chmod(0o640)
    with pytest.raises(CertificateProblem, match=rf"open to others \(mode 0640\); run: chmod 600 {key}"):
        Authority.open(authority.path.parent)


def test_a_home_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CertificateProblem, match=r"cannot make a certificate authority in .*: Not a directory; make"):
        Authority.open(tmp_path / "file" / "authority")


def _open_together(directory: Path, barrier: "multiprocessing.synchronize.Barrier", answers: object) -> None:
    barrier.wait()
    serial = Authority.open(directory).certificate.serial_number
    assert isinstance(answers, multiprocessing.queues.Queue)
    answers.put(serial)


def test_processes_that_start_together_agree_on_one_authority(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(4), context.Queue()
    racers = [context.Process(target=_open_together, args=(tmp_path / "a", barrier, answers)) for _ in range(4)]
    for racer in racers:
        racer.start()
    serials = {answers.get(timeout=20) for _ in racers}
    for racer in racers:
        racer.join(20)
    assert serials == {Authority.open(tmp_path / "a").certificate.serial_number}


def test_the_one_who_waited_for_the_lock_takes_what_the_other_made(tmp_path: Path) -> None:
    """`_make` is called again with all done, as by the process that lost the race."""
    authority = Authority.open(tmp_path)
    before = authority.path.read_bytes()
    _make(authority.path, tmp_path / "ca.key")
    assert authority.path.read_bytes() == before
