"""`podgate status`: is it running, and what runs."""

import time
from typing import Annotated

import typer

from podgate.cli.client import Client, Document, NotRunning, Refused, Target
from podgate.cli.failure import Failure
from podgate.cli.output import Json, answer, answer_json, progress, visible

PAUSE = 0.1  # seconds between two tries while waiting
STILL_STARTING = frozenset({502, 503, 504})  # answers of a gateway or controller that is not ready yet


def status(
    wait: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0, help="Wait until the controller answers and a gateway is current."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell what runs; exit 1 if nothing does, or if nothing can be changed since a database is away."""
    target = Target.from_environment()
    found = Client(target).get("status") if wait is None else _wait(target, wait)
    if as_json:
        answer_json(found)
    else:
        _show(found)
    if "database" in found:
        raise typer.Exit(1)


def _wait(target: Target, seconds: float) -> Document:
    deadline = time.monotonic() + seconds
    with progress("waiting for Podgate") as now:
        while True:
            try:
                found = Client(target).get("status")
                if any(gateway["current"] for gateway in found["gateways"]):
                    return found
                missing = "the controller runs, and no gateway is current yet"
            except (NotRunning, Refused) as failure:
                if isinstance(failure, Refused) and failure.status not in STILL_STARTING:
                    raise
                missing = str(failure)
            now(missing)
            if time.monotonic() >= deadline:
                raise Failure(f"not ready after {seconds:g} s: {missing}")
            time.sleep(PAUSE)


def _show(found: Document) -> None:
    pods = ", ".join(f"{count} {phase}" for phase, count in found["pods"].items() if count) or "none"
    answer(f"podgate   {found['version']}, up since {found['started_at']}")
    if "replica" in found:
        nobody = "it is not known who" if "database" in found else "nobody"
        answer(f"replica   {found['replica']}; {found.get('leader') or nobody} leads")
    if "database" in found:
        answer(f"database  {visible(found['database'].removeprefix('store: '))}")
    answer(f"domain    {found['domain']}")
    answer(f"pods      {pods}")
    answer(f"routes    {found['routes']['count']}, version {found['routes']['version']}")
    if not found["gateways"]:
        answer("gateways  none connected: pods cannot be reached")
    for gateway in found["gateways"]:
        state = "current" if gateway["current"] else f"at version {gateway['version']}"
        answer(
            f"gateway   {visible(gateway['replica'])}: {gateway['workers']} workers, {state}, since {gateway['since']}"
        )
        for rejected in gateway.get("rejected", ()):
            answer(f"          refuses {visible(rejected['host'])}: {visible(rejected['reason'])}")
