"""The `podgate` command: one module per group of commands.

    serving  `podgate serve`, `gateway`, `controller`: run Podgate itself
    doctor   `podgate doctor`: what Podgate needs, and what of it is missing
    demo     `podgate demo`: all of it in a throw-away home
    status   is it running, and what runs
    login    `podgate login`, `logout`, `whoami`; logins: the tokens that are kept; passwords: how they are asked for
    people   `podgate user …`, `podgate group …`: who there is; tokens: `podgate token …`, for programs
    pods     `podgate pod …`: create, list, show, start, stop, restart, delete, logs, events
    endpoints  `podgate pod access`, `give`: who may use a pod at all, and whose it is; levels: the levels there are
    sharing  `podgate share`, `unshare`: who holds what on a pod
    audit    who did what, and who was refused
    certificates  `podgate certificate issue`: client certificates, which prove to pods who you are
    connect  open the fitting client for a pod, or print the command line that does
    cypher   a prompt for graph pods; bolt: the database it talks to
    ca       the certificate authority that clients are to trust
    gateways `podgate gateways`: how the replicas stand, and tokens for those elsewhere
    orphans  `podgate orphans`: what is left of pods that nobody knows
    bench    `podgate bench …`: measure it beside its peers, or an own pod
    client   how all of them reach the controller; suggestions: what a misspelt name may have meant
    measures durations, sizes, times and networks as people write them
    output   what goes to standard output (answers) and standard error (talk, progress, errors)

Every command leaves with 0 (done), 1 (failed), 2 (wrong usage) or 130 (interrupted).
"""

import os
import sys
from typing import Annotated

import typer

from podgate import __version__
from podgate.cli import (
    audit,
    bench,
    ca,
    certificates,
    connect,
    cypher,
    demo,
    doctor,
    gateways,
    login,
    orphans,
    people,
    pods,
    serving,
    sharing,
    status,
    tokens,
)
from podgate.cli.failure import Failure
from podgate.cli.output import EXIT_CODES, talk

app = typer.Typer(
    name="podgate",
    help="One TLS port for all your pods: Postgres, Bolt, HTTP and TCP by name.",
    epilog=f"{EXIT_CODES} Environment: PODGATE_HOME, PODGATE_URL, PODGATE_TOKEN, PODGATE_CA.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("status", epilog=EXIT_CODES)(status.status)
app.command("login", epilog=EXIT_CODES)(login.login)
app.command("logout", epilog=EXIT_CODES)(login.logout)
app.command("whoami", epilog=EXIT_CODES)(login.whoami)
app.add_typer(pods.app, name="pod")
app.command("share", epilog=EXIT_CODES)(sharing.share)
app.command("unshare", epilog=EXIT_CODES)(sharing.unshare)
app.add_typer(people.users, name="user")
app.add_typer(people.groups, name="group")
app.add_typer(tokens.app, name="token")
app.add_typer(certificates.app, name="certificate")
app.command("audit", epilog=EXIT_CODES)(audit.audit)
app.command("connect", epilog=EXIT_CODES)(connect.connect)
app.command("cypher", epilog=EXIT_CODES)(cypher.cypher)
app.add_typer(ca.app, name="ca")
app.add_typer(gateways.app, name="gateways")
app.add_typer(orphans.app, name="orphans")
app.command("doctor", epilog=EXIT_CODES)(doctor.doctor)
app.command("demo", epilog=EXIT_CODES)(demo.demo)
app.command("bench", context_settings=bench.PASSED_ON)(bench.bench)
app.command("serve", epilog=EXIT_CODES)(serving.serve)
app.command("gateway", epilog=EXIT_CODES)(serving.gateway)
app.command("controller", epilog=EXIT_CODES)(serving.controller)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"podgate {__version__}")
        raise typer.Exit


@app.callback()
def podgate(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Tell the version.")
    ] = False,
) -> None:
    """Take the options that belong to no command."""


def main() -> None:
    """Run the command line; a failure is one sentence on standard error, never a traceback."""
    try:
        try:
            app(prog_name="podgate")
        finally:
            sys.stdout.flush()
    except Failure as failure:
        talk(f"podgate: {failure}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output has gone; without this the interpreter complains once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
