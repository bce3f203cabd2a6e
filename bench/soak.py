"""`podgate bench soak`: does the gateway stay as small as it was, whatever its clients do, and however long?"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from bench import soaked as soaks
from bench.flatness import AFTER, CONNECTIONS, MIXED
from bench.missing import Missing
from bench.process import Died
from bench.run import RESULTS
from bench.showing import pictures, prepare, show
from bench.soaked import Soaked
from bench.soaking import Plan, Tell, conduct
from bench.watch import Sample
from podgate.cli.failure import Failure
from podgate.cli.output import Json


def soak(
    connections: Annotated[int, typer.Option(min=0, help="Short connections, each a full handshake.")] = 1_000_000,
    minutes: Annotated[float, typer.Option(min=0, help="Of mixed traffic after that.")] = 5.0,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Of the gateway; they share a core.")] = 1,
    out: Annotated[Path | None, typer.Option(help=f"For the results. (default: {RESULTS}/DATE-COMMIT-soak)")] = None,
    as_json: Json = False,
) -> None:
    """Load a gateway for long, with clients of all manners, and watch whether memory and descriptors stay flat.

    A phase can be judged if it takes ten seconds or more: 20,000 connections, or 0.2 minutes.
    """
    if not connections and not minutes:
        raise typer.BadParameter("there is nothing to do: --connections or --minutes has to be above 0")
    directory = prepare(out, soaks.NAME, "-soak")
    with _progress() as tell:
        try:
            found = conduct(Plan(connections, minutes, workers), tell)
        except (Missing, Died) as failure:
            raise Failure(str(failure)) from None
    soaks.save(found, directory)
    _show(found, directory, as_json)
    if not found.passed():
        raise Failure(f"the soak {found.outcome()}: {soaks.verdict(found)}; see {directory / 'README.md'}")


def rebuild(directory: Path, as_json: bool) -> None:
    """Write the page and the picture anew. Raises OSError, and ValueError if there is something else."""
    _show(soaks.load(directory), directory, as_json)


def _show(found: Soaked, directory: Path, as_json: bool) -> None:
    def drawn() -> list[str]:
        from bench.pictures import seconds

        connections, minutes = (found.settings[name] for name in ("connections", "minutes"))
        said = f"{connections:,.0f} short connections, then {minutes:g} min of clients of all manners"
        return [seconds.draw(found.samples, "Memory and descriptors under load", said, directory / "soak.png")]

    show(soaks.report(found, pictures(drawn)), lambda: soaks.to_document(found), directory, as_json)


@contextmanager
def _progress() -> Iterator[Tell]:
    """Show how far each phase is, and what the gateway holds. It redraws once a second, from the samples."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<11}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[now]}"),
        TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, auto_refresh=False, disable=not console.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}

        def done(phase: str, far: float, whole: float) -> None:
            if phase not in tasks:
                tasks[phase] = progress.add_task(phase, total=whole, now="")
            progress.update(tasks[phase], completed=far, total=whole, refresh=True)
            if not console.is_terminal:
                typer.echo(f"{phase}: {far:,.0f} of {whole:,.0f} {UNITS[phase]}", err=True)

        def sample(taken: Sample) -> None:
            held = sum(reading.memory for reading in taken.processes.values()) / 1024
            open_now = sum(reading.descriptors for reading in taken.processes.values())
            if taken.phase in tasks:
                now = f"{held:,.0f} MiB, {open_now:,} descriptors"
                progress.update(tasks[taken.phase], now=now, refresh=True)

        yield Tell(done, sample)


UNITS = {CONNECTIONS: "connections", MIXED: "s", AFTER: "s"}
