"""Memory and descriptors of each process, second by second, with the phases marked."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from bench.pictures import style
from bench.process import Reading
from bench.watch import Sample

OTHERS = ("direct", "podgate-2", "podgate-direct", "podgate-token", "podgate-drop")  # shades of one that is there
LINES = ("#9aa5b1", *(colour for name, colour in style.COLOURS.items() if name not in OTHERS))
NARROW = 0.03  # of the axis: a phase as short as this has no room for its name
MINUTES = 180.0  # seconds from which on the axis counts in minutes


def draw(samples: Sequence[Sample], title: str, subtitle: str, path: Path) -> str:
    """Draw two panels, one above the other; give the file's name."""
    with style.styled():
        figure, (memory, descriptors) = plt.subplots(2, 1, figsize=(9.5, 6.4), sharex=True)
        scale, unit = (60.0, "minutes") if samples[-1].at > MINUTES else (1.0, "seconds")
        _panel(memory, samples, scale, lambda reading: reading.memory / 1024)
        _panel(descriptors, samples, scale, lambda reading: reading.descriptors)
        memory.set_title("memory, MiB (PSS)", pad=16)
        descriptors.set_title("open descriptors", pad=16)
        descriptors.set_xlabel(unit)
        style.legend(figure, memory)
        named = style.finish(figure, title, subtitle, path)
        plt.close(figure)
    return named


def _panel(axes: Axes, samples: Sequence[Sample], scale: float, figure: Callable[[Reading], float]) -> None:
    names = list(dict.fromkeys(name for sample in samples for name in sample.processes))
    for place, name in enumerate(names):
        seen = [(sample.at / scale, figure(sample.processes[name])) for sample in samples if name in sample.processes]
        axes.plot(*zip(*seen, strict=True), color=LINES[place % len(LINES)], linewidth=1.6, label=name)
    axes.set_ylim(bottom=0)
    axes.set_xlim(samples[0].at / scale, samples[-1].at / scale)
    axes.yaxis.set_major_formatter(lambda value, _place: style.plain(value))
    begins: dict[str, float] = {}
    for sample in samples:
        begins.setdefault(sample.phase, sample.at / scale)
    ends = [*list(begins.values())[1:], samples[-1].at / scale]
    for place, ((phase, begin), end) in enumerate(zip(begins.items(), ends, strict=True)):
        if place % 2:
            axes.axvspan(begin, end, color=style.FAINT, alpha=0.35, linewidth=0)
        axes.axvline(begin, color=style.FAINT, linewidth=1.0)
        if end - begin > NARROW * ends[-1]:
            axes.text(begin, 1.02, phase, transform=axes.get_xaxis_transform(), fontsize=8, color="#52606d")
