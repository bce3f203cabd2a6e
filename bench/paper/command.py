"""`podgate bench paper`: what a service between client and database costs, as the studies of this field asked it."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from bench import machine
from bench.missing import Missing
from bench.paper import backends, kept
from bench.paper.backends import PROXIES, Asked, Tell, all_ways
from bench.paper.kept import Paper
from bench.paper.plan import PARTS, Plan
from bench.paper.report import report
from bench.record import Record
from bench.run import RESULTS, look_for
from bench.showing import counting, known, pictures, prepare, show
from podgate.cli.failure import Failure
from podgate.cli.output import Json

SUFFIX = "-paper"
PASSWORD = "PODGATE_BENCH_PASSWORD"  # noqa: S105  # the variable's name
STANDARD = Plan()
MOST_RECORDS, MOST_ARRIVALS = 10_000_000, 1_000  # a query may return, and there may be at once


def _listed(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))


def paper(
    only: Annotated[list[str] | None, typer.Option(help=f"A part: {', '.join(PARTS)}. (default: all)")] = None,
    sizes: Annotated[str, typer.Option(help="Nodes and rows that a query returns.")] = _listed(STANDARD.sizes),
    runs: Annotated[int, typer.Option(min=1, help="Of each query, with each backend.")] = STANDARD.runs,
    driver_runs: Annotated[
        int, typer.Option(min=0, help="Of the Neo4j driver, which is slow; 0: fewer of the larger sizes.")
    ] = 0,
    arrivals: Annotated[str, typer.Option(help="Connections at once, and a second.")] = _listed(STANDARD.arrivals),
    arrival_runs: Annotated[int, typer.Option(min=1, help="Of each of these.")] = STANDARD.arrival_runs,
    seconds: Annotated[float, typer.Option(min=0.2, help="Of connections at a rate.")] = STANDARD.seconds,
    peers: Annotated[str, typer.Option(help="Proxies to compare.")] = ",".join(PROXIES),
    uri: Annotated[
        list[str] | None, typer.Option(metavar="NAME=URI", help="A backend of your own: bolt+s://…, postgres://…")
    ] = None,
    auth: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=USER", help=f"Who logs in there; the password comes from ${PASSWORD}, or is asked."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help=f"For the results. (default: {RESULTS}/DATE-COMMIT{SUFFIX})")] = None,
    as_json: Json = False,
) -> None:
    """Ask for much through each backend, and connect often at once. A run that was stopped goes on where it was.

    All of it takes about 40 minutes; --runs 20 --driver-runs 2 --arrival-runs 1 about 15.
    """
    try:
        from bench.paper.conduct import conduct
    except ModuleNotFoundError as error:
        if error.name != "neo4j":
            raise
        raise Failure("the Neo4j driver is not installed; pip install 'podgate[bench]'") from None
    parts = tuple(part for part in PARTS if part in known("part", only or list(PARTS), PARTS))
    asked = known("peer", [name.strip() for name in peers.split(",") if name.strip()], PROXIES)
    own = _own(uri or [], auth or [])
    present, absent, versions = look_for(asked)
    records, together = _numbers("--sizes", sizes, MOST_RECORDS), _numbers("--arrivals", arrivals, MOST_ARRIVALS)
    plan = Plan(records, runs, driver_runs, together, arrival_runs, seconds, all_ways(present, own))
    directory, run = _begun(out, plan, parts)
    run.record.versions |= versions
    for line in absent:
        typer.echo(line, err=True)
        run.record.note(line)
    try:
        with _progress(run) as tell:
            conduct(run, own, lambda: kept.save(run, directory), tell)
    except Missing as missing:
        raise Failure(str(missing)) from None
    finally:
        if run.record.experiments():
            _show(run, directory, as_json)
    if not run.record.experiments():
        raise Failure(f"nothing was measured: {'; '.join(run.record.notes)}")


def rebuild(directory: Path, as_json: bool) -> None:
    """Write the page and the pictures anew. Raises OSError, ValueError and the like if there is something else."""
    _show(kept.load(directory), directory, as_json)


def _show(run: Paper, directory: Path, as_json: bool) -> None:
    def drawn() -> list[str]:
        from bench.pictures import shares, trips

        return [*trips.draw(run.record, run.plan, directory), *shares.draw(run.record, directory)]

    show(report(run, pictures(drawn)), run.to_document, directory, as_json)


def _begun(out: Path | None, plan: Plan, parts: tuple[str, ...]) -> tuple[Path, Paper]:
    """Go on with a run of this plan that was stopped, or begin one."""
    for directory in [out] if out else sorted(RESULTS.glob(f"*{_commit()}{SUFFIX}*"), reverse=True):
        if not (directory / kept.NAME).is_file():
            continue
        try:
            run = kept.load(directory)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Failure(f"{directory / kept.NAME} cannot be read: {error}; name another place: --out DIR") from None
        run.parts = tuple(part for part in PARTS if part in (*run.parts, *parts)) if run.plan == plan else run.parts
        if run.plan == plan and run.left():
            typer.echo(f"going on with {directory}: {run.left()} rounds are left", err=True)
            return directory, run
        if out:
            what = "is finished" if run.plan == plan else "was begun with other settings"
            raise Failure(f"the run in {directory} {what}; name another place: --out DIR")
    return prepare(out, kept.NAME, SUFFIX), Paper(plan, parts, Record(machine=machine.describe()))


def _commit() -> str:
    return machine.commit().replace("+", "-changed") or "no-commit"


def _own(uris: Sequence[str], auths: Sequence[str]) -> list[Asked]:
    """Read --uri and --auth; passwords are never among a program's arguments, which everybody may read."""
    users = dict(_pair("--auth", text) for text in auths)
    found = []
    for name, uri in (_pair("--uri", text) for text in uris):
        try:
            backends.check(name, uri)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        if name not in users:
            raise typer.BadParameter(f"who logs in at {name}? give --auth {name}=USER")
        password = os.environ.get(PASSWORD)
        if password is None:
            password = typer.prompt(f"password of {users[name]} at {name}", hide_input=True, err=True)
        found.append(Asked(name, uri, users[name], password))
    if unused := users.keys() - {one.name for one in found}:
        raise typer.BadParameter(f"--auth names {', '.join(sorted(unused))}, and no --uri does")
    return found


def _pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise typer.BadParameter(f"{option} {text}: expected NAME=…")
    return name, value


def _numbers(option: str, text: str, most: int) -> tuple[int, ...]:
    try:
        numbers = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        numbers = (0,)
    if not 1 <= numbers[0] <= numbers[-1] <= most:
        raise typer.BadParameter(f"{option} {text}: expected whole numbers of 1 to {most:,}, with commas between")
    return numbers


@contextmanager
def _progress(run: Paper) -> Iterator[Tell]:
    """Show how far the run is, by what is left."""
    total = run.left()
    with counting(total) as tell:
        yield lambda text, counts: tell(text, total - run.left(), counts=counts)
