"""Box and strip plots: every sample of a few questions, peer beside peer."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from bench.peers.all import DIRECT
from bench.pictures import style
from bench.record import Question, Record
from bench.samples import median
from bench.tables import number

COLUMNS = 3
WIDEST = 42  # characters in a title
SPREAD = 0.22  # how far samples are set apart, in widths of a column


def draw(record: Record, questions: Sequence[Question], title: str, path: Path) -> str:
    """Draw one panel a question."""
    rows = -(-len(questions) // COLUMNS)
    columns = min(COLUMNS, len(questions))
    figure, grid = plt.subplots(rows, columns, figsize=(4.0 * columns, 2.9 * rows + 0.8), squeeze=False)
    for axes, question in zip(grid.flat, questions, strict=False):
        _panel(axes, record, question)
    for axes in list(grid.flat)[len(questions) :]:
        axes.set_visible(False)
    named = style.finish(figure, title, "Each dot is one sample; the box holds the middle half", path)
    plt.close(figure)
    return named


def box_and_strip(axes: Axes, place: float, values: Sequence[float], colour: str, size: float = 14) -> None:
    """Draw samples in the order they were taken, and the box of their middle half."""
    axes.boxplot(
        values,
        positions=[place],
        widths=0.55,
        showfliers=False,
        patch_artist=True,
        boxprops={"facecolor": colour, "alpha": 0.18, "edgecolor": colour},
        medianprops={"color": colour, "linewidth": 2},
        whiskerprops={"color": colour},
        capprops={"color": colour},
    )
    step = 2 * SPREAD / max(1, len(values) - 1)
    places = [place - SPREAD + step * number for number in range(len(values))] if len(values) > 1 else [place]
    axes.scatter(places, values, s=size, color=colour, alpha=0.85, linewidths=0, zorder=4)


def _panel(axes: Axes, record: Record, question: Question) -> None:
    peers = [peer for peer in style.in_order(record.peers([question])) if peer != DIRECT]
    for place, peer in enumerate(peers):
        box_and_strip(axes, place, record.values(question, peer), style.COLOURS[peer])
    axes.set_xticks(range(len(peers)), [style.label(peer) for peer in peers])
    axes.tick_params(axis="x", labelrotation=35 if len(peers) > 5 else 0, labelsize=8)
    axes.grid(visible=False, axis="x")
    axes.set_ylim(0, max(value for peer in peers for value in record.values(question, peer)) * 1.08 or 1)
    axes.set_xlim(min(-0.6, len(peers) / 2 - 1.6), max(len(peers) - 0.4, len(peers) / 2 + 0.6))
    axes.yaxis.set_major_formatter(lambda value, _place: style.plain(value))
    title = "\n".join(textwrap.wrap(question.title, WIDEST))
    axes.set_title(f"{title}\n{question.metric.name}, {question.metric.unit}")
    better = "lower is better" if question.metric.better == "less" else "higher is better"
    direct = record.values(question, DIRECT)  # so far from the others that it would squeeze them
    if direct:
        better += f"; direct: {number(median(direct))}"
    axes.set_xlabel(better, loc="right", fontsize=8, color="#7b8794")
