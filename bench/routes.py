"""What does a lookup, and what does one change, cost in a table of 100,000 routes?"""

import time

from bench.samples import Samples
from router.access import AccessLevel
from router.model import Protocol, Route, TcpAddress
from router.snapshot import Routes, Version, advance, delta_document, snapshot_document

ROUTES = 100_000
LOOKUPS = 10_000  # timed together: one lookup is far below the clock's resolution


def measure(runs: int) -> list[Samples]:
    """Load a snapshot, look up and change; everything that a worker does, without the channel it comes by."""
    load = Samples(f"snapshot of {ROUTES:,} routes, judged and loaded", "s")
    lookup = Samples(f"lookup among {ROUTES:,} routes", "µs")
    change = Samples(f"one route changed among {ROUTES:,}", "ms")
    every = [_route(number) for number in range(ROUTES)]
    document = snapshot_document(Version("bench", 1), every)
    routes = Routes()
    for _ in range(max(3, runs // 10)):
        began = time.perf_counter()
        routes = advance(Routes(), document)
        load.values.append(time.perf_counter() - began)
    hosts = [every[number * 7919 % ROUTES].host for number in range(LOOKUPS)]
    for number in range(runs):
        find = routes.table.find
        began = time.perf_counter()
        for host in hosts:
            find(host)
        lookup.values.append((time.perf_counter() - began) / LOOKUPS * 1e6)
        version = Version("bench", routes.version.number + 1)
        delta = delta_document(version, [_route(number)], [])
        began = time.perf_counter()
        routes = advance(routes, delta)
        change.values.append((time.perf_counter() - began) * 1e3)
    return [load, lookup, change]


def _route(number: int) -> Route:
    address = TcpAddress("10.0.0.1", 1024 + number % 60_000)
    return Route(f"pod-{number}.pods.example.org", Protocol.HTTP, (address,), AccessLevel.PUBLIC)
