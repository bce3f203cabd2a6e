"""Putting Podgate together: what `podgate serve`, `podgate gateway` and `podgate controller` start."""

import hashlib
import logging
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import trio

from certs.authority import Authority
from certs.files import CertificateProblem
from certs.store import LeafStore
from controller.home import HomeProblem, prepare_home
from controller.settings import default_console_host
from gateway.enrolment import Enrolment
from gateway.following import TurnedAway
from gateway.identity import FileIdentity, Identity, LocalIdentity, SignedIdentity
from gateway.leaves import FileLeaves, Leaves, SignedLeaves
from gateway.listening import CannotListen, parse_listen
from gateway.options import Options
from gateway.peers import Peers
from gateway.sources import RoutesFile, Source
from gateway.supervisor import Plan, Supervisor
from podgate.cli.failure import Failure
from podgate.cli.output import talk
from podgate.following import OWN, Follow, enrol
from podgate.supervise import AlreadyRunning, CannotBegin, only_one, run
from router.hostname import normalise


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how a gateway serves."""

    home: Path
    domain: str
    listen: str  # HOST:PORT
    http_listen: str | None
    workers: int
    drain: float  # seconds
    public_port: int | None  # None: the one of `listen`
    certificate: Path | None = None  # with `key`; None: the local authority signs what is needed
    key: Path | None = None
    console_host: str = ""  # empty: derived from the domain
    early_drop: str = ""  # START:RATE:FULL; empty: none
    proxy_from: str = ""  # networks of balancers that say whose connection it is; empty: none
    health: str | None = None  # HOST:PORT
    drain_notice: float = 0.0  # seconds
    runtime: str = "process"  # where pods run
    kubeconfig: Path | None = None  # of `kubernetes`; None: the service account of the Kubernetes pod we run in

    @property
    def console(self) -> str:
        """The host people sign in at; empty: there is none."""
        return self.console_host or default_console_host(self.domain)

    @property
    def port(self) -> int:
        """The port people use."""
        return self.public_port or parse_listen(self.listen)[1]


@dataclass(frozen=True, slots=True)
class Replica:
    """Which of several gateways one is, and how it finds the others."""

    number: int = 0
    peers: tuple[str, ...] = ()  # HOST:PORT of each
    listen: str | None = None  # HOST:PORT where they find this one
    certificate: Path | None = None  # with `key` and `ca`; None: the home's authority does, or the controller's
    key: Path | None = None
    ca: Path | None = None

    @property
    def files(self) -> tuple[Path | None, Path | None, Path | None]:
        """Certificate, key and authority that somebody brought for speaking with peers."""
        return self.certificate, self.key, self.ca


ALONE = Replica()


def serve(place: Place) -> None:
    """Run gateway and controller until told to stop. Raises Failure when that cannot be."""
    with _told():
        place = _prepared(place)
        with only_one(place.home / "serve.lock", "podgate serve"):
            supervisor = _supervisor(place, OWN.feed(place.home, place.workers, 0), _leaves(place))
            trio.run(run, supervisor, _controller_command(place), lambda: _announce(place, supervisor))


def gateway(place: Place, routes: Path | None, replica: Replica = ALONE, follow: Follow = OWN) -> None:
    """Run a gateway fed by a routes file, or else by a controller, which may be elsewhere. Raises Failure."""
    follow.check(routes)
    if routes is not None and not routes.is_file():
        raise Failure(
            f"there is no routes file {routes}; make it, an empty one will do, and it is followed from then on"
        )
    with _told():
        place = _prepared(place)
        place, follow = _enrolled(place, replica, follow)
        source: Source = (
            RoutesFile(routes) if routes is not None else follow.feed(place.home, place.workers, replica.number)
        )
        supervisor = _supervisor(place, source, _leaves(place), routes, replica, follow)
        trio.run(run, supervisor, None, lambda: talk(f"gateway is up on {_addresses(supervisor)}"))


def _enrolled(place: Place, replica: Replica, follow: Follow) -> tuple[Place, Follow]:
    """Have a controller elsewhere sign what nobody brought: here what hosts are served by, without which there is no
    start; what only peers see is signed once it is followed. Raises CertificateProblem, TurnedAway and ValueError.
    """
    is_served = place.certificate is not None
    if not follow.url or (is_served and (replica.listen is None or any(replica.files))):
        return place, follow
    enrolment = Enrolment(place.home / "gateway" / "signed")
    if not is_served:
        trio.run(enrol, follow.feed(place.home, place.workers, replica.number), enrolment)
        place = replace(place, certificate=enrolment.certificate, key=enrolment.key)
        follow = replace(follow, client_ca=follow.client_ca or enrolment.ca)
    return place, replace(follow, enrolment=enrolment)


def controller(place: Place, replica: str = "", *, adopt_home: bool = False) -> None:
    """Become the controller process. Raises Failure."""
    with _told():
        command = [*_controller_command(_prepared(place)), *(["--replica", replica] if replica else [])]
        command += ["--adopt-home"] if adopt_home else []
        os.execv(command[0], command)


def _prepared(place: Place) -> Place:
    """See to what every command needs. Raises Failure, HomeProblem and ValueError."""
    if (place.certificate is None) != (place.key is None):
        raise Failure("--certificate and --key belong together; give both, or neither for the local authority's")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s %(levelname)s {os.getpid()} %(name)s: %(message)s")
    _raise_descriptor_limit()
    prepare_home(place.home)
    parse_listen(place.listen)
    domain, console = normalise(place.domain), place.console_host and normalise(place.console_host)
    return replace(place, domain=domain, console_host=console)


def _leaves(place: Place) -> Leaves:
    if place.certificate is not None and place.key is not None:
        return FileLeaves(place.certificate, place.key)
    directory = place.home / "authority"
    return SignedLeaves(LeafStore(Authority.open(directory), directory / "leaves", place.domain), place.domain)


def _peers(place: Place, replica: Replica, enrolment: Enrolment | None = None) -> Peers | None:
    """Find out how to speak with other replicas, if there are any. Raises Failure, CertificateProblem, ValueError."""
    if not replica.peers and replica.listen is None:
        if any(replica.files):
            raise Failure(
                "--peer-certificate, --peer-key and --peer-ca are for replicas; give --peer and --peer-listen"
            )
        return None
    if not replica.peers or replica.listen is None:
        raise Failure(
            "--peer and --peer-listen belong together: a replica asks the others and is asked by them; "
            "give --peer HOST:PORT for each of the others, and --peer-listen HOST:PORT for this one"
        )
    others = tuple(parse_listen(peer) for peer in replica.peers)
    return Peers(parse_listen(replica.listen), others, _identity(place, replica, enrolment))


def _identity(place: Place, replica: Replica, enrolment: Enrolment | None) -> Identity:
    certificate, key, ca = replica.files
    if certificate is not None and key is not None and ca is not None:
        return FileIdentity(certificate, key, ca)
    if any(replica.files):
        raise Failure(
            "--peer-certificate, --peer-key and --peer-ca belong together; give all three, or none of them: for "
            "replicas that share a home its local authority does it, for those with a controller elsewhere that one"
        )
    if enrolment is not None:
        return SignedIdentity(enrolment.peer, enrolment.key, enrolment.ca)
    return LocalIdentity(Authority.open(place.home / "authority"))


def _supervisor(
    place: Place,
    source: Source,
    leaves: Leaves,
    routes: Path | None = None,
    replica: Replica = ALONE,
    follow: Follow = OWN,
) -> Supervisor:
    # Each source has a last good table of its own: what a file said is nothing to start by after a controller's.
    told_by = os.fsencode(routes.absolute()) if routes is not None else follow.url.encode()
    name = hashlib.sha256(told_by).hexdigest()[:16] if told_by else "last-good"
    listen = tuple(parse_listen(address) for address in (place.listen, place.http_listen) if address)
    options = Options(
        public_port=place.port, drain=place.drain, domain=place.domain, console="" if routes else place.console,
        client_ca=_client_ca(follow.client_ca or place.home / "authority" / "ca.pem"), replica=replica.number,
        early_drop=place.early_drop, proxy_from=place.proxy_from,
    )  # fmt: skip
    health = parse_listen(place.health) if place.health else None
    plan = Plan(listen, place.workers, options, place.home / "gateway" / f"{name}.json", health, place.drain_notice)
    return Supervisor(plan, source, leaves, _peers(place, replica, follow.enrolment))


def _raise_descriptor_limit() -> None:
    """Allow ourselves and what we start as many descriptors as we may have."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # the one there is will do
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _client_ca(path: Path) -> str:
    """Give the local authority in PEM, if there is one: only it gives out client certificates."""
    return path.read_text(encoding="ascii") if path.exists() else ""


