"""Certificates for a gateway with a home of its own: the key is made here and stays here, its controller signs for it.

    pods.key       made once
    pods.pem       by which pods' hosts are served: a week, asked for anew in its last third
    peer.pem       of the same key: by which other replicas know this one; of use also where people brought a pair of
                   their own for the hosts
    ca.pem         the authority that signed both, which also vouches for clients and for peers

`pods.pem` is written last, so when it is good all of it is. Whoever uses the files sees by themselves that they change.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from certs.files import PRIVATE, PUBLIC, CertificateProblem, load_pair, read_private, write_file
from certs.leaf import InvalidLeaf, Leaf

log = logging.getLogger("podgate.certificates")

LOOK = 600.0  # seconds between two looks at whether it is time
SOON = 10.0  # the same while there are none that are good
LARGEST = 64 * 1024  # characters of anything a controller signs


@dataclass(frozen=True, slots=True)
class Signed:
    """What a controller gives for a request, in PEM."""

    certificate: str
    peer: str
    ca: str


Sign = Callable[[str], Awaitable[Signed]]  # of a request in PEM; raises OSError and httpx.HTTPError


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The files."""

    directory: Path

    @property
    def certificate(self) -> Path:
        """By which hosts are served."""
        return self.directory / "pods.pem"

    @property
    def key(self) -> Path:
        """The key of both certificates."""
        return self.directory / "pods.key"

    @property
    def peer(self) -> Path:
        """By which replicas know this one."""
        return self.directory / "peer.pem"

    @property
    def ca(self) -> Path:
        """Who signed both."""
        return self.directory / "ca.pem"

    async def begin(self, sign: Sign) -> None:
        """See that there are certificates to start with. Raises CertificateProblem."""
        try:
            await self.renew(sign)
        except (OSError, httpx.HTTPError) as error:
            if self._leaf() is None:
                raise CertificateProblem(
                    f"there is no certificate yet, and the controller signs none: {reason_of(error)}; "
                    "start again when it does, or bring your own by --certificate and --key"
                ) from error
            log.warning(
                "certificates: the controller signs none now: %s; those of before stay in use", reason_of(error)
            )

    async def keep(self, sign: Sign) -> None:
        """Have them signed if there are none, and renew them in time, until cancelled."""
        while True:
            try:
                await self.renew(sign)
            except (OSError, httpx.HTTPError, CertificateProblem) as error:
                log.error("certificates: %s: %s", "not renewed" if self._leaf() else "none yet", reason_of(error))
            await trio.sleep(LOOK if self._leaf() else SOON)

    async def renew(self, sign: Sign, now: datetime | None = None) -> None:
        """Ask for new certificates if it is time. Raises CertificateProblem and what `sign` raises."""
        now = now or datetime.now(UTC)
        leaf = self._leaf()
        if leaf is not None and (leaf.not_after - now) * 3 > leaf.not_after - leaf.not_before:
            return
        key = self._read_key()
        signed = await sign(_request(key))
        key_pem = _pem_of(key)
        try:
            if max(map(len, (signed.certificate, signed.peer, signed.ca))) > LARGEST:
                raise InvalidLeaf(f"is longer than {LARGEST} characters")
            Leaf.from_pem(signed.certificate.encode(), key_pem)
            Leaf.from_pem(signed.peer.encode(), key_pem)
            x509.load_pem_x509_certificate(signed.ca.encode())
        except ValueError as error:
            raise CertificateProblem(f"what the controller signed {error}; it is not taken") from error
        write_file(self.ca, signed.ca.encode(), PUBLIC)
        write_file(self.peer, signed.peer.encode(), PUBLIC)
        write_file(self.certificate, signed.certificate.encode(), PUBLIC)
        log.info("certificates: signed by the controller")

    def _leaf(self) -> Leaf | None:
        """Give what is in the files, if that is good now."""
        try:
            return load_pair(self.certificate, self.key) if self.peer.exists() and self.ca.exists() else None
        except CertificateProblem:
            return None

    def _read_key(self) -> ec.EllipticCurvePrivateKey:
        """Read the key, or make it. Raises CertificateProblem."""
        if not self.key.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            try:
                self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_file(self.key, _pem_of(key), PRIVATE)
            except OSError as error:
                cure = "make it writable, or choose another --home"
                raise CertificateProblem(f"cannot keep a key in {self.directory}: {error.strerror}; {cure}") from error
        try:
            found = serialization.load_pem_private_key(read_private(self.key), password=None)
        except (ValueError, TypeError) as error:
            raise CertificateProblem(f"{self.key} holds no readable key; remove it to have a new one made") from error
        if not isinstance(found, ec.EllipticCurvePrivateKey):
            raise CertificateProblem(f"{self.key} holds another kind of key; remove it to have a new one made")
        return found


def _request(key: ec.EllipticCurvePrivateKey) -> str:
    """Make a signing request (RFC 2986). It names nothing: the controller knows what to sign."""
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def reason_of(error: BaseException) -> str:
    """Give the text of an error in a line, or of what is behind it: httpx says nothing of why a certificate is refused.

    Who is not trusted is most often a controller with an authority of its own, so that is told what to do about it.
    """
    if isinstance(error, httpx.HTTPStatusError):
        return f"it answered {error.response.status_code}"
    found: BaseException | None = error
    while found is not None and not str(found):
        found = found.__cause__ or found.__context__
    text = str(found) if found is not None else type(error).__name__
    if "unable to get local issuer certificate" in text or "self-signed certificate" in text:
        cure = "give --controller-ca a copy of what podgate ca path names there"
        return f"{text}: nobody trusted here vouches for it; {cure}"
    return text
