"""What a controller takes as its pods become more, and as changes come faster."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from bench.pictures import style
from bench.record import Metric, Record
from bench.samples import median, percentile
from bench.scale.plan import BROKEN
from bench.scale.processes import CHANGES, CLUSTER, CONTROLLER, GATEWAYS
from bench.scale.questions import ALL, API, AXES, CPU, EVERY, MEMORY, RATE, SIZE, STARTUP, question
from bench.scale.questions import CLUSTER as IN_CLUSTER

COLOURS = {CONTROLLER: "#e4572e", CLUSTER: "#9aa5b1", GATEWAYS: "#1f6f8b", CHANGES: "#c58b00"}
LAGS = ((IN_CLUSTER, "#e4572e"), (API, "#1f6f8b"))


def draw(record: Record, directory: Path) -> list[str]:
    """Draw what there is; give the file names."""
    files = []
    with style.styled():
        if sizes := _places(record, SIZE):
            panels: list[Callable[[Axes], None]] = [
                lambda axes: _lags(axes, record, SIZE, sizes),
                lambda axes: _figures(axes, record, sizes, STARTUP, "start-up, s"),
                lambda axes: _figures(axes, record, sizes, MEMORY, "memory of the controller, MiB (PSS)"),
            ]
            files.append(_draw(panels, "As there are more pods", "pods", sizes, directory / "scale-size.png"))
        if rates := _places(record, RATE):
            panels = [lambda axes: _lags(axes, record, RATE, rates), lambda axes: _cores(axes, record, rates)]
            files.append(_draw(panels, "As changes come faster", AXES[RATE], rates, directory / "scale-rate.png"))
    return files


def _places(record: Record, experiment: str) -> list[int]:
    return sorted({int(one.at or 0) for one in record.questions(experiment) if one.metric == CPU})


def _draw(panels: Sequence[Callable[[Axes], None]], title: str, axis: str, places: Sequence[int], path: Path) -> str:
    figure, grid = plt.subplots(1, len(panels), figsize=(style.PANEL_WIDTHS[len(panels)] * len(panels), 4.0))
    for axes, panel in zip(grid.flat, panels, strict=True):
        panel(axes)
        axes.set_xlabel(axis)
        axes.set_xticks(places, [f"{place:,}" for place in places], fontsize=8)
        if axes.get_legend_handles_labels()[0]:
            # Below, since lines go everywhere.
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, fontsize=8)
    named = style.finish(
        figure, title, "A simulation: the controller is real, the cluster and the gateways are not", path
    )
    plt.close(figure)
    return named


def _lags(axes: Axes, record: Record, experiment: str, places: Sequence[int]) -> None:
    """Draw medians and 99th percentiles, on a logarithmic scale."""
    for case, colour in LAGS:
        for share, line, word in ((0.5, ":", "p50"), (0.99, "-", "p99")):
            points = [
                (place, percentile(values, share) * 1e6)
                for place in places
                if (values := record.values(question(experiment, case, EVERY, place), CONTROLLER))
            ]
            if points:
                axes.plot(
                    *zip(*points, strict=True), line, color=colour, marker="o", markersize=4, label=f"{case}, {word}"
                )
    axes.axhline(BROKEN * 1e6, color=style.INK, linewidth=0.8, linestyle="--")
    axes.set_yscale("log")
    style.logarithmic(axes.yaxis, style.duration)
    axes.set_title("until every gateway has a change")


def _figures(axes: Axes, record: Record, places: Sequence[int], metric: Metric, title: str) -> None:
    values = [(place, record.values(question(SIZE, ALL, metric, place), CONTROLLER)) for place in places]
    points = [(place, median(found)) for place, found in values if found]
    if points:
        axes.plot(*zip(*points, strict=True), color=COLOURS[CONTROLLER], marker="o", markersize=4)
    axes.set_ylim(bottom=0)
    axes.set_title(title)


def _cores(axes: Axes, record: Record, places: Sequence[int]) -> None:
    """Draw how much of a core each process took."""
    for name, colour in COLOURS.items():
        values = [(place, record.values(question(RATE, ALL, CPU, place), name)) for place in places]
        points = [(place, median(found)) for place, found in values if found]
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=4, label=name)
    axes.axhline(1.0, color=style.INK, linewidth=0.8, linestyle="--")
    axes.set_ylim(bottom=0)
    axes.set_title("cores in use")
