"""Colours and type: one colour a peer, everywhere; Podgate's stands out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from bench.peers.all import LABELS, ORDER

INK, FAINT = "#1f2933", "#d5dbe1"
PANEL_WIDTHS = {1: 9.5, 2: 6.0, 3: 4.6}  # inches, by how many stand side by side under one legend
COLOURS = {
    "podgate": "#e4572e",
    "podgate-2": "#f2a48e",
    "podgate-direct": "#b5391a",
    "podgate-token": "#f2a48e",
    "podgate-drop": "#8c2f1b",
    "direct": "#9aa5b1",
    "haproxy": "#1f6f8b",
    "nginx": "#3f9c57",
    "hitch": "#8d6a9f",
    "envoy": "#c58b00",
    "traefik": "#3b6fd4",
    "caddy": "#6b4f3a",
    "pgbouncer": "#118a7e",
}
SETTINGS: Any = {
    "figure.facecolor": "white",
    "figure.dpi": 144,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw in our style, without a screen, while the block runs."""
    mpl.use("Agg")
    with mpl.rc_context(SETTINGS):
        yield


def in_order(peers: list[str]) -> list[str]:
    """Give peers in the order every table and picture has; those we do not know come last."""
    return [peer for peer in ORDER if peer in peers] + [peer for peer in peers if peer not in ORDER]


def finish(figure: Figure, title: str, subtitle: str, path: Path) -> str:
    """Put a headline on a figure, save it, and give its file name."""
    height = figure.get_size_inches()[1]
    above = 0.62 + 0.16 * subtitle.count("\n")  # inches
    figure.tight_layout(rect=(0, 0, 1, 1 - above / height), h_pad=1.6, w_pad=1.6)
    figure.text(0.012, 1 - 0.12 / height, title, fontsize=13, fontweight="bold", va="top")
    figure.text(0.012, 1 - 0.40 / height, subtitle, fontsize=9, color="#52606d", va="top")
    figure.savefig(path)
    return path.name


def legend(figure: Figure, axes: Axes) -> None:
    """Put one legend for all panels above them, at the right of the headline."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper right", ncols=len(labels), columnspacing=1.2, handlelength=1.4)


def emphasis(peer: str) -> dict[str, float]:
    """Give how a peer's line is drawn."""
    return {"linewidth": 2.6, "zorder": 5} if peer == "podgate" else {"linewidth": 1.4, "zorder": 3}


def logarithmic(axis: Axis, text: Callable[[float], str]) -> None:
    """Mark a logarithmic axis at round figures, as many as there is room for, and nothing between."""
    least, most = axis.get_view_interval()
    marks = (1.0, 2.0, 5.0) if most < 60 * least else (1.0, 3.0) if most < 2000 * least else (1.0,)
    axis.set_major_locator(LogLocator(subs=marks))
    axis.set_major_formatter(lambda value, _place: text(value))
    axis.set_minor_locator(NullLocator())


def plain(value: float) -> str:
    """Write a figure on an axis."""
    return f"{value:,.10g}"


def duration(microseconds: float) -> str:
    """Write a time on an axis, in the unit that fits."""
    if microseconds < 1e3:
        return f"{microseconds:.10g} µs"
    return f"{microseconds / 1e3:.10g} ms" if microseconds < 1e6 else f"{microseconds / 1e6:.10g} s"


def label(peer: str) -> str:
    """Give a peer's name for people; one we do not know was named by its user."""
    return LABELS.get(peer, peer)


def colour(peer: str) -> str:
    """Give a peer's colour; those we do not know share one."""
    return COLOURS.get(peer, "#7a4fb5")
