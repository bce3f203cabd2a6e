"""A small fixed record of a run, for whatever reads one."""

from bench.experiment import LATENCY_P50, LATENCY_P99, RATE
from bench.latency import PROBABILITIES
from bench.record import Latencies, Metric, Question, Record
from bench.relay import CPU_PER_GIB

DOWN = Question("relay", "bulk down", CPU_PER_GIB)
REQUESTS = Question("relay", "requests of 16 B", RATE, 32, "connections")
SINGLE = Question("relay", "requests of 16 B", LATENCY_P50, 1, "connections")
LOOKUP = Question("routes", "lookup among 100,000 routes", Metric("time", "µs"))
CROWD = Question("mixed", "200 new connections a second", LATENCY_P99)

FIGURES: dict[Question, dict[str, tuple[float, ...]]] = {
    DOWN: {"podgate": (0.7, 0.8, 0.9), "haproxy": (1.6, 1.6, 1.7), "envoy": (0.5, 1.0, 1.1)},
    REQUESTS: {"podgate": (30_000.0, 31_000.0, 29_000.0), "haproxy": (30_000.0,), "nginx": (40_000.0,)},
    SINGLE: {"podgate": (150.0,), "direct": (15.0,)},
    LOOKUP: {"podgate": (0.5, 0.6, 0.7)},
    CROWD: {"podgate": (1000.0,)},
}


def record() -> Record:
    found = Record(
        machine={"when": "2026-11-21T10:00:00+00:00", "commit": "abc1234"},
        settings={"runs": 3.0, "seconds": 0.5},
        versions={"podgate": "0.1.0", "haproxy": "2.6.12"},
        notes=["hitch: apt-get install hitch; left out"],
    )
    for question, peers in FIGURES.items():
        for peer, values in peers.items():
            for value in values:
                found.add(question, peer, value)
    grows = tuple(100.0 + number for number in range(len(PROBABILITIES)))
    for peer in ("podgate", "direct"):
        for connections in (1, 8, 32):
            title = Question("relay", "requests of 16 B", LATENCY_P50, connections, "connections").title
            found.latencies.append(Latencies("relay", title, peer, grows))
    return found
