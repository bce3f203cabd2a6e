"""Which pictures a run gets: only those whose questions it asked."""

from pathlib import Path

from bench import connect, http, idle, mixed, postgres, ready, relay, routes, workers
from bench.experiment import CPU_PER_REQUEST, LATENCY_P50, LATENCY_P99, RATE
from bench.pictures import bars, boxes, cdf, curves, style
from bench.record import Metric, Question, Record

SMALL = relay.SIZES[16]
FULL, RESUMED = "full handshakes", "resumed handshakes"


def _of(experiment: str, case: str, metric: Metric, at: int | None = None, axis: str = "") -> Question:
    return Question(experiment, case, metric, at, axis or ("" if at is None else "connections"))


def _titles(experiment: str, case: str, *connections: int) -> tuple[str, ...]:
    return tuple(_of(experiment, case, LATENCY_P50, count).title for count in connections)


GLANCE = (
    ("cpu per GiB down", _of("relay", "bulk down", relay.CPU_PER_GIB)),
    ("cpu per GiB up", _of("relay", "bulk up", relay.CPU_PER_GIB)),
    ("requests at 32 connections", _of("relay", SMALL, RATE, 32)),
    ("p50 at 1 connection", _of("relay", SMALL, LATENCY_P50, 1)),
    ("cpu per new connection", _of("connect", FULL, connect.CPU_PER_CONNECTION)),
    ("cpu per resumed connection", _of("resumed", RESUMED, connect.CPU_PER_CONNECTION)),
    ("p99 beside 200 new a second", _of("mixed", f"{mixed.NEW_PER_SECOND} new connections a second", LATENCY_P99)),
    ("memory per idle connection", _of("idle", "idle", idle.PER_LINK, idle.LINKS[-1])),
    ("http requests at 32", _of("http", http.CASE, RATE, 32)),
    ("http p50 at 1 connection", _of("http", http.CASE, LATENCY_P50, 1)),
    ("Postgres connect p50", _of("postgres", postgres.CASES["connect"], LATENCY_P50)),
    ("pgbench, 8 clients", _of("postgres", postgres.PGBENCH, postgres.TRANSACTIONS, 8, "clients")),
)
BOXES: dict[str, tuple[Question, ...]] = {
    "relay": (
        _of("relay", "bulk down", relay.CPU_PER_GIB),
        _of("relay", "bulk up", relay.CPU_PER_GIB),
        _of("relay", SMALL, LATENCY_P50, 1),
        _of("relay", SMALL, RATE, 32),
        _of("relay", SMALL, CPU_PER_REQUEST, 32),
        _of("relay", SMALL, LATENCY_P99, 32),
    ),
    "connect": (
        _of("connect", FULL, connect.CPU_PER_CONNECTION),
        _of("connect", FULL, connect.CONNECTIONS_RATE),
        _of("connect", "burst", LATENCY_P99, 500, "at once"),
    ),
    "resumed": (
        _of("resumed", RESUMED, connect.CPU_PER_CONNECTION),
        _of("resumed", RESUMED, connect.CONNECTIONS_RATE),
        _of("resumed", RESUMED, LATENCY_P50),
    ),
    "postgres": (
        _of("postgres", postgres.CASES["connect"], LATENCY_P50),
        _of("postgres", postgres.CASES["select"], LATENCY_P50),
        _of("postgres", postgres.CASES["rows"], postgres.CPU_PER_ANSWER),
        _of("postgres", postgres.PGBENCH, postgres.TRANSACTIONS, 1, "clients"),
        _of("postgres", postgres.PGBENCH, postgres.TRANSACTIONS, 8, "clients"),
        _of("postgres", postgres.PGBENCH, postgres.CPU_PER_TRANSACTION, 8, "clients"),
    ),
    "http": (
        _of("http", http.CASE, LATENCY_P50, 1),
        _of("http", http.CASE, RATE, 32),
        _of("http", http.CASE, CPU_PER_REQUEST, 32),
    ),
    "mixed": tuple(_of("mixed", case, LATENCY_P99) for case in list(mixed.WORDS)[1:]),
    "idle": (_of("idle", "idle", idle.PER_LINK, idle.LINKS[-1]), _of("idle", "idle", idle.WHOLE, idle.LINKS[-1])),
    "workers": (
        _of("workers", SMALL, CPU_PER_REQUEST, workers.CONNECTIONS),
        _of("workers", FULL, connect.CPU_PER_CONNECTION),
        _of("workers", workers.BALANCE, workers.BUSIEST, workers.HELD),
    ),
    "routes": (routes.LOOKUP, routes.CHANGE, routes.LOAD),
    "ready": (ready.READY, ready.GONE),
}
CURVES: dict[str, tuple[str, tuple[tuple[str, Metric], ...]]] = {
    "relay": ("Throughput against connections", tuple((case, RATE) for case in relay.SIZES.values())),
    "connect": ("When many come at once", (("burst", LATENCY_P50), ("burst", LATENCY_P99), ("sustained", LATENCY_P99))),
    "http": ("HTTP throughput against connections", ((http.CASE, RATE), (http.CASE, LATENCY_P99))),
    "idle": ("Memory against idle connections", (("idle", idle.WHOLE), ("idle", idle.PER_LINK))),
}
CDFS: dict[str, tuple[str, tuple[str, ...]]] = {
    "relay": ("Latency of small messages", _titles("relay", SMALL, 1, 8, 32)),
    "mixed": ("Latency of small messages beside others", tuple(mixed.WORDS)),
    "http": ("Latency of HTTP requests", _titles("http", http.CASE, 1, 32)),
    "postgres": ("Latency of Postgres", (postgres.CASES["connect"], postgres.CASES["select"])),
}
BOX_TITLES = {
    "relay": "Relaying",
    "connect": "New connections",
    "resumed": "Clients that come back",
    "postgres": "Postgres through StartTLS",
    "http": "HTTP",
    "mixed": "Small messages beside others",
    "idle": "Idle connections",
    "workers": "One worker and two, on one core",
    "routes": "100,000 routes",
    "ready": "From ready to reachable",
}


def draw(record: Record, directory: Path) -> list[str]:
    """Draw into `directory`; give the file names, each beginning with its experiment, the overview's with that word."""
    asked = set(record.experiments())
    files: list[str] = []
    with style.styled():
        glance = [(name, question) for name, question in GLANCE if record.peers([question])]
        if glance:
            files.append(bars.draw(record, glance, "Podgate beside its peers", directory / "overview.png"))
        for experiment in record.experiments():
            questions = [question for question in BOXES[experiment] if record.peers([question])]
            if questions:
                path = directory / f"{experiment}-samples.png"
                files.append(boxes.draw(record, questions, BOX_TITLES[experiment], path))
        for experiment, (title, panels) in CURVES.items():
            if experiment in asked:
                path = directory / f"{experiment}-growth.png"
                files.append(curves.draw(record, experiment, panels, title, path))
        for experiment, (title, cases) in CDFS.items():
            if experiment in asked:
                files.append(cdf.draw(record, experiment, cases, title, directory / f"{experiment}-latency.png"))
    return files
