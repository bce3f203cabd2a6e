"""LeafStore: the right leaf for a host name, from memory, from disk, or newly signed.

The directory is only a cache: whatever in it is damaged, foreign, ended or open to others is replaced. Several
processes may share it; each takes over what another has renewed.
"""

import hashlib
import logging
from datetime import datetime
from pathlib import Path

from cryptography import x509

from certs.authority import Authority
from certs.files import PRIVATE, CertificateProblem, read_private, write_file
from certs.leaf import InvalidLeaf, Leaf, is_issued_by

log = logging.getLogger(__name__)


class LeafStore:
    """Leaves by host name: one wildcard leaf for `domain`, and one of its own for each other host asked for.

    Memory grows with the hosts asked for: ask for hosts that have a route, not for whatever a client names.
    """

    def __init__(self, authority: Authority, directory: Path, domain: str) -> None:
        self._authority = authority
        self._directory = directory
        self._domain = domain
        self._leaves: dict[tuple[str, ...], Leaf] = {}

    def get(self, host: str, now: datetime) -> Leaf:
        """Give the leaf to present for `host`, or for the wildcard route `*.suffix`. Raises CertificateProblem."""
        hosts = self._hosts(host)
        leaf = self._leaves.get(hosts)
        return leaf if leaf is not None and self._is_fresh(leaf, now) else self._renew(hosts, now)

    def due(self, now: datetime) -> list[Leaf]:
        """Renew the leaves in use that need it, and give the new ones. Raises CertificateProblem."""
        ageing = [hosts for hosts, leaf in self._leaves.items() if not self._is_fresh(leaf, now)]
        return [self._renew(hosts, now) for hosts in ageing]

    def _hosts(self, host: str) -> tuple[str, ...]:
        # Clients refuse a wildcard right below a top-level name (RFC 6125, 7.2; OpenSSL wants two dots).
        if "." in self._domain and (host == self._domain or host.partition(".")[2] == self._domain):
            return (f"*.{self._domain}", self._domain)
        return (host,)

    def _is_fresh(self, leaf: Leaf, now: datetime) -> bool:
        if not leaf.not_before <= now < leaf.not_after:
            return False
        life, left = leaf.not_after - leaf.not_before, leaf.not_after - now
        return left * 3 >= life or leaf.not_after >= self._authority.not_after

    def _renew(self, hosts: tuple[str, ...], now: datetime) -> Leaf:
        leaf = self._read(hosts)
        if leaf is None or not self._is_fresh(leaf, now):
            leaf = self._authority.issue(hosts, now)
            self._write(leaf)
        self._leaves[hosts] = leaf
        return leaf

    def _path(self, hosts: tuple[str, ...]) -> Path:
        # A host name may be as long as a file name, so files are named by its digest.
        return self._directory / f"{hashlib.sha256(hosts[0].encode()).hexdigest()[:32]}.pem"

    def _read(self, hosts: tuple[str, ...]) -> Leaf | None:
        path = self._path(hosts)
        if not path.exists():
            return None
        try:
            key_pem, begin, rest = read_private(path).partition(b"-----BEGIN CERTIFICATE")
            leaf = Leaf.from_pem(begin + rest, key_pem)
        except (CertificateProblem, InvalidLeaf) as error:
            log.warning("leaf cache: replacing %s: %s", path, error)
            return None
        return leaf if leaf.hosts == hosts and self._is_ours(leaf) else None

    def _is_ours(self, leaf: Leaf) -> bool:
        return is_issued_by(x509.load_pem_x509_certificate(leaf.chain_pem), self._authority.certificate)

    def _write(self, leaf: Leaf) -> None:
        path = self._path(leaf.hosts)
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(path, leaf.key_pem + leaf.chain_pem, PRIVATE)
        except OSError as error:
            log.warning("leaf cache: cannot write %s, serving from memory: %s", path, error.strerror)
