"""The targets, and whether a run met them: ratios of medians measured side by side, or plain limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench import connect, http, idle, mixed, postgres, ready, relay, routes
from bench.experiment import LATENCY_P50, LATENCY_P99, RATE
from bench.record import Metric, Question, Record
from bench.samples import median, percentile

PODGATE = "podgate"
RELAYS = ("haproxy", "envoy", "nginx", "hitch", "traefik")
POSTGRES_PROXIES = ("traefik", "pgbouncer")
SMALL = relay.SIZES[16]


@dataclass(frozen=True, slots=True)
class Target:
    """What is to hold: at most (at least, where more is better) `limit` times the figure of the best of `against`.

    Without anybody to compare with, `limit` is in the figure's own unit, of the median or the p99 of its samples.
    """

    what: str
    question: Question
    limit: float
    against: tuple[str, ...] = ()
    statistic: Literal["median", "p99"] = "median"
    of: str = PODGATE  # which of Podgate's own


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came out: the figure, whom it was compared with, and how far from the limit it is. None: not measured."""

    target: Target
    figure: float | None
    peer: str
    ratio: float | None

    @property
    def met(self) -> bool | None:
        """Tell whether the target was met; None if it was not measured."""
        if self.ratio is None:
            return None
        more = self.target.question.metric.better == "more"
        return self.ratio >= self.target.limit if more else self.ratio <= self.target.limit


def _relay(case: str, metric: Metric, at: int | None = None) -> Question:
    return Question("relay", case, metric, at, "" if at is None else "connections")


def _pgbench(metric: Metric, clients: int) -> Question:
    return Question("postgres", postgres.PGBENCH, metric, clients, "clients")


_ROWS = Question("postgres", postgres.CASES["rows"], postgres.CPU_PER_ANSWER)
_CONNECT = Question("postgres", postgres.CASES["connect"], LATENCY_P50)
_CROWD = f"{mixed.NEW_PER_SECOND} new connections a second"
_GET = http.CASE

TARGETS = (
    Target("cpu per GiB down", _relay("bulk down", relay.CPU_PER_GIB), 1.00, RELAYS),
    Target("cpu per GiB down, beside HAProxy", _relay("bulk down", relay.CPU_PER_GIB), 0.45, ("haproxy",)),
    Target("cpu per GiB up", _relay("bulk up", relay.CPU_PER_GIB), 1.00, RELAYS),
    Target("cpu per GiB up, beside HAProxy", _relay("bulk up", relay.CPU_PER_GIB), 0.45, ("haproxy",)),
    Target("requests/s, 32 connections", _relay(SMALL, RATE, 32), 1.00, RELAYS),
    Target("p50, 1 connection", _relay(SMALL, LATENCY_P50, 1), 1.00, ("haproxy",)),
    Target("p50, 1 connection (moonshot)", _relay(SMALL, LATENCY_P50, 1), 1.00, ("traefik",)),
    Target("p99, 32 connections, 200 new a second", Question("mixed", _CROWD, LATENCY_P99), 1.10, ("haproxy",)),
    Target(
        "cpu per new connection, full handshake",
        Question("connect", "full handshakes", connect.CPU_PER_CONNECTION),
        1.00,
        ("haproxy",),
    ),
    Target(
        "cpu per new connection, resumed (Podgate issues no tickets)",
        Question("resumed", "resumed handshakes", connect.CPU_PER_CONNECTION),
        1.00,
        ("haproxy",),
    ),
    Target(
        "memory per idle connection",
        Question("idle", "idle", idle.PER_LINK, idle.LINKS[-1], "connections"),
        1.25,
        ("haproxy",),
    ),
    Target(
        "memory per idle connection, beside Traefik",
        Question("idle", "idle", idle.PER_LINK, idle.LINKS[-1], "connections"),
        0.40,
        ("traefik",),
    ),
    Target(
        "http requests/s, 32 connections (access read, cookie checked)",
        Question("http", _GET, RATE, 32, "connections"),
        1.00,
        ("envoy", "traefik"),
    ),
    Target("http p50, 1 connection", Question("http", _GET, LATENCY_P50, 1, "connections"), 1.00, ("traefik",)),
    Target("pgbench tps, 1 client", _pgbench(postgres.TRANSACTIONS, 1), 1.00, POSTGRES_PROXIES),
    Target("pgbench tps, 8 clients", _pgbench(postgres.TRANSACTIONS, 8), 1.00, POSTGRES_PROXIES),
    Target("pgbench cpu/transaction, 1 client", _pgbench(postgres.CPU_PER_TRANSACTION, 1), 1.00, POSTGRES_PROXIES),
    Target("pgbench cpu/transaction, 8 clients", _pgbench(postgres.CPU_PER_TRANSACTION, 8), 1.00, POSTGRES_PROXIES),
    Target("cpu of 100,000 Postgres rows", _ROWS, 1.00, POSTGRES_PROXIES),
    Target("Postgres connect p50", _CONNECT, 1.00, POSTGRES_PROXIES),
    Target("Postgres connect p50, direct TLS", _CONNECT, 1.00, ("haproxy",), of="podgate-direct"),
    Target("pod ready → first answer, p99", ready.READY, 50.0, statistic="p99"),
    Target("route lookup in 100,000", routes.LOOKUP, 2.0),
    Target("one route changed in 100,000", routes.CHANGE, 5.0),
)


def judge(record: Record, targets: Sequence[Target] = TARGETS) -> list[Verdict]:
    """Compare a run with the targets."""
    return [_judge(record, target) for target in targets]


def _judge(record: Record, target: Target) -> Verdict:
    ours = record.values(target.question, target.of)
    if not ours:
        return Verdict(target, None, "", None)
    if not target.against:
        figure = median(ours) if target.statistic == "median" else percentile(ours, 0.99)
        return Verdict(target, figure, "", figure)
    others = {peer: median(found) for peer in target.against if (found := record.values(target.question, peer))}
    if not others:
        return Verdict(target, median(ours), "", None)
    choose = max if target.question.metric.better == "more" else min
    best = choose(others, key=lambda peer: others[peer])
    return Verdict(target, median(ours), best, median(ours) / others[best] if others[best] else None)
