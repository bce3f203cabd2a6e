"""`python -m controller`: the control plane as one process."""

import argparse
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import trio

from controller.api.server import SocketProblem
from controller.console.oidc.settings import oidc_of_environment
from controller.home import HomeProblem
from controller.replicas.place import adopt
from controller.replicas.service import run_replica
from controller.runtimes import Runtime, RuntimeFailure
from controller.runtimes.process import ProcessRuntime
from controller.service import run_controller
from controller.settings import KUBERNETES, PROCESS, Settings, SettingsProblem, parse_replica, read_oidc
from controller.store.database import StoreFailure
from controller.store.postgres import ADDRESS, address_of_environment
from controller.templates import Template, load_templates, of_processes
from router.hostname import InvalidName, normalise

# Seconds that the store's thread may wait for the interpreter while the other computes. It does so after each of its
# calls, some ten to a transaction: by Python's own 5 ms a transaction took 50 where there was much to do.
STORE_WAITS = 0.0005

log = logging.getLogger("controller")


class OneLine(logging.Formatter):
    """A line an event, whatever a message or a traceback holds."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the line."""
        return super().format(record).replace("\r", "\\r").replace("\n", "\\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM, SIGINT or the end of the parent; give the exit status."""
    options = _parser().parse_args(arguments)
    _log_to_stderr()
    try:
        settings = _settings(options)
        make_runtime, templates = _runtime(options, settings.home)
    except SettingsProblem as problem:
        log.error("%s", problem)
        return 2

    sys.setswitchinterval(STORE_WAITS)
    try:
        ended = partial(_ended, options.parent_pipe)
        if settings.database is not None and options.adopt_home:
            adopt(settings, settings.database)
        elif settings.database is not None:
            trio.run(run_replica, settings, settings.database, make_runtime, templates, ended)
        else:
            trio.run(run_controller, settings, make_runtime, templates, ended)
    except (HomeProblem, SocketProblem, StoreFailure, RuntimeFailure) as problem:
        log.error("%s", problem)
        return 1
    except Exception:
        log.exception("controller: ended by an unexpected failure")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m controller", description="Podgate's control plane.")
    parser.add_argument("--home", type=Path, required=True, metavar="DIR", help="where the controller keeps everything")
    parser.add_argument("--domain", type=_domain, default="pods.localhost", help="pods are named below it")
    parser.add_argument("--public-host", default="127.0.0.1", help="the address gateways listen on")
    parser.add_argument("--public-port", type=_port, default=8443, help="the port clients connect to")
    parser.add_argument(
        "--console-host",
        type=_domain,
        help="where people sign in (default: podgate. and the domain's rest)",
    )
    parser.add_argument("--ca", type=Path, help="the certificate clients verify with (default: the home's own)")
    parser.add_argument(
        "--replica",
        type=_replica,
        help=f"which of several controllers this is, that share the database of ${ADDRESS}",
    )
    parser.add_argument(
        "--adopt-home",
        action="store_true",
        help="let this home take the place of the replicas' one, which is lost, and end",
    )
    parser.add_argument("--runtime", choices=(PROCESS, KUBERNETES), default=PROCESS, help="where pods run")
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="of the cluster (default: our service account)")
    parser.add_argument("--parent-pipe", type=int, metavar="FD", help="end when this descriptor reads its end")
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    home = options.home.absolute()
    ca = options.ca.absolute() if options.ca else home / "authority" / "ca.pem"
    public = options.domain, options.public_host, options.public_port
    oidc = read_oidc(home / "oidc.toml") or oidc_of_environment(os.environ)
    try:
        database = address_of_environment(os.environ)
    except ValueError as error:
        raise SettingsProblem(f"store: {error}") from error
    if options.replica and database is None:
        raise SettingsProblem(f"replica: replicas share a database; name it in ${ADDRESS}, or leave out --replica")
    if options.adopt_home and database is None:
        raise SettingsProblem(f"home: only replicas have one to adopt; name their database in ${ADDRESS}")
    replica = _own_name(options.replica) if database else ""
    console = options.console_host or ""
    return Settings(home, *public, ca, console, oidc=oidc, database=database, replica=replica, runtime=options.runtime)


def _own_name(given: str | None) -> str:
    try:
        return given or _replica(socket.gethostname().partition(".")[0].lower())
    except argparse.ArgumentTypeError:
        raise SettingsProblem("replica: this machine's name cannot be a replica's; give one by --replica") from None


def _runtime(options: argparse.Namespace, home: Path) -> tuple[Callable[[], Runtime], Mapping[str, Template]]:
    """Choose the runtime, and give it with the templates it can run. Raises SettingsProblem."""
    if options.runtime == PROCESS:
        templates = of_processes(load_templates())
        return partial(ProcessRuntime, home, templates), templates
    # Only who uses a cluster waits for what speaks with it.
    from controller.runtimes.kubernetes.access import load_access
    from controller.runtimes.kubernetes.order import offered
    from controller.runtimes.kubernetes.runtime import KubernetesRuntime
    from controller.runtimes.kubernetes.settings import FILE, read_settings

    settings = read_settings(home / FILE)
    if options.kubeconfig is not None:
        settings = replace(settings, kubeconfig=str(options.kubeconfig.absolute()))
    templates = offered(load_templates())
    return partial(KubernetesRuntime, settings, templates, load_access(settings)), templates


async def _ended(parent_pipe: int | None, listening: Callable[[], object]) -> None:
    """Wait for a signal to end, or for the parent to be gone; call `listening` when no signal can be lost any more."""
    async with trio.open_nursery() as nursery:
        if parent_pipe is not None:
            nursery.start_soon(_end_with_parent, parent_pipe, nursery.cancel_scope)
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            listening()
            await anext(signals)
        nursery.cancel_scope.cancel()


async def _end_with_parent(descriptor: int, waiting: trio.CancelScope) -> None:
    async with trio.lowlevel.FdStream(descriptor) as pipe:
        while await pipe.receive_some():
            pass
    waiting.cancel()


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for theirs in ("alembic", "httpx"):  # the second tells of every request
        logging.getLogger(theirs).setLevel(logging.WARNING)


def _domain(text: str) -> str:
    try:
        return normalise(text)
    except InvalidName as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _replica(text: str) -> str:
    try:
        return parse_replica(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text[:6]) < 65536:
        raise argparse.ArgumentTypeError(f"expected a port from 1 to 65535, got {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
