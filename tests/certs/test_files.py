"""Certificates people bring: what is wrong with them is said in one sentence; files are written whole."""

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from certs.authority import Authority
from certs.files import PRIVATE, CertificateProblem, load_pair, write_file
from certs.leaf import InvalidLeaf, Leaf, is_issued_by

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.open(tmp_path / "authority")


def pair_of(directory: Path, chain: bytes, key: bytes) -> tuple[Path, Path]:
    certificate, private = directory / "cert.pem", directory / "key.pem"
    certificate.write_bytes(chain)
    write_file(private, key, PRIVATE)
    return certificate, private


def certificate_without_names(key: ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([])
    return (
        x509.CertificateBuilder()
        .issuer_name(name)
        .subject_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


def test_a_good_pair_is_a_leaf(authority: Authority, tmp_path: Path) -> None:
    issued = authority.issue(["db.example.org"], NOW)
    assert load_pair(*pair_of(tmp_path, issued.chain_pem, issued.key_pem)) == issued


def test_a_chain_with_an_intermediate_and_addresses_is_a_leaf(tmp_path: Path) -> None:
    middle = trustme.CA().create_child_ca()
    issued = middle.issue_cert("db.example.org", "127.0.0.1")
    chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
    assert len(issued.cert_chain_pems) == 2
    leaf = load_pair(*pair_of(tmp_path, chain, issued.private_key_pem.bytes()))
    assert leaf.hosts == ("db.example.org", "127.0.0.1")
    assert leaf.chain_pem == chain


def test_an_rsa_pair_made_by_openssl_is_a_leaf(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -addext subjectAltName=DNS:x.org -days 5"
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    assert load_pair(certificate, key).hosts == ("x.org",)


def test_a_chain_in_the_wrong_order_is_refused(tmp_path: Path) -> None:
    issued = trustme.CA().create_child_ca().issue_cert("db.example.org")
    chain = b"".join(pem.bytes() for pem in reversed(issued.cert_chain_pems))
    with pytest.raises(CertificateProblem, match="certificate 1 not signed by the next; put the leaf first"):
        load_pair(*pair_of(tmp_path, chain, issued.private_key_pem.bytes()))


def test_a_key_of_another_certificate_is_refused(authority: Authority, tmp_path: Path) -> None:
    chain, key = authority.issue(["a.b"], NOW).chain_pem, authority.issue(["a.b"], NOW).key_pem
    with pytest.raises(CertificateProblem, match=r"cert\.pem \(key .*key\.pem\) does not fit its key"):
        load_pair(*pair_of(tmp_path, chain, key))


@pytest.mark.parametrize(
    ("chain", "key", "problem"),
    [
        (b"", b"", "holds no readable certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"", "holds no readable certificate"),
        (None, b"", "has no readable key"),
        (None, b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "has no readable key"),
    ],
)
def test_garbage_is_refused(
    authority: Authority, tmp_path: Path, chain: bytes | None, key: bytes, problem: str
) -> None:
    chain = authority.issue(["a.b"], NOW).chain_pem if chain is None else chain
    with pytest.raises(CertificateProblem, match=problem):
        load_pair(*pair_of(tmp_path, chain, key))


def test_a_key_with_a_passphrase_is_refused_with_the_cure(authority: Authority, tmp_path: Path) -> None:
    issued = authority.issue(["a.b"], NOW)
    locked = serialization.load_pem_private_key(issued.key_pem, None).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )
    with pytest.raises(CertificateProblem, match="passphrase; take it off: openssl pkey"):
        load_pair(*pair_of(tmp_path, issued.chain_pem, locked))


def test_a_certificate_without_names_is_refused() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with pytest.raises(InvalidLeaf, match="names no host"):
        Leaf.from_pem(certificate_without_names(key), pem)


@pytest.mark.parametrize(
    ("begins", "lives", "problem"),
    [
        (timedelta(days=-2), timedelta(days=1), r"expired at \d{4}-.* UTC; renew it"),
        (timedelta(days=2), timedelta(days=9), r"is not valid before .*mend the clock"),
    ],
)
def test_a_certificate_out_of_its_time_is_refused(
    authority: Authority, tmp_path: Path, begins: timedelta, lives: timedelta, problem: str
) -> None:
    issued = authority.issue(["a.b"], NOW + begins, lives)
    with pytest.raises(CertificateProblem, match=problem):
        load_pair(*pair_of(tmp_path, issued.chain_pem, issued.key_pem))


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o602])
def test_a_key_open_to_others_is_refused(authority: Authority, tmp_path: Path, mode: int) -> None:
    issued = authority.issue(["a.b"], NOW)
    certificate, key = pair_of(tmp_path, issued.chain_pem, issued.key_pem)
    key.chmod(mode)
    with pytest.raises(CertificateProblem, match=f"run: chmod 600 {key}"):
        load_pair(certificate, key)


def test_missing_files_are_named(authority: Authority, tmp_path: Path) -> None:
    issued = authority.issue(["a.b"], NOW)
    certificate, key = pair_of(tmp_path, issued.chain_pem, issued.key_pem)
    with pytest.raises(CertificateProblem, match=r"cannot read .*/none\.key: No such file or directory; check"):
        load_pair(certificate, tmp_path / "none.key")
    with pytest.raises(CertificateProblem, match=r"cannot read .*/none\.pem: No such file or directory; check"):
        load_pair(tmp_path / "none.pem", key)


def test_is_issued_by_takes_any_certificate(authority: Authority, tmp_path: Path) -> None:
    other = Authority.open(tmp_path / "other")
    leaf = x509.load_pem_x509_certificate(authority.issue(["a.b"], NOW).chain_pem)
    assert is_issued_by(leaf, authority.certificate)
    assert not is_issued_by(leaf, other.certificate)
    assert not is_issued_by(authority.certificate, leaf)


def test_a_file_is_replaced_whole_and_private_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"old and open")
    path.chmod(0o644)
    write_file(path, b"new", PRIVATE)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == PRIVATE
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "taken"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write_file(path, b"new", PRIVATE)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a file of root's")
@pytest.mark.parametrize(
    ("mode", "taken"), [(0o440, True), (0o640, True), (0o600, True), (0o660, False), (0o444, False)]
)
def test_a_key_of_root_s_may_be_lent_to_a_group(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, taken: bool
) -> None:
    """As Kubernetes mounts Secrets for who is not root."""
    issued = authority.issue(["a.b"], NOW)
    certificate, key = pair_of(tmp_path, issued.chain_pem, issued.key_pem)
    key.chmod(mode)
    monkeypatch.setattr("os.geteuid", lambda: 10001)
    if taken:
        assert load_pair(certificate, key) == issued
    else:
        with pytest.raises(CertificateProblem, match="open to others"):
            load_pair(certificate, key)
