"""`podgate gateways`: which gateways there are and how they stand; and tokens for those that run elsewhere."""

from typing import Annotated

import typer

from podgate.cli.client import Client, Document, Target
from podgate.cli.output import EXIT_CODES, Json, answer, answer_json, answer_table, report, talk, visible

app = typer.Typer(help="The gateways that there are: what each runs, and how far behind it is.")
tokens = typer.Typer(help="Tokens of gateways that run elsewhere; for administrators.", no_args_is_help=True)
app.add_typer(tokens, name="token")

Name = Annotated[str, typer.Argument(help="The gateway's name; a token is for this, and for this with -ANYTHING.")]
_SPARE = ("SINCE", "WORKERS", "OPENINGS", "LISTENS", "FROM")  # what a narrow terminal does without, first to last


@app.callback(invoke_without_command=True, epilog=EXIT_CODES)
def gateways(context: typer.Context, as_json: Json = False) -> None:
    """Show each gateway: its name, address, version in force, lag, links, openings, workers, and whether it drains."""
    if context.invoked_subcommand is not None:
        return
    found = Client(Target.from_environment()).get("gateways")
    if as_json:
        answer_json(found)
    elif not found["gateways"]:
        talk("No gateway is connected: pods cannot be reached; start one: podgate gateway")
    else:
        columns = ("NAME", "STATE", "VERSION", "LAG", "LINKS", "OPENINGS", "WORKERS", "LISTENS", "FROM", "SINCE")
        answer_table(columns, [_row(gateway) for gateway in found["gateways"]], spare=_SPARE)
        for gateway in found["gateways"]:
            for each in gateway["rejected"]:
                talk(f"{visible(gateway['replica'])} refuses {visible(each['host'])}: {visible(each['reason'])}")


@tokens.command(epilog=EXIT_CODES)
def create(name: Name, as_json: Json = False) -> None:
    """Make the token of a gateway and print it: (umask 077; podgate gateways token create berlin > berlin.token)."""
    made = Client(Target.from_environment()).post("gateway-tokens", body={"name": name})
    if as_json:
        answer_json(made)
        return
    answer(made["token"])
    talk("It is shown this once. Put it into a file that only the gateway can read (chmod 600), and start there:")
    talk(f"podgate gateway --controller https://api.DOMAIN --token-file FILE --name {name} --domain DOMAIN")
    talk(
        "with --controller-ca and a copy of what podgate ca path names here, if its certificate is its authority's own."
    )
    talk("Who holds it knows what gateways know, the keys of sessions among it.")


@tokens.command("list", epilog=EXIT_CODES)
def list_tokens(as_json: Json = False) -> None:
    """List the names there are tokens for."""
    found = Client(Target.from_environment()).get("gateway-tokens")
    if as_json:
        answer_json(found)
    elif not found["names"]:
        talk("There are none; make one: podgate gateways token create NAME")
    else:
        answer_table(("NAME",), [(name,) for name in found["names"]])


@tokens.command(epilog=EXIT_CODES)
def revoke(name: Name, as_json: Json = False) -> None:
    """End a gateway's token: it hears of no change any more. Stop that gateway too: it goes on with what it has."""
    client = Client(Target.from_environment())
    found = client.delete("gateway-tokens", name)
    report(found or {"name": name}, f"the token of gateway {name} is revoked; stop that gateway too", as_json)


def _row(gateway: Document) -> tuple[object, ...]:
    state = "draining" if gateway["draining"] else "current" if gateway["current"] else "behind"
    versions, seconds = gateway["lag_versions"], gateway["lag_seconds"]
    lag = f"{versions} in {seconds:.1f} s" if versions else "0"
    listens = " ".join(map(visible, gateway["listens"])) or "-"
    return (
        visible(gateway["replica"]), state, gateway["version"], lag, gateway["links"], gateway["openings"],
        gateway["workers"], listens, visible(gateway["address"]) or "-", gateway["since"],
    )  # fmt: skip
