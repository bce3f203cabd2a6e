"""How replicas of one gateway know each other: mutual TLS 1.3, in which both sides show a certificate that names a
gateway (`certs.peer`). It comes from the local authority of the home, or from files where replicas share none: a
controller's, or what people brought.
"""

import functools
import logging
import os
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Protocol

import trio
from cryptography import x509

from certs.authority import Authority
from certs.files import CertificateProblem, load_pair, read_public
from certs.leaf import Leaf
from certs.peer import GATEWAY, is_gateway

SETTLED = 2.0  # seconds after a change within which another one may bear the same time: file systems count in ticks

log = logging.getLogger("podgate.peers")

TlsStream = trio.SSLStream[trio.SocketStream]


class NoPeerError(Exception):
    """Somebody else; the text says how that shows."""


class Identity(Protocol):
    """By what a gateway is known to its peers, and they to it."""

    def get(self, now: datetime) -> tuple[Leaf, str]:
        """Give the certificate to present, and in PEM the authorities of peers. Raises CertificateProblem."""


class LocalIdentity:
    """Short-lived certificates of the local authority, kept in memory."""

    def __init__(self, authority: Authority) -> None:
        """Make the first. Raises CertificateProblem."""
        self._authority = authority
        self._pem = read_public(authority.path).decode("ascii", "replace")
        self._leaf = authority.issue_peer(datetime.now(UTC))

    def get(self, now: datetime) -> tuple[Leaf, str]:
        """Give the certificate, a new one in the last third of its life. Raises CertificateProblem."""
        leaf = self._leaf
        if not leaf.not_before <= now < leaf.not_after - (leaf.not_after - leaf.not_before) / 3:
            self._leaf = self._authority.issue_peer(now)
        return self._leaf, self._pem


class _State(NamedTuple):
    """What is another after any change of a file, of its mode too."""

    device: int
    inode: int
    size: int
    modified: int  # ns since 1970
    changed: int  # the same, of anything about it; nobody can set it


def _state(status: os.stat_result) -> _State:
    return _State(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class FileIdentity:
    """A certificate and authorities in files, for replicas that share no home; new ones are used once they are good.

    Strangers ask for it, too, so files that were good are read again only if they have changed, or the certificate has
    expired.
    """

    def __init__(self, certificate: Path, key: Path, ca: Path) -> None:
        """Read the files. Raises CertificateProblem."""
        self._paths = (certificate, key, ca)
        self._seen: tuple[_State, ...] = ()  # when the good ones were read; nothing if they had only just changed
        self._good = self._read()

    def get(self, now: datetime) -> tuple[Leaf, str]:
        """Give what is in the files, or what was there when they were last good."""
        found = self._look()
        leaf, _ = self._good
        if found and found == self._seen and leaf.not_before <= now < leaf.not_after:
            return self._good
        try:
            self._good = self._read()
            is_settled = all(now.timestamp() - state.changed / 1e9 > SETTLED for state in found)
            self._seen = found if is_settled else ()
        except CertificateProblem as error:
            log.error("peers: %s; the certificate before stays in use", error)
        return self._good

    def _look(self) -> tuple[_State, ...]:
        """Give what tells of a change without reading; nothing if a file cannot be looked at."""
        try:
            return tuple(_state(path.stat()) for path in self._paths)
        except OSError:
            return ()

    def _read(self) -> tuple[Leaf, str]:
        certificate, key, ca = self._paths
        leaf, authorities = load_pair(certificate, key), read_public(ca).decode("ascii", "replace")
        if not is_gateway(x509.load_pem_x509_certificate(leaf.chain_pem)):
            cure = f"make one with -addext subjectAltName=URI:{GATEWAY}"
            raise CertificateProblem(f"{certificate} does not name a gateway, and peers would not take it; {cure}")
        try:
            _context(ssl.PROTOCOL_TLS_SERVER, leaf, authorities)
        except (ssl.SSLError, ValueError) as error:
            raise CertificateProblem(f"{ca} holds no readable authority; expected PEM") from error
        return leaf, authorities


class SignedIdentity:
    """Files that a controller signs for a gateway (`gateway.enrolment`), which may have none yet when it starts."""

    def __init__(self, certificate: Path, key: Path, ca: Path) -> None:
        """Read nothing so far."""
        self._paths = (certificate, key, ca)
        self._files: FileIdentity | None = None

    def get(self, now: datetime) -> tuple[Leaf, str]:
        """Give what is in the files. Raises CertificateProblem as long as there never was anything good."""
        if self._files is None:
            if not self._paths[0].exists():  # it is written when all others are there
                raise CertificateProblem("the controller has not signed a certificate for this gateway yet")
            self._files = FileIdentity(*self._paths)
        return self._files.get(now)


async def greet(stream: trio.SocketStream, identity: Identity, *, as_server: bool) -> TlsStream:
    """Shake hands and see who is there, before anything is said. Raises NoPeerError, CertificateProblem, and
    trio.BrokenResourceError where TLS itself says no.
    """
    leaf, authorities = identity.get(datetime.now(UTC))
    context = _context(ssl.PROTOCOL_TLS_SERVER if as_server else ssl.PROTOCOL_TLS_CLIENT, leaf, authorities)
    tls = trio.SSLStream(stream, context, server_side=as_server)
    await tls.do_handshake()
    presented = tls.getpeercert(binary_form=True)
    try:
        is_peer = presented is not None and is_gateway(x509.load_der_x509_certificate(presented))
    except ValueError as error:  # OpenSSL could read it all the same
        raise NoPeerError("its certificate cannot be read") from error
    if not is_peer:
        raise NoPeerError("its certificate does not name a gateway")
    return tls


@functools.lru_cache(4)
def _context(protocol: int, leaf: Leaf, authorities: str) -> ssl.SSLContext:
    """Make a context that presents `leaf` and takes no other side without a certificate of `authorities`. Which host
    it is for does not matter: any of our gateways is as good as the other. Raises ssl.SSLError and ValueError.
    """
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    if protocol == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0
    context.load_verify_locations(cadata=authorities)
    descriptor = os.memfd_create("leaf", os.MFD_CLOEXEC)  # the ssl module takes files only, and no key is to be in one
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(leaf.key_pem + leaf.chain_pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context
