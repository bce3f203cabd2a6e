"""`podgate serve`, `podgate gateway` and `podgate controller`: the commands that run Podgate itself.

What they run is imported when they do: every other command would pay half a second for it.
"""

import math
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from podgate.settings import DEFAULT_DOMAIN, DEFAULT_LISTEN, default_home

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
ConsoleHost = Annotated[
    str,
    typer.Option("--console-host", help="Where people sign in; not below the pods' domain. [default: podgate.REST]"),
]
Certificate = Annotated[
    Path | None, typer.Option("--certificate", help="PEM, the leaf first. [default: signed by the local authority]")
]
Key = Annotated[Path | None, typer.Option("--key", help="PEM, not readable by others.")]
Replica = Annotated[int, typer.Option("--replica", min=0, max=63, help="Which of several gateways this is.")]
Peer = Annotated[list[str] | None, typer.Option("--peer", help="HOST:PORT of another replica's --peer-listen.")]
PeerListen = Annotated[str | None, typer.Option("--peer-listen", help="HOST:PORT where the other replicas find this.")]
PeerCertificate = Annotated[
    Path | None,
    typer.Option(
        "--peer-certificate", help="PEM, with URI:podgate:gateway. [default: of the authority of home or controller]"
    ),
]
PeerKey = Annotated[Path | None, typer.Option("--peer-key", help="PEM, not readable by others.")]
PeerCa = Annotated[Path | None, typer.Option("--peer-ca", help="PEM: the authority of the others' certificates.")]
EarlyDrop = Annotated[
    str,
    typer.Option(
        "--early-drop",
        metavar="START:RATE:FULL",
        callback=lambda text: _early_drop(text),
        help="Drop new connections by chance while a worker has START openings and more, as sshd's MaxStartups does: "
        "RATE percent of them, rising to all of them at FULL. [default: none]",
    ),
]
ProxyFrom = Annotated[
    list[str] | None,
    typer.Option(
        "--proxy-from",
        metavar="NETWORK",
        callback=lambda words: _networks(words),
        help="Network or address of balancers that send the PROXY protocol's header (v1 or v2): required from there, "
        "not read from anywhere else. [default: none]",
    ),
]
Health = Annotated[
    str | None, typer.Option("--health", help="HOST:PORT of plain HTTP for /ready, /live, /metrics. [default: none]")
]
DrainNotice = Annotated[
    float,
    typer.Option(
        "--drain-notice",
        min=0,
        max=86400,
        callback=lambda seconds: _number(seconds),
        help="Seconds in which /ready says no and connections are still taken, before --drain.",
    ),
]
ControllerUrl = Annotated[
    str, typer.Option("--controller", help="https://api.DOMAIN of a controller elsewhere. [default: of the same home]")
]
ControllerAddress = Annotated[
    str,
    typer.Option(
        "--controller-address",
        metavar="HOST:PORT",
        help="Where to connect for that; the certificate still has to be of the name in --controller. "
        "[default: where DNS leads that name]",
    ),
]
ControllerCa = Annotated[
    Path | None, typer.Option("--controller-ca", help="PEM: whom to trust for that, beside the machine's authorities.")
]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", help="What podgate gateways token create printed; closed to others.")
]
Name = Annotated[str, typer.Option("--name", help="Its own name, as podgate gateways shows it. [default: made up]")]
ClientCa = Annotated[
    Path | None, typer.Option("--client-ca", help="PEM: the controller's authority, for client certificates.")
]


class Runtime(StrEnum):
    """Where pods run."""

    PROCESS = "process"
    KUBERNETES = "kubernetes"


