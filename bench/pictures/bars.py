"""The questions that matter at a glance: bars, with Podgate's ratio to each peer."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from bench.pictures import style
from bench.record import Question, Record
from bench.samples import median

COLUMNS = 4


def draw(record: Record, questions: Sequence[tuple[str, Question]], title: str, path: Path) -> str:
    """Draw one panel a question, the best on top."""
    rows, columns = -(-len(questions) // COLUMNS), min(COLUMNS, len(questions))
    figure, grid = plt.subplots(rows, columns, figsize=(max(6.5, 3.5 * columns), 2.35 * rows + 0.9), squeeze=False)
    for axes, (name, question) in zip(grid.flat, questions, strict=False):
        _panel(axes, record, name, question)
    for axes in list(grid.flat)[len(questions) :]:
        axes.set_visible(False)
    subtitle = "Medians, the best on top; the factor is Podgate's figure divided by the peer's"
    named = style.finish(figure, title, subtitle, path)
    plt.close(figure)
    return named


def _panel(axes: Axes, record: Record, name: str, question: Question) -> None:
    peers = [peer for peer in record.peers([question]) if peer != "direct"]
    medians = {peer: median(record.values(question, peer)) for peer in peers}
    # Bars are drawn from below, so the worst comes first.
    ranked = sorted(medians, key=lambda peer: medians[peer], reverse=question.metric.better == "less")
    longest, ours = max(medians.values()), medians.get("podgate")
    if ours is None:  # it was asked and had nothing to show: that is an answer too
        ranked.insert(0, "podgate")
        axes.text(0, 0, " none", va="center", fontsize=8, fontweight="bold")
    for place, peer in enumerate(ranked):
        if peer not in medians:
            continue
        value = medians[peer]
        strong = peer == "podgate"
        axes.barh(place, value, height=0.68, color=style.COLOURS[peer], alpha=1.0 if strong else 0.45)
        figure = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        ratio = f"  \N{MULTIPLICATION SIGN}{ours / value:.2f}" if ours and value and not strong else ""
        weight = "bold" if strong else "normal"
        axes.text(value + longest * 0.02, place, f"{figure}{ratio}", va="center", fontsize=8, fontweight=weight)
    axes.set_ylim(-0.6, len(ranked) - 0.4)
    axes.set_yticks(range(len(ranked)), [style.label(peer) for peer in ranked])
    for text, peer in zip(axes.get_yticklabels(), ranked, strict=True):
        text.set_fontweight("bold" if peer == "podgate" else "normal")
    axes.set_xlim(0, longest * 1.38)
    axes.xaxis.set_visible(False)
    axes.grid(visible=False)
    axes.spines[["bottom", "left"]].set_visible(False)
    axes.set_title(f"{name}, {question.metric.unit}")
