"""Small fixed samples of a soak, for whatever judges or shows one."""

from collections.abc import Sequence

from bench.flatness import AFTER, CONNECTIONS, MIXED, START
from bench.process import Reading
from bench.soaked import Soaked
from bench.watch import Sample

MIB = 1024  # KiB


def samples(
    connections: Sequence[float], mixed: Sequence[float] = (), left: int = 13, worker: str = "worker 1"
) -> list[Sample]:
    """One worker's MiB second by second in each phase; it has 13 descriptors before and `left` after."""
    phases = {START: [30.0], CONNECTIONS: connections, MIXED: mixed, AFTER: [30.0]}
    held = {START: 13, CONNECTIONS: 40, MIXED: 90, AFTER: left}
    found: list[Sample] = []
    for phase, memory in phases.items():
        for mib in memory:
            reading = Reading(int(mib * MIB), held[phase], 0.5 * len(found))
            found.append(Sample(float(len(found)), phase, {worker: reading}))
    return found


def soaked(connections: Sequence[float] = (60.0,) * 20, left: int = 13) -> Soaked:
    settings = {"connections": 1000.0, "minutes": 0.5, "workers": 1.0}
    found = Soaked({"commit": "abc1234"}, settings, samples(connections, left=left))
    found.count(CONNECTIONS, "short connections", 1000, 0)
    return found