RuntimeChoice = Annotated[
    Runtime,
    typer.Option("--runtime", envvar="PODGATE_RUNTIME", help="Where pods run: this machine, or a Kubernetes cluster."),
]
Kubeconfig = Annotated[
    Path | None,
    typer.Option(
        "--kubeconfig", envvar="KUBECONFIG", help="How the cluster is reached. [default: our own service account]"
    ),
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
    console_host: ConsoleHost = "",
    certificate: Certificate = None,
    key: Key = None,
    early_drop: EarlyDrop = "",
    proxy_from: ProxyFrom = None,
    health: Health = None,
    drain_notice: DrainNotice = 0.0,
    runtime: RuntimeChoice = Runtime.PROCESS,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Run all of Podgate on this machine: the gateway on one TLS port, and the controller that launches pods."""
    from podgate import serving

    place = serving.Place(
        _home(home), domain, listen, http_listen, workers, drain, public_port, certificate, key, console_host,
        early_drop, ",".join(proxy_from or ()), health, drain_notice, runtime, kubeconfig,
    )  # fmt: skip
    serving.serve(place)


def gateway(
    routes: Annotated[Path | None, typer.Option("--routes", help="A TOML file of route tables, watched.")] = None,
    home: Home = None,
    domain: Domain = DEFAULT_DOMAIN,
    listen: Listen = DEFAULT_LISTEN,
    http_listen: HttpListen = None,
    workers: Workers = CORES,
    drain: Drain = 30.0,
    public_port: PublicPort = None,
    certificate: Certificate = None,
    key: Key = None,
    console_host: ConsoleHost = "",
    replica: Replica = 0,
    peer: Peer = None,
    peer_listen: PeerListen = None,
    peer_certificate: PeerCertificate = None,
    peer_key: PeerKey = None,
    peer_ca: PeerCa = None,
    early_drop: EarlyDrop = "",
    proxy_from: ProxyFrom = None,
    health: Health = None,
    drain_notice: DrainNotice = 0.0,
    controller: ControllerUrl = "",
    controller_address: ControllerAddress = "",
    controller_ca: ControllerCa = None,
    token_file: TokenFile = None,
    name: Name = "",
    client_ca: ClientCa = None,
) -> None:
    """Run a gateway alone, fed by a routes file, by the controller of the same home, or by one elsewhere."""
    from podgate import serving
    from podgate.following import Follow

    place = serving.Place(
        _home(home), domain, listen, http_listen, workers, drain, public_port, certificate, key, console_host,
        early_drop, ",".join(proxy_from or ()), health, drain_notice,
    )  # fmt: skip
    among = serving.Replica(replica, tuple(peer or ()), peer_listen, peer_certificate, peer_key, peer_ca)
    follow = Follow(controller, controller_address, token_file, controller_ca, name, client_ca)
    serving.gateway(place, routes, among, follow)


def controller(
    home: Home = None,
    domain: Domain = DEFAULT_DOMAIN,
    listen: Annotated[str, typer.Option(help="HOST:PORT at which people reach the gateway.")] = DEFAULT_LISTEN,
    console_host: ConsoleHost = "",
    replica: Annotated[
        str,
        typer.Option(
            callback=lambda text: _replica(text), help="Which of several controllers over one database this is."
        ),
    ] = "",
    adopt_home: Annotated[
        bool,
        typer.Option("--adopt-home", help="Let this home take the place of the replicas' one, which is lost, and end."),
    ] = False,
    runtime: RuntimeChoice = Runtime.PROCESS,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Run the controller alone: it launches pods and feeds gateways that follow it."""
    from podgate import serving

    place = serving.Place(
        _home(home), domain, listen, None, 1, 0.0, None, console_host=console_host, runtime=runtime,
        kubeconfig=kubeconfig,
    )  # fmt: skip
    serving.controller(place, replica, adopt_home=adopt_home)


def _home(given: Path | None) -> Path:
    return given.absolute() if given is not None else default_home()


def _replica(text: str) -> str:
    from controller.settings import parse_replica

    try:
        return text and parse_replica(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _early_drop(text: str) -> str:
    from gateway.dropping import EarlyDrop

    try:
        return text and str(EarlyDrop.parse(text))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _networks(words: list[str] | None) -> list[str]:
    from gateway.balancing import Balancers

    try:
        return [str(Balancers.parse(",".join(words)))] if words else []
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _number(seconds: float) -> float:
    if math.isnan(seconds):  # neither too little nor too much
        raise typer.BadParameter("expected seconds, such as 5")
    return seconds
