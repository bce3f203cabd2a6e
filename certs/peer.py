"""What makes a certificate that of a gateway: the URI `podgate:gateway` in its subjectAltName (RFC 5280, 4.2.1.6).

Replicas of one gateway show each other such certificates. Those of users and of hosts, which the same authority signs,
do not have it.
"""

from cryptography import x509

GATEWAY = "podgate:gateway"


def is_gateway(certificate: x509.Certificate) -> bool:
    """Tell whether a verified certificate names a gateway."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    return GATEWAY in names.get_values_for_type(x509.UniformResourceIdentifier)
