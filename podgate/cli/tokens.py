"""`podgate token …`: tokens for programs."""

from functools import partial
from typing import Annotated

import typer

from podgate.cli.client import Client, Document, Target
from podgate.cli.levels import Level
from podgate.cli.measures import duration
from podgate.cli.output import EXIT_CODES, Json, answer, answer_json, answer_table, report, talk
from podgate.cli.suggestions import Named, suggesting

app = typer.Typer(help="Tokens, for programs that call Podgate, web pods, Postgres or graphs.", no_args_is_help=True)

OfUser = Annotated[str | None, typer.Option("--user", help="Of this user instead of you: administrators only.")]


@app.command(epilog=EXIT_CODES)
def create(
    name: Annotated[str, typer.Argument(help="What it is for, to know it again.")],
    pod: Annotated[str | None, typer.Option(help="Good for this pod alone.")] = None,
    level: Annotated[Level | None, typer.Option(help="Good for this level at most, whatever its user holds.")] = None,
    expires: Annotated[
        int | None, typer.Option(parser=duration, metavar="DURATION", help="30d, 12h, 90m: when it ends by itself.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Whose it is to be; others than you: administrators only.")] = None,
    as_json: Json = False,
) -> None:
    """Make a token and print it: TOKEN=$(podgate token create ci). It cannot be shown again."""
    client = Client(Target.from_environment())
    wishes = {"name": name, "pod": pod, "level": level, "expires_in": expires, "user": user}
    body = {field: value for field, value in wishes.items() if value is not None}
    named = [Named(noun, text) for noun, text in (("pod", pod), ("user", user)) if text]
    made = suggesting(client, lambda: client.post("tokens", body=body), *named)
    if as_json:
        answer_json(made)
        return
    answer(made["token"])
    talk("It is shown this once. Programs take it as PODGATE_TOKEN, web pods as 'Authorization: Bearer TOKEN',")
    user = made.get("user") or "its user"
    talk(f"Postgres and graph pods as the password of {user}: PGPASSWORD, ~/.pgpass or psql's prompt; NEO4J_PASSWORD,")
    talk(f'or auth=("{user}", TOKEN) of a Neo4j driver.')
    end = f"It ends at {made['expires_at']}, or" if made.get("expires_at") else "It does not end by itself, but"
    talk(f"{end} with: podgate token revoke {name}")


@app.command("list", epilog=EXIT_CODES)
def list_tokens(user: OfUser = None, as_json: Json = False) -> None:
    """List your tokens; what they are is not shown."""
    client = Client(Target.from_environment())
    named = [Named("user", user)] if user else []
    found = suggesting(client, lambda: client.get("tokens", extra_time=0, **_of(user)), *named)
    if as_json:
        answer_json(found)
    elif not found["tokens"]:
        talk("There are no tokens; make one: podgate token create ci")
    else:
        columns = ("NAME", "ID", "USER", "POD", "LEVEL", "EXPIRES")
        answer_table(columns, [_row(token) for token in found["tokens"]])


@app.command(epilog=EXIT_CODES)
def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME_OR_ID", help="The token's name, or its id.")],
    user: OfUser = None,
    as_json: Json = False,
) -> None:
    """End a token: in a second nothing accepts it, and what it opened is closed."""
    client = Client(Target.from_environment())
    named = [Named("user", user)] if user else []
    call = partial(client.delete, "tokens", name, **_of(user))
    found = suggesting(client, call, *named, Named("token", name, user or ""))
    report(found or {"name": name}, f"{name} is revoked", as_json)


def _of(user: str | None) -> dict[str, str]:
    return {"user": user} if user else {}


def _row(token: Document) -> tuple[object, ...]:
    pod, level, expires = (token.get(field) or "" for field in ("pod", "level", "expires_at"))
    return token["name"], token["id"], token["user"], pod or "any", level, expires or "never"
