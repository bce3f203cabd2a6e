"""Leaf: what a TLS server presents, a certificate chain with the private key of its first certificate."""

import itertools
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization


class InvalidLeaf(ValueError):
    """Bytes that do not make a servable leaf; the text says what is wrong, in words that follow a file's name."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate chain in PEM, the leaf first, with its key; `hosts` are the names it is good for."""

    hosts: tuple[str, ...]
    chain_pem: bytes
    key_pem: bytes = field(repr=False)
    not_before: datetime
    not_after: datetime

    @classmethod
    def from_pem(cls, chain_pem: bytes, key_pem: bytes) -> "Leaf":
        """Read and check a chain and its key: they fit, the chain is in order, names are there. Raises InvalidLeaf."""
        chain = _chain(chain_pem)
        _check_key(chain[0], key_pem)
        return cls(_hosts(chain[0]), chain_pem, key_pem, chain[0].not_valid_before_utc, chain[0].not_valid_after_utc)


def is_issued_by(issued: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether `issuer` signed `issued`."""
    try:
        issued.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _chain(pem: bytes) -> list[x509.Certificate]:
    try:
        chain = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise InvalidLeaf("holds no readable certificate; expected PEM, the leaf's first") from error
    for position, (issued, issuer) in enumerate(itertools.pairwise(chain), 1):
        if not is_issued_by(issued, issuer):
            raise InvalidLeaf(f"has certificate {position} not signed by the next; put the leaf first, then its issuer")
    return chain


def _check_key(certificate: x509.Certificate, pem: bytes) -> None:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise InvalidLeaf("has a key with a passphrase; take it off: openssl pkey -in KEY -out NEW_KEY") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidLeaf("has no readable key; expected PEM (PKCS 8, PKCS 1 or SEC 1)") from error
    if key.public_key() != certificate.public_key():
        raise InvalidLeaf("does not fit its key; give the key that the certificate was made for")


def _hosts(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound) as error:
        reason = "names no host (no subjectAltName), so no client would take it; make it with -addext subjectAltName"
        raise InvalidLeaf(reason) from error
    return (
        *names.get_values_for_type(x509.DNSName),
        *(str(address) for address in names.get_values_for_type(x509.IPAddress)),
    )
