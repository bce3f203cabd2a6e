"""Which share of many arrivals was served within one second and within two, and how long the slowest waited."""

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from bench.connect import CASES
from bench.experiment import LATENCY_P99
from bench.paper.arrivals import WITHIN
from bench.paper.plan import ARRIVALS, SHAPES, SPEECHES
from bench.paper.report import in_order, label
from bench.peers.all import DIRECT
from bench.pictures import style
from bench.record import Metric, Record
from bench.samples import median

APART = 0.07  # how far backends are set apart, in places of the axis, so that none hides another at 100 %
METRICS = (*WITHIN, LATENCY_P99)


def draw(record: Record, directory: Path) -> list[str]:
    """Draw one picture for each protocol; give the file names."""
    files = []
    with style.styled():
        for speech in SPEECHES:
            shapes = [shape for shape in SHAPES if _points(record, f"{speech}, {CASES[shape][0]}", WITHIN[0])]
            if shapes:
                path = directory / f"{ARRIVALS}-{speech.lower()}.png"
                files.append(_draw(record, speech, shapes, path))
    return files


def _draw(record: Record, speech: str, shapes: list[str], path: Path) -> str:
    figure, grid = plt.subplots(len(shapes), 3, figsize=(13.5, 3.3 * len(shapes) + 0.8), squeeze=False)
    for row, shape in zip(grid, shapes, strict=True):
        for axes, metric in zip(row, METRICS, strict=True):
            _panel(axes, record, f"{speech}, {CASES[shape][0]}", metric, CASES[shape][1])
    style.legend(figure, grid[0][0])
    subtitle = "Medians of all runs; the shade reaches from the least to the greatest; lines are set apart a little"
    named = style.finish(figure, f"Many arrivals: {speech}", subtitle, path)
    plt.close(figure)
    return named


def _points(record: Record, case: str, metric: Metric) -> dict[str, dict[int, list[float]]]:
    """Give the samples of each backend by the number of connections."""
    found: dict[str, dict[int, list[float]]] = {}
    for one in record.questions(ARRIVALS):
        if (one.case, one.metric) == (case, metric):
            for name in record.peers([one]):
                found.setdefault(name, {})[one.at or 0] = record.values(one, name)
    return found


def _panel(axes: Axes, record: Record, case: str, metric: Metric, axis: str) -> None:
    points = _points(record, case, metric)
    names = in_order(list(points))
    ticks = sorted({count for found in points.values() for count in found})
    for number, name in enumerate(names):
        counts, colour = sorted(points[name]), style.colour(name)
        places = [ticks.index(count) + APART * (number - (len(names) - 1) / 2) for count in counts]
        middles = [median(points[name][count]) for count in counts]
        lines = {"linestyle": ":"} if name == DIRECT else style.emphasis(name)
        axes.plot(places, middles, color=colour, label=label(name), **lines)
        axes.scatter(places, middles, s=18, color=colour, linewidths=0, zorder=7)  # above the lines of the others
        least, most = ([choose(points[name][count]) for count in counts] for choose in (min, max))
        axes.fill_between(places, least, most, color=colour, alpha=0.10, linewidth=0)
    axes.set_xticks(range(len(ticks)), [f"{tick:,}" for tick in ticks])
    axes.grid(visible=False, axis="x")
    if metric.unit == "µs":
        axes.set_yscale("log")
        style.logarithmic(axes.yaxis, style.duration)
    else:
        axes.set_ylim(-4, 104)
    axes.set_xlabel(axis)
    unit = "" if metric.unit == "µs" else f", {metric.unit}"
    axes.set_title(f"{case}: {metric.name}{unit}")
