"""What does a lookup, and what does one change, cost in a table of 100,000 routes?"""

import time

from bench.experiment import OwnExperiment
from bench.record import Metric, Question, Record
from router.access import AccessLevel
from router.model import Protocol, Route, TcpAddress
from router.snapshot import Routes, Version, advance, delta_document, snapshot_document

ROUTES = 100_000
LOOKUPS = 10_000  # timed together: one lookup is far below the clock's resolution
REPEATS = 6  # samples a run


LOAD = Question("routes", f"snapshot of {ROUTES:,} routes, judged and loaded", Metric("time", "s"))
LOOKUP = Question("routes", f"lookup among {ROUTES:,} routes", Metric("time", "µs"))
CHANGE = Question("routes", f"one route changed among {ROUTES:,}", Metric("time", "ms"))


def measure(runs: int, record: Record) -> None:
    """Load a snapshot, look up and change; everything that a worker does, without the channel it comes by."""
    every = [_route(number) for number in range(ROUTES)]
    document = snapshot_document(Version("bench", 1), every)
    routes = Routes()
    for _ in range(min(3, runs)):
        began = time.perf_counter()
        routes = advance(Routes(), document)
        record.add(LOAD, "podgate", time.perf_counter() - began)
    hosts = [every[number * 7919 % ROUTES].host for number in range(LOOKUPS)]
    for number in range(runs * REPEATS):
        find = routes.table.find
        began = time.perf_counter()
        for host in hosts:
            find(host)
        record.add(LOOKUP, "podgate", (time.perf_counter() - began) / LOOKUPS * 1e6)
        version = Version("bench", routes.version.number + 1)
        delta = delta_document(version, [_route(number)], [])
        began = time.perf_counter()
        routes = advance(routes, delta)
        record.add(CHANGE, "podgate", (time.perf_counter() - began) * 1e3)


def _route(number: int) -> Route:
    address = TcpAddress("10.0.0.1", 1024 + number % 60_000)
    return Route(f"pod-{number}.pods.example.org", Protocol.HTTP, (address,), AccessLevel.PUBLIC)


ROUTES_EXPERIMENT = OwnExperiment(
    name="routes",
    asks="What do a lookup and a change cost among 100,000 routes?",
    limits="One core; the channel that brings a change is not part of it.",
    measure=measure,
)
