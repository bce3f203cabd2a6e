"""The paper's figure: round trips of a query, a panel for each size, with a box and every sample of each backend."""

import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from bench.paper.added import added
from bench.paper.plan import CLIENTS, WORDS, Plan
from bench.paper.questions import AXES, INCLUDED, OPEN, question
from bench.paper.report import TITLES, in_order, label, seconds, written
from bench.pictures import style
from bench.pictures.boxes import box_and_strip
from bench.record import Question, Record
from bench.samples import median, percentile

FAR = 3.0  # heights of a box above it, from which on a sample is only counted: it would squeeze all others
ROOM = 0.36  # of the range of the samples, above it for what is written there
WIDEST = 11  # characters of a backend's name in a line


def draw(record: Record, plan: Plan, directory: Path) -> list[str]:
    """Draw one picture for each client; give the file names."""
    files = []
    with style.styled():
        for part, clients in CLIENTS.items():
            for client in clients:
                sizes = [size for size in plan.sizes if record.peers([question(part, client, OPEN, size)])]
                if sizes:
                    path = directory / f"{part}-{client.split()[0]}.png"
                    files.append(_draw(record, part, client, sizes, path))
    return files


def _draw(record: Record, part: str, client: str, sizes: list[int], path: Path) -> str:
    most = max(len(record.peers([question(part, client, OPEN, size)])) for size in sizes)
    width = max(6.5, max(3.6, 0.9 * most) * len(sizes))
    figure, grid = plt.subplots(2, len(sizes), figsize=(width, 7.0), squeeze=False)
    for row, how in zip(grid, (OPEN, INCLUDED), strict=True):
        for axes, size in zip(row, sizes, strict=True):
            _panel(axes, record, question(part, client, how, size), f"{size:,} {AXES[part]}, {how}")
    subtitle = (
        "Each dot is one run, in order; the box holds the middle half; the axis begins above zero.\n"
        "Written above: the median time, and what is added to direct: the median of the differences in the same round, "
        "± its standard error"
    )
    named = style.finish(figure, f"{TITLES[part]}: round trip {WORDS[client]}", subtitle, path)
    plt.close(figure)
    return named


def _near(values: list[float]) -> list[float]:
    """Leave out the samples far above the middle half; the median is of all of them."""
    low, high = percentile(values, 0.25), percentile(values, 0.75)
    return [value for value in values if value <= high + FAR * (high - low)]


def _panel(axes: Axes, record: Record, asked: Question, title: str) -> None:
    names = in_order(record.peers([asked]))
    near = {name: _near(record.values(asked, name)) for name in names}
    least, most = min(map(min, near.values())), max(map(max, near.values()))
    extent = max(most - least, least * 0.02)
    axes.set_ylim(least - 0.06 * extent, most + ROOM * extent)
    for place, name in enumerate(names):
        values = record.values(asked, name)
        box_and_strip(axes, place, near[name], style.colour(name), size=9)
        text = seconds(median(values))
        if one := added(record, asked, name):
            text += "\n" + written(one).replace(" ± ", "\n± ")
        weight = "bold" if name == "podgate" else "normal"
        axes.text(place, most + 0.34 * extent, text, ha="center", va="top", fontsize=8, fontweight=weight)
        if above := len(values) - len(near[name]):
            axes.text(place, most + 0.01 * extent, f"{above} beyond", ha="center", va="bottom", fontsize=7)
    axes.set_xticks(range(len(names)), [textwrap.fill(label(name), WIDEST) for name in names])
    axes.tick_params(axis="x", labelsize=8, labelrotation=25 if len(names) > 5 else 0)
    axes.grid(visible=False, axis="x")
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.yaxis.set_major_formatter(lambda value, _place: style.duration(round(value * 1e6, 3)))
    axes.set_title(title)
