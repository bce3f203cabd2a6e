"""`podgate orphans`: what is left of pods that nobody knows."""

import sys
from typing import Annotated

import typer

from podgate.cli.client import Client, Target
from podgate.cli.output import EXIT_CODES, Json, answer_json, answer_table, report, talk, visible

app = typer.Typer(help="What is left where pods run, of pods that nobody knows; for administrators.")


@app.callback(invoke_without_command=True, epilog=EXIT_CODES)
def orphans(context: typer.Context, as_json: Json = False) -> None:
    """List them: processes or volumes of pods that are in no store, as after an old backup came back."""
    if context.invoked_subcommand is not None:
        return
    found = Client(Target.from_environment()).get("orphans")
    if as_json:
        answer_json(found)
    elif not found["orphans"]:
        talk("There are none: all that runs or is kept belongs to a pod")
    else:
        columns = ("KEY", "STAGE", "SINCE", "WHAT IT IS")
        rows = [(visible(each["key"]), each["stage"], each["since"], visible(each["message"]) or "-")
                for each in found["orphans"]]  # fmt: skip
        answer_table(columns, rows)


@app.command(epilog=EXIT_CODES)
def delete(
    key: Annotated[str, typer.Argument(help="As the list has it.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete one, with all of its data."""
    client = Client(Target.from_environment())
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        typer.confirm(f"Delete {key} and all of its data?", abort=True, err=True)
    found = client.delete("orphans", key)
    report(found or {"key": key}, f"{key} is gone", as_json)
