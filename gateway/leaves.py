"""Where a supervisor's certificates come from: a pair of files, or the local authority."""

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from certs.files import CertificateProblem, load_pair
from certs.leaf import Leaf
from certs.store import LeafStore

log = logging.getLogger("podgate.certificates")


class Leaves(Protocol):
    """Certificates for host names."""

    def default(self) -> Leaf:
        """Give the one for clients that name no host. Raises CertificateProblem."""

    def get(self, host: str) -> Leaf | None:
        """Give the one for a route's host, if it can be had."""

    def renewed(self) -> list[Leaf]:
        """Give those that have changed since the last call."""


class FileLeaves:
    """One certificate, kept in two files by somebody else; a new one is taken over when both files fit."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read the files. Raises CertificateProblem."""
        self._paths = (certificate, key)
        self._seen = self._signature()
        self._leaf = load_pair(certificate, key)

    def default(self) -> Leaf:
        """Give the certificate."""
        return self._leaf

    def get(self, host: str) -> Leaf | None:  # one for all: the client judges
        """Give the certificate."""
        return self._leaf

    def renewed(self) -> list[Leaf]:
        """Give the new certificate once the files have changed and are good; until then the old one is kept."""
        signature = self._signature()
        if signature == self._seen:
            return []
        self._seen = signature
        try:
            self._leaf = load_pair(*self._paths)
        except CertificateProblem as error:
            log.error("certificate: %s; the one before stays in use", error)
            return []
        log.info("certificate: a new one for %s is in use", ", ".join(self._leaf.hosts))
        return [self._leaf]

    def _signature(self) -> tuple[tuple[int, int, int], ...] | None:
        try:
            found = [path.stat() for path in self._paths]  # follows links, as certbot has them
        except OSError:
            return None
        return tuple((status.st_ino, status.st_mtime_ns, status.st_size) for status in found)


class SignedLeaves:
    """Certificates of the local authority, signed when a host is first asked for."""

    def __init__(self, store: LeafStore, domain: str) -> None:
        """Serve `domain` and the names below it by one wildcard certificate."""
        self._store = store
        self._domain = domain

    def default(self) -> Leaf:
        """Give the certificate of the domain."""
        return self._store.get(self._domain, datetime.now(UTC))

    def get(self, host: str) -> Leaf | None:
        """Give the certificate of a host, signing one if need be."""
        try:
            return self._store.get(host, datetime.now(UTC))
        except CertificateProblem as error:
            log.error("certificate for %s: %s", host, error)
            return None

    def renewed(self) -> list[Leaf]:
        """Renew what is due."""
        try:
            return self._store.due(datetime.now(UTC))
        except CertificateProblem as error:
            log.error("renewing certificates: %s", error)
            return []
