"""Whether a program stayed as it was: memory no higher late in a load than early, and no descriptors left after."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.samples import median
from bench.watch import Sample

START, CONNECTIONS, MIXED, AFTER = "start", "connections", "mixed", "after"  # the phases, in order
LOADED = (CONNECTIONS, MIXED)

WARM_UP = 0.1  # of a phase: caches, pools and the allocator's arenas take their size
LEAST = 8  # samples after that: two a quarter
GROWTH = 1.05  # how much of itself, and
SPARE = 4 * 1024  # KiB more, memory may be above what it was


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was to stay as it was, in one process."""

    process: str
    what: str
    unit: str
    before: float | None = None
    after: float | None = None
    most: float | None = None  # that `after` may be
    problem: str = ""  # why it cannot be told

    @property
    def flat(self) -> bool:
        """Tell whether it stayed; what cannot be told did not."""
        return self.after is not None and self.most is not None and self.after <= self.most


def judge(samples: Sequence[Sample]) -> list[Finding]:
    """Look at memory in each phase of load and at the descriptors left in the end, for every process ever seen."""
    names = list(dict.fromkeys(name for sample in samples for name in sample.processes))
    findings = [_memory(samples, name, phase) for phase in LOADED if _in(samples, phase) for name in names]
    return findings + [_descriptors(samples, name) for name in names]


def quarters(values: Sequence[float]) -> tuple[float, float] | None:
    """Give the medians of the first and the last quarter after warm-up; None if they are too few."""
    warm = values[int(len(values) * WARM_UP) :]
    if len(warm) < LEAST:
        return None
    size = len(warm) // 4
    return median(warm[:size]), median(warm[-size:])


def _memory(samples: Sequence[Sample], name: str, phase: str) -> Finding:
    what = f"memory, {phase}"
    inside = _in(samples, phase)
    values = [sample.processes[name].memory for sample in inside if name in sample.processes]
    if len(values) < len(inside):
        return Finding(name, what, "KiB", problem="it was not there all the time")
    found = quarters(values)
    if found is None:
        return Finding(name, what, "KiB", problem=f"only {len(values)} samples; a longer phase can tell")
    first, last = found
    return Finding(name, what, "KiB", first, last, first * GROWTH + SPARE)


def _descriptors(samples: Sequence[Sample], name: str) -> Finding:
    ends = [found[-1].processes.get(name) if (found := _in(samples, phase)) else None for phase in (START, AFTER)]
    before, after = ends
    if before is None or after is None:
        where = "at the start" if before is None else "in the end"
        return Finding(name, "descriptors", "", problem=f"it was not there {where}")
    return Finding(name, "descriptors", "", before.descriptors, after.descriptors, before.descriptors)


def _in(samples: Sequence[Sample], phase: str) -> list[Sample]:
    return [sample for sample in samples if sample.phase == phase]
