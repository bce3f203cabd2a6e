"""`podgate audit`: who did what, and who was refused."""

import json
import time
from collections.abc import Iterator
from typing import Annotated

import typer

from podgate.cli.client import Client, Document, Target
from podgate.cli.measures import moment
from podgate.cli.output import Json, answer, answer_json, answer_table, json_text, talk, visible
from podgate.cli.suggestions import Named, look_for

PAUSE = 1.0  # seconds between two looks while following
MOST_AT_ONCE = 1000  # entries the API gives in one answer
COLUMNS = ("at", "who", "what", "pod", "address", "outcome", "detail")


def audit(
    pod: Annotated[str | None, typer.Option(help="Of this pod.")] = None,
    user: Annotated[str | None, typer.Option(help="By this user.")] = None,
    since: Annotated[
        str | None, typer.Option(parser=moment, metavar="TIME", help="For so long (1h), or from 2026-11-21T09:00 on.")
    ] = None,
    until: Annotated[str | None, typer.Option(parser=moment, metavar="TIME", help="Up to then; as --since.")] = None,
    outcome: Annotated[str | None, typer.Option(help="What became of it, such as refused.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST_AT_ONCE, metavar="N", help="How many at most.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as things happen.")] = False,
    as_json: Json = False,
) -> None:
    """Tell who did what and when, the newest last; when following, as JSON one object a line."""
    if follow and until is not None:
        raise typer.BadParameter("what happens later is not before then", param_hint="--until")
    wishes = {"pod": pod, "user": user, "since": since, "until": until, "outcome": outcome, "limit": limit}
    asked = {name: value for name, value in wishes.items() if value is not None}
    client = Client(Target.from_environment())
    for noun, name in (("pod", pod), ("user", user)):
        if name is not None:
            _check_known(client, Named(noun, name))
    if follow:
        for entry in _followed(client, asked):
            answer(json_text(entry) if as_json else "  ".join(_row(entry)))
        return
    found = client.get("audit", extra_time=0, **asked)
    if as_json:
        answer_json(found)
    elif not found["entries"]:
        talk("Nothing of that kind is in the audit log.")
    else:
        answer_table([name.upper() for name in COLUMNS], map(_row, _oldest_first(found["entries"])))


def _check_known(client: Client, named: Named) -> None:
    """See that a pod or user is there, or occurs in the log, which outlives them. Raises Failure."""
    if not client.get("audit", extra_time=0, **{named.noun: named.name}, limit=1)["entries"]:
        look_for(client, named)


def _followed(client: Client, asked: dict[str, str | int]) -> Iterator[Document]:
    """Give entries as they come, each once: those of the moment seen last are asked for again."""
    seen: set[str] = set()
    while True:
        entries = _oldest_first(client.get("audit", extra_time=0, **asked)["entries"])
        new = [entry for entry in entries if json.dumps(entry, sort_keys=True) not in seen]
        yield from new
        if entries:
            newest = max(entry["at"] for entry in entries)
            seen = {json.dumps(entry, sort_keys=True) for entry in entries if entry["at"] == newest}
            asked |= {"since": newest, "limit": MOST_AT_ONCE}
        time.sleep(PAUSE)


def _oldest_first(entries: list[Document]) -> list[Document]:
    found = entries[::-1]  # the API has the newest first, also of one moment
    found.sort(key=lambda entry: str(entry["at"]))
    return found


def _row(entry: Document) -> tuple[str, ...]:
    """Give an entry's fields; what strangers wrote into them cannot pass for lines of ours."""
    return tuple(visible(entry.get(name) or "-") for name in COLUMNS)
