"""Samples and what is said of them."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field


@dataclass(slots=True)
class Samples:
    """One question's raw samples, in `unit`."""

    question: str
    unit: str
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    @property
    def deviation(self) -> float:
        """The median of the absolute deviations from the median (MAD)."""
        return statistics.median(abs(value - self.median) for value in self.values)

    def percentile(self, share: float) -> float:
        """The least sample that `share` (0 to 1) of the samples do not exceed."""
        ordered = sorted(self.values)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def to_document(self) -> dict[str, object]:
        """Give the raw samples as JSON carries them."""
        return asdict(self)


def table(every: Sequence[Samples]) -> str:
    """Give a Markdown table."""
    lines = ["| question | samples | median | MAD | p90 | p99 | max |", "|---|---|---|---|---|---|---|"]
    for one in every:
        figures = (one.median, one.deviation, one.percentile(0.9), one.percentile(0.99), max(one.values))
        shown = " | ".join(f"{figure:.3g} {one.unit}" for figure in figures)
        lines.append(f"| {one.question} | {len(one.values)} | {shown} |")
    return "\n".join(lines)
