"""Client certificates: short-lived, of the local authority, naming one user.

The name stands in a URI of subjectAltName, `podgate:user:NAME` (RFC 5280, section 4.2.1.6), and the only thing such a
certificate is good for is being a client.
"""

from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

PREFIX = "podgate:user:"
LARGEST_REQUEST = 16 * 1024  # bytes of a signing request
SMALLEST_RSA, SMALLEST_CURVE = 2048, 256  # bits


class InvalidRequest(ValueError):
    """A signing request that cannot be granted; the text says why."""


class ClientName(NamedTuple):
    """Who a client certificate is of, and when it was issued; seconds since 1970."""

    user: str
    issued: float


def name_of(user: str) -> x509.SubjectAlternativeName:
    """Make the extension that names a user."""
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"{PREFIX}{user}")])


def read_client(certificate: x509.Certificate, backdated: float) -> ClientName | None:
    """Tell whom a verified certificate names, if it is of this kind; it was issued `backdated` seconds after it began
    to be valid.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(names) != 1 or len(uris) != 1 or not uris[0].startswith(PREFIX):
        return None
    return ClientName(uris[0][len(PREFIX) :], certificate.not_valid_before_utc.timestamp() + backdated)


def read_request(pem: bytes) -> x509.CertificateSigningRequest:
    """Read a signing request (RFC 2986); only its key will be used. Raises InvalidRequest."""
    if len(pem) > LARGEST_REQUEST:
        raise InvalidRequest(f"the request is longer than {LARGEST_REQUEST} bytes")
    try:
        request = x509.load_pem_x509_csr(pem)
        sound = request.is_signature_valid
        key = request.public_key()
    except (ValueError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise InvalidRequest("expected a certificate signing request in PEM") from error
    strong = (
        isinstance(key, ed25519.Ed25519PublicKey)
        or (isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= SMALLEST_CURVE)
        or (isinstance(key, rsa.RSAPublicKey) and key.key_size >= SMALLEST_RSA)
    )
    if not sound or not strong:
        raise InvalidRequest(
            "the request's key must be EC of at least 256 bits, Ed25519, or RSA of at least 2048 bits, "
            "and have signed the request"
        )
    return request
