"""What an experiment is, and what it is given for one round with one peer."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.latency import P50, P90, P99
from bench.load.driver import Load, upstream
from bench.peers.all import DIRECT
from bench.peers.peer import HOST, Mode
from bench.process import Program
from bench.record import Latencies, Metric, Question, Record

MICROSECONDS = 1e6


@dataclass(frozen=True, slots=True)
class Round:
    """One peer's turn: where to reach it, the program to watch (None without a proxy), and where answers go."""

    experiment: str
    peer: str
    port: int
    program: Program | None
    tools: Path  # the compiled load programs
    seconds: float  # to measure each case
    run: int
    record: Record
    extra: Any = None  # what the experiment's own upstream told

    @property
    def server_name(self) -> str:
        """The name load programs are given: "-" where there is no TLS."""
        return HOST if self.program else "-"

    def load(self, program: str, *arguments: object, nice: int = 0) -> Load:
        """Start one of the compiled load programs at the peer."""
        command = (self.tools / program, self.port, self.server_name, *arguments)
        return Load([str(part) for part in command], nice=nice)

    def cpu(self) -> float:
        """The proxy's processor time so far, in seconds; 0 without a proxy."""
        if self.program is None:
            return 0.0
        self.program.check()
        return self.program.cpu_seconds()

    def measure(self, load: Load) -> tuple[dict[str, Any], float]:
        """Let a load that is connected and warm run; give its answer, and the proxy's processor time meanwhile."""
        load.await_ready()
        before = self.cpu()
        load.tell()
        result = load.result()
        return result, self.cpu() - before

    def add(self, case: str, metric: Metric, value: float, at: int | None = None, axis: str = "") -> None:
        """Keep a figure."""
        self.record.add(Question(self.experiment, case, metric, at, axis), self.peer, value)

    def add_latencies(self, case: str, quantiles: Sequence[float], at: int | None = None, axis: str = "") -> None:
        """Keep the quantiles of a case, and p50, p90 and p99 of them as figures. All are microseconds."""
        for metric, place in ((LATENCY_P50, P50), (LATENCY_P90, P90), (LATENCY_P99, P99), (LATENCY_MAX, -1)):
            self.add(case, metric, quantiles[place], at, axis)
        title = Question(self.experiment, case, LATENCY_P50, at, axis).title
        self.record.latencies.append(Latencies(self.experiment, title, self.peer, tuple(quantiles)))


LATENCY_P50 = Metric("p50", "µs")
LATENCY_P90 = Metric("p90", "µs")
LATENCY_P99 = Metric("p99", "µs")
LATENCY_MAX = Metric("slowest", "µs")
RATE = Metric("requests per second", "req/s", "more")
CPU_PER_REQUEST = Metric("cpu per request", "µs")

Upstream = Callable[[Path, Path], AbstractContextManager[tuple[int, Any]]]
"""Starts the upstream (tools, an empty directory) and gives its port and what clients need to know besides."""


@contextmanager
def plain_upstream(tools: Path, _directory: Path) -> Iterator[tuple[int, Any]]:
    """Run the upstream of the load programs."""
    with upstream(str(tools / "upstream")) as port:
        yield port, None


@dataclass(frozen=True, slots=True)
class Experiment:
    """A question asked of every peer that can answer it, over and over, each time of a fresh process."""

    name: str
    asks: str
    limits: str  # what limits the figures on a small machine, for the report
    measure: Callable[[Round], None]
    peers: tuple[str, ...]
    mode: Mode = Mode.TCP
    upstream: Upstream = plain_upstream
    resumption: bool = False
    most_runs: int = 1000  # where one run is as good as many


@dataclass(frozen=True, slots=True)
class OwnExperiment:
    """A question about Podgate alone."""

    name: str
    asks: str
    limits: str
    measure: Callable[[int, Record], None]
    peers: tuple[str, ...] = field(default=("podgate",))


TCP_PEERS = ("podgate", DIRECT, "haproxy", "nginx", "hitch", "envoy", "traefik")
