"""`podgate bench`: measure Podgate beside its peers, rebuild a report, soak it, or look at one pod's endpoint."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import typer

from bench import record as records
from bench import tables
from bench.experiments import EXPERIMENTS
from bench.load import openssl
from bench.missing import Missing
from bench.paper import kept
from bench.paper.command import paper
from bench.paper.command import rebuild as rebuild_paper
from bench.peers.all import ORDER
from bench.pod import ask_pod
from bench.record import Record
from bench.run import RESULTS, Plan, begin, look_for, measure, rounds
from bench.scale import kept as kept_scale
from bench.scale.command import rebuild as rebuild_scale
from bench.scale.command import scale
from bench.showing import counting, known, pictures, prepare, show
from bench.soak import rebuild, soak
from bench.soaked import NAME as SOAK
from bench.targets import judge
from podgate.cli.failure import Failure
from podgate.cli.output import EXIT_CODES, Json

app = typer.Typer(
    name="podgate bench",
    add_completion=False,
    help="Measure Podgate beside HAProxy, nginx, hitch, Envoy, Traefik, Caddy and pgbouncer, or look at your own pod.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command(epilog=EXIT_CODES)
def run(
    experiments: Annotated[
        list[str] | None, typer.Argument(help=f"Any of: {', '.join(EXPERIMENTS)}. (default: all)")
    ] = None,
    peers: Annotated[
        str, typer.Option(show_default=False, help=f"Whom to ask. (default: all, {','.join(ORDER)})")
    ] = ",".join(ORDER),
    runs: Annotated[int, typer.Option(min=1, help="Fresh rounds of each peer.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.05, help="Time for each case of a round.")] = 0.5,
    out: Annotated[Path | None, typer.Option(help=f"For the results. (default: {RESULTS}/DATE-COMMIT)")] = None,
    as_json: Json = False,
) -> None:
    """Run experiments; raw samples, a report and pictures go to a directory, the tables also to standard output."""
    chosen = known("experiment", experiments or list(EXPERIMENTS), tuple(EXPERIMENTS))
    asked = known("peer", [name.strip() for name in peers.split(",")], ORDER)
    present, absent, versions = look_for(asked)
    for line in absent:
        typer.echo(line, err=True)
    plan = Plan(chosen, present, runs, seconds)
    directory = prepare(out, records.NAME)
    record, interrupted = begin(plan, absent, versions), False
    with _progress(rounds(chosen, asked, runs)) as tell:
        try:
            measure(plan, record, tell)
        except Missing as missing:
            raise Failure(str(missing)) from None
        except KeyboardInterrupt:
            record.note("interrupted: these are the rounds that were finished")
            interrupted = True
    if not record.experiments():
        raise Failure(f"nothing was measured: {'; '.join(record.notes)}")
    records.save(record, directory)
    _show(record, directory, as_json)
    if interrupted:
        raise KeyboardInterrupt


@app.command(epilog=EXIT_CODES)
def report(
    directory: Annotated[
        Path, typer.Argument(help="Where `podgate bench run`, `soak`, `paper` or `scale` put its results.")
    ],
    as_json: Json = False,
) -> None:
    """Rebuild the report and pictures of a run, a soak, the paper's experiment or a simulation, from its samples."""
    try:
        if (directory / SOAK).is_file():
            return rebuild(directory, as_json)
        if (directory / kept.NAME).is_file():
            return rebuild_paper(directory, as_json)
        if (directory / kept_scale.NAME).is_file():
            return rebuild_scale(directory, as_json)
        record = records.load(directory)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failure(f"no results can be read in {directory}: {error}; name the directory of a run") from None
    return _show(record, directory, as_json)


app.command("pod", epilog=EXIT_CODES)(ask_pod)
app.command("soak", epilog=EXIT_CODES)(soak)
app.command("paper", epilog=EXIT_CODES)(paper)
app.command("scale", epilog=EXIT_CODES)(scale)


def main() -> None:
    """Run the command line; a failure is one sentence on standard error, never a traceback."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    if sys.argv[1:2] == ["paper"]:
        openssl.pin()  # its clients are in this process
    try:
        app(prog_name="podgate bench")
    except Failure as failure:
        typer.echo(f"podgate bench: {failure}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.echo("podgate bench: interrupted", err=True)
        sys.exit(130)


def _show(record: Record, directory: Path, as_json: bool) -> None:
    def drawn() -> list[str]:
        from bench.pictures import draw

        return draw.draw(record, directory)

    def document() -> dict[str, Any]:
        verdicts = [
            {"target": one.target.what, "against": one.peer, "ratio": one.ratio, "met": one.met}
            for one in judge(record)
        ]
        return {**records.to_document(record), "targets": verdicts}

    show(tables.report(record, pictures(drawn)), document, directory, as_json)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """Show how far the run is, by what is begun."""
    with counting(total) as tell:
        begun = count()
        yield lambda text: tell(text, next(begun))
