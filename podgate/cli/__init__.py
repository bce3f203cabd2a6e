"""The `podgate` command: one module per group of commands.

    serving  `podgate serve`, `gateway`, `controller`: run Podgate itself
    demo     `podgate demo`: all of it in a throw-away home
    status   is it running, and what runs
    pods     `podgate pod …`: create, list, show, start, stop, restart, delete, logs, events
    connect  open the fitting client for a pod, or print the command line that does
    cypher   a prompt for graph pods; bolt: the database it talks to
    ca       the certificate authority that clients are to trust
    bench    `podgate bench …`: measure it beside its peers, or an own pod
    client   how all of them reach the controller
    output   what goes to standard output (answers) and standard error (talk, progress, errors)

Every command leaves with 0 (done), 1 (failed), 2 (wrong usage) or 130 (interrupted).
"""

import os
import sys
from typing import Annotated

import typer

from podgate import __version__
from podgate.cli import bench, ca, connect, cypher, demo, pods, serving, status
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
app.add_typer(pods.app, name="pod")
app.command("connect", epilog=EXIT_CODES)(connect.connect)
app.command("cypher", epilog=EXIT_CODES)(cypher.cypher)
app.add_typer(ca.app, name="ca")
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
