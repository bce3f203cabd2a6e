"""Whole latency distributions: which share of the answers came within which time."""

from collections.abc import Sequence
from math import log10
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from bench.latency import PROBABILITIES
from bench.pictures import style
from bench.record import Record
from bench.samples import median

SHARES = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999)  # marks upwards: each step is ten times as rare
LAST = PROBABILITIES.index(0.9999)


def draw(record: Record, experiment: str, titles: Sequence[str], title: str, path: Path) -> str:
    """Draw one panel a case; upwards each mark is ten times as rare, so that tails can be read."""
    columns = 3 if len(titles) == 3 else min(2, len(titles))
    rows = -(-len(titles) // columns)
    width = style.PANEL_WIDTHS[columns] * columns
    figure, grid = plt.subplots(rows, columns, figsize=(width, 3.4 * rows + 0.8), squeeze=False)
    for axes, case in zip(grid.flat, titles, strict=True):
        _panel(axes, record, experiment, case)
    style.legend(figure, grid.flat[0])
    subtitle = "For each share of the answers the median of all runs; further left is better"
    named = style.finish(figure, title, subtitle, path)
    plt.close(figure)
    return named


def _panel(axes: Axes, record: Record, experiment: str, case: str) -> None:
    found = [one for one in record.latencies if one.experiment == experiment and one.title == case]
    for peer in style.in_order(list({one.peer for one in found})):
        runs = [one.quantiles for one in found if one.peer == peer]
        middles = [median(values) for values in zip(*runs, strict=True)]
        lines = {"linestyle": ":"} if peer == "direct" else style.emphasis(peer)
        heights = [_height(share) for share in PROBABILITIES[: LAST + 1]]
        axes.plot(middles[: LAST + 1], heights, color=style.COLOURS[peer], label=style.label(peer), **lines)
    axes.set_xscale("log")
    style.logarithmic(axes.xaxis, style.duration)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_yticks([_height(share) for share in SHARES], [f"{share * 100:.10g} %" for share in SHARES])
    axes.set_title(case)


def _height(share: float) -> float:
    """Count the nines: 0 for none, 1 for 90 %, 2 for 99 %."""
    return -log10(1 - share)
