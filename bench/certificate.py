"""The one certificate that every peer presents: ECDSA P-256, made for the run."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.peers.peer import HOST, Job
from certs.authority import Authority


@dataclass(frozen=True, slots=True)
class Certificate:
    """Chain and key as PEM."""

    chain: str
    key: str


def make(directory: Path) -> Certificate:
    """Make an authority in `directory` and a certificate of it."""
    leaf = Authority.open(directory).issue((HOST,), datetime.now(UTC))
    return Certificate(leaf.chain_pem.decode(), leaf.key_pem.decode())


def write(certificate: Certificate, job: Job) -> None:
    """Put it where a peer's configuration says it is."""
    job.certificate.write_text(certificate.chain)
    job.key.touch(mode=0o600)
    job.key.write_text(certificate.key)
    job.both.touch(mode=0o600)
    job.both.write_text(certificate.key + certificate.chain)