def _controller_command(place: Place) -> list[str]:
    host, _port = parse_listen(place.listen)
    console = ["--console-host", place.console_host] if place.console_host else []
    kubeconfig = ["--kubeconfig", str(place.kubeconfig.absolute())] if place.kubeconfig else []
    return [
        sys.executable, "-P", "-m", "controller", "--home", str(place.home), "--domain", place.domain,
        "--public-host", host, "--public-port", str(place.port), "--ca", str(place.home / "authority" / "ca.pem"),
        "--runtime", place.runtime, *kubeconfig, *console,
    ]  # fmt: skip


def _announce(place: Place, supervisor: Supervisor) -> None:
    talk(f"Podgate is up: *.{place.domain} on {_addresses(supervisor)}, {place.workers} workers, home {place.home}")
    talk("Try: podgate pod create mydb --template postgres --access public")


def _addresses(supervisor: Supervisor) -> str:
    return " and ".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in supervisor.addresses)


@contextmanager
def _told() -> Iterator[None]:
    """Turn what can go wrong at the start into one sentence."""
    try:
        yield
    except (
        AlreadyRunning,
        CannotBegin,
        CannotListen,
        CertificateProblem,
        HomeProblem,
        TurnedAway,
        ValueError,
    ) as error:
        raise Failure(str(error)) from error
