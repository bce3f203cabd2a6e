"""What is to be measured, and in which order.

A round asks every backend the same thing, one after the other, in an order that changes from round to round. Rounds of
different sizes are mingled evenly over the whole time: whatever drifts meanwhile hits all backends and all sizes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.document import Documented

GRAPH, ROWS, ARRIVALS = "graph", "rows", "arrivals"
PARTS = (GRAPH, ROWS, ARRIVALS)

DRIVER, BYTES = "driver", "bytes only"  # of the graph
PSYCOPG, LIBPQ = "psycopg", "libpq only"
CLIENTS = {GRAPH: (DRIVER, BYTES), ROWS: (PSYCOPG, LIBPQ)}
WORDS = {DRIVER: "by the Neo4j driver", BYTES: "counting bytes only", PSYCOPG: "by psycopg", LIBPQ: "by libpq only"}
SHAPES = ("burst", "rate")
SPEECHES = ("Postgres", "HTTP")

DECODED = 30_000  # nodes the Neo4j driver is given for each of the runs asked for: it takes some 50 µs for every one
LEAST = 5  # runs of it for all that


@dataclass(frozen=True, slots=True)
class Plan(Documented):
    """How much."""

    sizes: tuple[int, ...] = (10_000, 200_000, 500_000)
    runs: int = 60
    driver_runs: int = 0  # of the Neo4j driver; 0: as many as `DECODED` allows
    arrivals: tuple[int, ...] = (10, 50, 60, 90, 100, 500)
    arrival_runs: int = 3
    seconds: float = 3.0  # of arrivals at a rate
    ways: tuple[str, ...] = ()  # who takes part, direct included


@dataclass(frozen=True, slots=True)
class Work:
    """Something that every backend is asked `runs` times."""

    part: str
    what: str  # the client, or what is said by those who arrive
    number: int  # nodes or rows, or connections
    runs: int
    shape: str = ""  # of arrivals
    warms: bool = False  # is done once before, and not kept

    @property
    def key(self) -> str:
        """Its name in the file of samples."""
        return " ".join(part for part in (self.part, self.what, self.shape, str(self.number)) if part)


def works(plan: Plan, part: str) -> list[Work]:
    """Give what a part consists of."""
    if part == ARRIVALS:
        cases = [(speech, shape, number) for speech in SPEECHES for shape in SHAPES for number in plan.arrivals]
        return [Work(part, speech, number, plan.arrival_runs, shape) for speech, shape, number in cases]
    found = []
    for client in CLIENTS[part]:
        for size in plan.sizes:
            slow = client == DRIVER
            warms = size == min(plan.sizes) or not slow
            found.append(Work(part, client, size, driver_runs(plan, size) if slow else plan.runs, warms=warms))
    return found


def driver_runs(plan: Plan, size: int) -> int:
    """Give how often the Neo4j driver asks for so many nodes."""
    return plan.driver_runs or min(plan.runs, max(LEAST, plan.runs * DECODED // size))


def rounds(asked: Sequence[Work], done: Mapping[str, int]) -> Iterator[tuple[Work, int]]:
    """Give every round that is still to be done, and its number of that work: few runs are spread among many."""
    most = max((work.runs for work in asked), default=0)
    for turn in range(most):
        for work in asked:
            number = turn * work.runs // most
            is_due = (turn + 1) * work.runs // most > number
            if is_due and number >= done.get(work.key, 0):
                yield work, number
