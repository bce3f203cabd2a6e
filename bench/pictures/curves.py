"""How a figure grows with the number of connections, the size of a burst, or a rate."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from bench.pictures import style
from bench.record import Metric, Record
from bench.samples import median


def draw(record: Record, experiment: str, panels: Sequence[tuple[str, Metric]], title: str, path: Path) -> str:
    """Draw one panel a case and metric; log scale along the bottom, and upwards for times."""
    figure, grid = plt.subplots(
        1, len(panels), figsize=(style.PANEL_WIDTHS[len(panels)] * len(panels), 4.0), squeeze=False
    )
    drawn = [_panel(axes, record, experiment, *panel) for axes, panel in zip(grid.flat, panels, strict=True)]
    style.legend(figure, max(drawn, key=lambda axes: len(axes.get_lines())))
    named = style.finish(figure, title, "Medians of all runs; the shade reaches from the least to the greatest", path)
    plt.close(figure)
    return named


def _panel(axes: Axes, record: Record, experiment: str, case: str, metric: Metric) -> Axes:
    questions = [one for one in record.questions(experiment) if one.case == case and one.metric == metric]
    for peer in style.in_order(record.peers(questions)):
        points = {int(one.at or 0): values for one in questions if (values := record.values(one, peer))}
        places, colour = sorted(points), style.COLOURS[peer]
        middles = [median(points[place]) for place in places]
        lines = {"linestyle": ":"} if peer == "direct" else style.emphasis(peer)
        axes.plot(places, middles, marker="o", markersize=4, color=colour, label=style.label(peer), **lines)
        least, most = ([choose(points[place]) for place in places] for choose in (min, max))
        axes.fill_between(places, least, most, color=colour, alpha=0.10, linewidth=0)
    ticks = sorted({int(one.at or 0) for one in questions})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    if metric.unit == "µs":
        axes.set_yscale("log")
        style.logarithmic(axes.yaxis, style.duration)
    else:
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(lambda value, _place: style.plain(value))
    axes.set_xlabel(questions[0].axis if questions else "")
    unit = "" if metric.unit == "µs" else f", {metric.unit}"
    axes.set_title(f"{case}: {metric.name}{unit}")
    return axes
