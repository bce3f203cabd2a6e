"""What a peer is, and what it is asked to do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bench.missing import Missing, find_program

HOST = "web.pods.localhost"  # the name on the certificate, and the TLS server name of every client


class Mode(StrEnum):
    """What passes through the proxy after TLS."""

    TCP = "tcp"
    HTTP = "http"
    POSTGRES = "postgres"
    BOLT = "bolt"


@dataclass(frozen=True, slots=True)
class Job:
    """One round's work for a peer: listen on `port` of 127.0.0.1, end TLS, pass on to `upstream` of the same host."""

    directory: Path
    port: int
    upstream: int
    mode: Mode = Mode.TCP
    resumption: bool = False
    workers: int = 1  # Podgate's; its peers have one, always

    @property
    def certificate(self) -> Path:
        """PEM, the leaf first."""
        return self.directory / "certificate.pem"

    @property
    def key(self) -> Path:
        """PEM."""
        return self.directory / "key.pem"

    @property
    def both(self) -> Path:
        """Key and certificate in one PEM file, as HAProxy and hitch want them."""
        return self.directory / "both.pem"


@dataclass(frozen=True, slots=True)
class Peer:
    """A program to compare with: what it is called, where it comes from, and how it is told what to do."""

    name: str  # on the command line and in results
    label: str  # for people
    program: str
    advice: str  # how to get it
    modes: frozenset[Mode]
    files: Callable[[Job], Mapping[str, str]]  # its configuration: file names and what is in them
    arguments: Callable[[Job], Sequence[str]]
    version: Callable[[str], str]  # of the program at a path
    environment: Mapping[str, str] | None = None
    direct_tls: bool = False  # TLS from the first byte, where the protocol begins in plaintext elsewhere
    user: str | None = None  # it refuses to run as root

    def command(self, job: Job) -> list[str]:
        """Give the command line for a job. Raises Missing."""
        return [self.find(), *self.arguments(job)]

    def find(self) -> str:
        """Give the path of its program. Raises Missing."""
        found = find_program(self.program)
        if found is None:
            raise Missing(self.label, self.advice)
        return found
