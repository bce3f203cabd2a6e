"""`podgate serve`, `podgate gateway` and `podgate controller`: the commands that run Podgate itself."""

import logging
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import trio
import typer

from certs.authority import Authority
from certs.files import CertificateProblem
from certs.store import LeafStore
from controller.home import HomeProblem, prepare_home
from gateway.leaves import FileLeaves, Leaves, SignedLeaves
from gateway.listening import CannotListen, parse_listen
from gateway.options import Options
from gateway.sources import ControllerFeed, RoutesFile, Source
from gateway.supervisor import Plan, Supervisor
from podgate.cli.failure import Failure
from podgate.cli.output import talk
from podgate.serving import AlreadyRunning, controller_command, only_one, run
from podgate.settings import DEFAULT_DOMAIN, DEFAULT_LISTEN, default_home
from router.hostname import normalise

Home = Annotated[Path | None, typer.Option("--home", help="Where everything is kept. [default: $PODGATE_HOME]")]
Domain = Annotated[str, typer.Option("--domain", help="Pods are reached as NAME.DOMAIN.")]
Listen = Annotated[str, typer.Option("--listen", help="HOST:PORT of the one TLS port.")]
HttpListen = Annotated[
    str | None, typer.Option("--http-listen", help="HOST:PORT for plain HTTP, which is sent to https.")
]
Workers = Annotated[int, typer.Option("--workers", min=1, max=256, help="Processes. [default: one per core]")]
Drain = Annotated[float, typer.Option("--drain", min=0, help="Seconds open links get when the gateway stops.")]
PublicPort = Annotated[
    int | None, typer.Option("--public-port", help="The port people use, if a balancer changes it.", min=1, max=65535)
]
CORES = len(os.sched_getaffinity(0))


def serve(
    home: Home = None,
    domain: Domain = DEFAULT_DOMAIN,
    listen: Listen = DEFAULT_LISTEN,
    http_listen: HttpListen = None,
    workers: Workers = CORES,
    drain: Drain = 30.0,
    public_port: PublicPort = None,
) -> None:
    """Run all of Podgate on this machine: the gateway on one TLS port, and the controller that launches pods."""
    place = _home(home)
    with _told(), only_one(place / "serve.lock", "podgate serve"):
        normalise(domain)
        host, port = parse_listen(listen)
        public = public_port or port
        leaves = SignedLeaves(
            LeafStore(Authority.open(place / "authority"), place / "authority" / "leaves", domain), domain
        )
        source = _feed(place, workers)
        supervisor = _supervisor(
            place, [listen, http_listen], workers, Options(public_port=public, drain=drain), source, leaves
        )

        def announce() -> None:
            talk(f"Podgate is up: *.{domain} on {listen}, {workers} workers, home {place}")
            talk("Try: podgate pod create mydb --template postgres --access public --wait")

        trio.run(run, supervisor, controller_command(place, domain, host, public), announce)


def gateway(
    routes: Annotated[Path | None, typer.Option("--routes", help="A TOML file of [[route]] tables, watched.")] = None,
    certificate: Annotated[Path | None, typer.Option("--certificate", help="PEM, the leaf first.")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="PEM, not readable by others.")] = None,
    home: Home = None,
    domain: Domain = DEFAULT_DOMAIN,
    listen: Listen = DEFAULT_LISTEN,
    http_listen: HttpListen = None,
    workers: Workers = CORES,
    drain: Drain = 30.0,
    public_port: PublicPort = None,
) -> None:
    """Run a gateway alone, fed by a routes file, or by the controller of the same home."""
    place = _home(home)
    with _told():
        if (certificate is None) != (key is None):
            raise Failure("--certificate and --key belong together; give both, or neither for the local authority's")
        leaves: Leaves
        if certificate is not None and key is not None:
            leaves = FileLeaves(certificate, key)
        else:
            store = LeafStore(Authority.open(place / "authority"), place / "authority" / "leaves", domain)
            leaves = SignedLeaves(store, domain)
        source = RoutesFile(routes) if routes is not None else _feed(place, workers)
        options = Options(public_port=public_port or parse_listen(listen)[1], drain=drain)
        supervisor = _supervisor(place, [listen, http_listen], workers, options, source, leaves)
        trio.run(run, supervisor, None, lambda: talk(f"gateway is up on {listen}, {workers} workers"))


def controller(
    home: Home = None,
    domain: Domain = DEFAULT_DOMAIN,
    listen: Annotated[
        str, typer.Option("--public", help="HOST:PORT at which people reach the gateway.")
    ] = DEFAULT_LISTEN,
) -> None:
    """Run the controller alone: it launches pods and feeds gateways that follow it."""
    place = _home(home)
    with _told():
        host, port = parse_listen(listen)
        command = controller_command(place, domain, host, port)
        os.execv(command[0], command)


def _home(given: Path | None) -> Path:
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s %(levelname)s {os.getpid()} %(name)s: %(message)s")
    place = given.absolute() if given is not None else default_home()
    try:
        prepare_home(place)
    except HomeProblem as error:
        raise Failure(str(error)) from error
    return place


def _feed(home: Path, workers: int) -> Source:
    replica = f"{socket.gethostname()}-{secrets.token_hex(4)}"
    return ControllerFeed("http://controller", home / "run" / "api.sock", home / "gateway.token", replica, workers)


def _supervisor(
    home: Path, listen: list[str | None], workers: int, options: Options, source: Source, leaves: Leaves
) -> Supervisor:
    addresses = tuple(parse_listen(address) for address in listen if address)
    keep = home / "gateway" / "last-good.json"
    return Supervisor(Plan(addresses, workers, options, keep), source, leaves)


@contextmanager
def _told() -> Iterator[None]:
    """Turn what can go wrong at the start into one sentence."""
    try:
        yield
    except (CannotListen, CertificateProblem, AlreadyRunning, ValueError) as error:
        raise Failure(str(error)) from error
