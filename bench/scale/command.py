"""`podgate bench scale`: a simulation of thousands of pods that change all the time, with the real controller."""

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Annotated

import typer

from bench import machine
from bench.record import Record
from bench.run import RESULTS
from bench.scale import kept
from bench.scale.conduct import Tell, conduct, steps
from bench.scale.kept import Scale
from bench.scale.plan import POSTGRES, SQLITE, Plan
from bench.scale.report import report
from bench.showing import counting, pictures, prepare, show
from podgate.cli.failure import Failure
from podgate.cli.output import Json

SUFFIX = "-scale"
STANDARD = Plan()
MOST_PODS, MOST_GATEWAYS, MOST_RATE, LONGEST = 50_000, 100, 2_000.0, 600.0  # the last in seconds


def _listed(numbers: Sequence[float]) -> str:
    return ",".join(f"{number:g}" for number in numbers)


def scale(
    pods: Annotated[str, typer.Option(help="How many there are.")] = ",".join(map(str, STANDARD.sizes)),
    gateways: Annotated[int, typer.Option(min=1, max=MOST_GATEWAYS, help="That follow.")] = STANDARD.gateways,
    rate: Annotated[float, typer.Option(min=1, max=MOST_RATE, help="Changes a second.")] = STANDARD.rate,
    seconds: Annotated[float, typer.Option(min=1, max=LONGEST, help="Of these changes.")] = STANDARD.seconds,
    rates: Annotated[
        str, typer.Option(help="Changes a second with the most pods, until some arrive too late; empty: none.")
    ] = _listed(STANDARD.rates),
    rate_seconds: Annotated[float, typer.Option(min=1, max=LONGEST, help="Of each.")] = STANDARD.rate_seconds,
    store: Annotated[str, typer.Option(help=f"Where it keeps what it knows: {SQLITE} or {POSTGRES}.")] = SQLITE,
    out: Annotated[Path | None, typer.Option(help=f"For the results. (default: {RESULTS}/DATE-COMMIT{SUFFIX})")] = None,
    as_json: Json = False,
) -> None:
    """Simulate a cluster and gateways around a real controller, and change pods all the time.

    It tells how late routes are, what the controller costs, and at which rate it cannot keep up. All of it takes at
    most twenty minutes, and has the machine for itself.
    """
    if importlib.util.find_spec("kubernetes") is None:
        raise Failure("Kubernetes' official client is not installed; pip install 'podgate[kubernetes]'")
    sizes = tuple(int(number) for number in _numbers("--pods", pods, MOST_PODS))
    if store not in (SQLITE, POSTGRES):
        raise typer.BadParameter(f"--store {store}: expected {SQLITE} or {POSTGRES}")
    each = _numbers("--rates", rates, MOST_RATE) if rates else ()
    plan = Plan(sizes, gateways, rate, seconds, each, rate_seconds, store=store)
    directory = prepare(out, kept.NAME, SUFFIX)
    run = Scale(plan, Record(machine=machine.describe()))
    try:
        with _progress(steps(run)) as tell:
            conduct(run, lambda: kept.save(run, directory), tell)
    finally:
        if run.record.experiments():
            kept.save(run, directory)
            _show(run, directory, as_json)
    if not run.record.experiments():
        raise Failure(f"nothing was measured: {'; '.join(run.record.notes)}")


def rebuild(directory: Path, as_json: bool) -> None:
    """Write the page and the picture anew. Raises OSError, ValueError and the like if there is something else."""
    _show(kept.load(directory), directory, as_json)


def _show(run: Scale, directory: Path, as_json: bool) -> None:
    def drawn() -> list[str]:
        from bench.pictures import growth

        return growth.draw(run.record, directory)

    show(report(run, pictures(drawn)), run.to_document, directory, as_json)


def _numbers(option: str, text: str, most: float) -> tuple[float, ...]:
    try:
        numbers = sorted({float(part) for part in text.split(",")})
    except ValueError:
        numbers = [0.0]
    if not all(1 <= number <= most and number == round(number) for number in numbers):
        raise typer.BadParameter(f"{option} {text}: expected whole numbers of 1 to {most:,g}, with commas between")
    return tuple(numbers)


@contextmanager
def _progress(total: int) -> Iterator[Tell]:
    """Show how far the run is, by what is begun."""
    with counting(total) as tell:
        begun = count()
        yield lambda text, counts: tell(text, next(begun) if counts else 0, counts=counts)
