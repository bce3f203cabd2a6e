"""Which controller a gateway follows, and as whom: what `podgate gateway` was told of it, checked and put together."""

import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

from controller.settings import VERSION
from gateway.enrolment import Enrolment
from gateway.following import Controller, ControllerFeed, Who
from gateway.listening import parse_listen
from podgate.cli.failure import Failure


@dataclass(frozen=True, slots=True)
class Follow:
    """A controller, which may be elsewhere."""

    url: str = ""  # empty: the controller of the same home
    address: str = ""  # HOST:PORT to connect to for that; empty: where DNS leads
    token: Path | None = None
    ca: Path | None = None  # None: the home's own authority, if there is one, and the machine's
    name: str = ""  # empty: made up, another with each start
    client_ca: Path | None = None  # whose client certificates are asked for; None: the home's own authority's
    enrolment: Enrolment | None = None  # of certificates that the controller keeps renewed

    def check(self, routes: Path | None) -> None:
        """See that what was told goes together. Raises Failure."""
        told = (self.url, self.address, self.token, self.ca)
        if routes is not None and any((*told, self.name)):
            raise Failure(
                "--routes is instead of a controller; leave out --controller, --controller-address, --controller-ca, "
                "--token-file and --name"
            )
        if not self.url and any(told):
            raise Failure(
                "--controller-address, --controller-ca and --token-file are for a controller elsewhere; "
                "give --controller https://api.DOMAIN"
            )
        if self.url and self.token is None:
            raise Failure(
                "--controller needs --token-file FILE, with what podgate gateways token create NAME prints where the "
                "controller runs"
            )
        if self.address.startswith(":") or self.address.endswith(":0"):
            raise Failure(f"--controller-address {self.address}: expected HOST:PORT of where the controller is reached")
        if self.client_ca is not None and not self.client_ca.is_file():
            cure = "copy ca.pem of the controller's home, which podgate ca path names there"
            raise Failure(f"there is no file {self.client_ca}; {cure}")

    def feed(self, home: Path, workers: int, number: int) -> ControllerFeed:
        """Make the source of routes, and of certificates for the enrolment. Raises ValueError and TurnedAway."""
        who = Who(self.name or f"{socket.gethostname()}-{secrets.token_hex(4)}", workers, number, VERSION)
        if not self.url or self.token is None:
            own = Controller("http://controller", home / "gateway.token", home / "run" / "api.sock")
            return ControllerFeed(own, who)
        authority = home / "authority" / "ca.pem"
        ca = self.ca or (authority if authority.exists() else None)
        address = parse_listen(self.address) if self.address else None
        elsewhere = Controller(self.url.rstrip("/"), self.token, ca=ca, address=address)
        elsewhere.check()
        return ControllerFeed(elsewhere, who, self.enrolment)


async def enrol(feed: ControllerFeed, enrolment: Enrolment) -> None:
    """See that a gateway elsewhere has certificates to start with. Raises CertificateProblem."""
    try:
        await enrolment.begin(feed.sign)
    finally:
        await feed.aclose()


OWN = Follow()
