"""The local authority: a certificate that clients trust once, and the key that signs every leaf.

It is two files, `ca.pem` and `ca.key`, made at first use under a lock, so that processes that start together agree on
one. The key is written first: a key alone is an authority half made, and finished with that same key. Any other
damage is an error for people to decide on, for a new authority would have to be trusted anew by every client.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.client import name_of, read_request
from certs.files import PRIVATE, PUBLIC, CertificateProblem, read_private, read_public, write_file
from certs.leaf import Leaf
from certs.peer import GATEWAY

AUTHORITY_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(days=90)
PEER_LIFETIME = timedelta(days=1)  # kept in memory only, and made anew with each start
ELSEWHERE_LIFETIME = timedelta(days=7)  # of what is signed for a gateway with a home of its own: it asks again in time
CLOCK_SKEW = timedelta(hours=1)  # by how much a client's clock may be behind ours


@dataclass(frozen=True, slots=True)
class Authority:
    """The local authority, read and checked; `path` is the certificate that clients are to trust."""

    path: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def open(cls, directory: Path) -> "Authority":
        """Read the authority in `directory`, made there if none was yet. Raises CertificateProblem."""
        path, key_path = directory / "ca.pem", directory / "ca.key"
        if not path.exists():
            try:
                directory.mkdir(parents=True, exist_ok=True)
                with _locked(directory):
                    _make(path, key_path)
            except OSError as error:
                problem = f"cannot make a certificate authority in {directory}: {error.strerror}"
                raise CertificateProblem(f"{problem}; make the directory writable or choose another home") from error
        return cls(path, *_read(path, key_path))

    @property
    def not_after(self) -> datetime:
        """When the authority ends, and every leaf with it."""
        return self.certificate.not_valid_after_utc

    def issue(self, hosts: Sequence[str], now: datetime, lifetime: timedelta = LEAF_LIFETIME) -> Leaf:
        """Make a new key and sign its certificate for `hosts`, names or `*.` before one. Raises CertificateProblem."""
        names = [x509.DNSName(host) for host in hosts]
        return self._issue("Podgate pod", names, [ExtendedKeyUsageOID.SERVER_AUTH], now, lifetime)

    def issue_peer(self, now: datetime, lifetime: timedelta = PEER_LIFETIME) -> Leaf:
        """Make the certificate by which a gateway shows other replicas what it is. Raises CertificateProblem."""
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        return self._issue("Podgate gateway", [x509.UniformResourceIdentifier(GATEWAY)], usages, now, lifetime)

    def _issue(
        self,
        what: str,
        names: Sequence[x509.GeneralName],
        usages: Sequence[x509.ObjectIdentifier],
        now: datetime,
        lifetime: timedelta,
    ) -> Leaf:
        if now >= self.not_after:
            raise CertificateProblem(_advice(self.path, f"expired at {self.not_after:%Y-%m-%d %H:%M} UTC"))
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(key, self.certificate.subject, _organisation(what))
            .not_valid_before(now - CLOCK_SKEW)
            .not_valid_after(min(now + lifetime, self.not_after))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return Leaf.from_pem(_pem(certificate), _key_pem(key))

    def sign_client(self, csr_pem: bytes, user: str, hours: float, now: datetime | None = None) -> bytes:
        """Sign the certificate by which a client is `user` for some hours, and give it in PEM; of the request only the
        key is used. Raises InvalidRequest and CertificateProblem.
        """
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user)])
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        return self._sign(csr_pem, subject, name_of(user), usages, timedelta(hours=hours), now)

    def sign_hosts(self, csr_pem: bytes, hosts: Sequence[str], now: datetime | None = None) -> bytes:
        """The same for a gateway elsewhere that is to serve `hosts`, whose key stays with it."""
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        usages = [ExtendedKeyUsageOID.SERVER_AUTH]
        return self._sign(csr_pem, _organisation("Podgate pod"), names, usages, ELSEWHERE_LIFETIME, now)

    def sign_peer(self, csr_pem: bytes, now: datetime | None = None) -> bytes:
        """The same for what a gateway elsewhere shows other replicas."""
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(GATEWAY)])
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        return self._sign(csr_pem, _organisation("Podgate gateway"), names, usages, ELSEWHERE_LIFETIME, now)

    def _sign(
        self,
        csr_pem: bytes,
        subject: x509.Name,
        names: x509.SubjectAlternativeName,
        usages: Sequence[x509.ObjectIdentifier],
        lifetime: timedelta,
        now: datetime | None,
    ) -> bytes:
        request = read_request(csr_pem)
        now = now or datetime.now(UTC)
        if now >= self.not_after:
            raise CertificateProblem(_advice(self.path, f"expired at {self.not_after:%Y-%m-%d %H:%M} UTC"))
        return _pem(
            x509.CertificateBuilder()
            .issuer_name(self.certificate.subject)
            .subject_name(subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_SKEW)
            .not_valid_after(min(now + lifetime, self.not_after))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(names, critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )


def _make(path: Path, key_path: Path) -> None:
    """Make what is missing, called under the lock: another process may have done it all meanwhile."""
    if path.exists():
        return
    if key_path.exists():
        key = _read_key(key_path)
    else:
        key = ec.generate_private_key(ec.SECP256R1())
        write_file(key_path, _key_pem(key), PRIVATE)
    write_file(path, _pem(_self_signed(key, datetime.now(UTC))), PUBLIC)


def _self_signed(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    # Named after its key: two authorities with one name and different keys confuse NSS, and with it Firefox.
    digest = x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest.hex()
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Podgate"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Podgate local authority {digest[:8]}"),
        ]
    )
    return (
        _builder(key, name, name)
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _read(path: Path, key_path: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        certificate = x509.load_pem_x509_certificate(read_public(path))
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (ValueError, x509.ExtensionNotFound) as error:
        raise CertificateProblem(_advice(path, "does not hold an authority's certificate")) from error
    if not key_path.exists():
        raise CertificateProblem(_advice(key_path, "is missing"))
    key = _read_key(key_path)
    if not constraints.ca or key.public_key() != certificate.public_key():
        raise CertificateProblem(_advice(path, f"is not the certificate of {key_path.name}"))
    return certificate, key


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    pem = read_private(path)
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise CertificateProblem(_advice(path, "does not hold a readable key")) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateProblem(_advice(path, "does not hold an elliptic curve key"))
    return key


def _advice(path: Path, problem: str) -> str:
    cure = f"restore it from a backup, or move {path.parent} away to get a new authority, which clients must then trust"
    return f"the certificate authority's {path} {problem}; {cure}"


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _builder(key: ec.EllipticCurvePrivateKey, issuer: x509.Name, subject: x509.Name) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _organisation(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)])


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
