"""Queries that return much, asked of every way to a database: what graph and rows have in common."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from bench.certificate import Certificate
from bench.paper import graph, rows
from bench.paper.backends import LOOPBACK, Asked, Site, Way, ways
from bench.paper.limit import time_limit
from bench.paper.plan import GRAPH, ROWS, Plan, Work, works
from bench.paper.questions import AXES, INCLUDED, OPEN, question
from bench.peers.all import DIRECT, LABELS
from bench.peers.peer import Mode
from bench.record import Record

Tell = Callable[[str], None]
Ask = Callable[[Work, str, Record], None]

PATIENCE, FILLING = 600.0, 1800.0  # seconds for one query, and to make what it asks for
SOURCES: Mapping[str, tuple[ModuleType, Mode]] = {GRAPH: (graph, Mode.BOLT), ROWS: (rows, Mode.POSTGRES)}
Failures = (*graph.Failures, *rows.Failures)


@dataclass(frozen=True, slots=True)
class Bench:
    """What the parts of a run have in common."""

    tools: Path
    certificate: Certificate
    ca: Path
    own: Sequence[Asked]  # backends of the user's
    tell: Tell


def said(error: Exception) -> str:
    """Give an error in one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__


@contextmanager
def opened(bench: Bench, plan: Plan, part: str, record: Record) -> Iterator[tuple[Ask, list[str]]]:
    """Run a database and the proxies before it, filled and warm; give what asks, and who is there. Raises Missing."""
    source, mode = SOURCES[part]
    behind, before = bench.tools / f"behind-{part}", bench.tools / f"before-{part}"
    behind.mkdir()
    before.mkdir()
    bench.tell(f"{part}: starting a database")
    with source.database(behind) as (port, login):
        bench.tell(f"{part}: making {max(plan.sizes):,} {AXES[part]}")
        with time_limit(FILLING):
            source.fill(Way(DIRECT, LOOPBACK, port, login), max(plan.sizes))
        site = Site(bench.certificate, bench.ca, mode, port, login)
        ours = [name for name in plan.ways if name in LABELS]
        with ways(site, ours, record, before) as found:
            there = dict(found)
            for one in bench.own:
                if one.mode is mode and _is_filled(source, one, plan, record):
                    there[one.name] = one.way()
            ask = _asking(source, there)
            bench.tell(f"{part}: warming up")
            yield ask, _warm(ask, list(there), works(plan, part), record)


def _is_filled(source: ModuleType, asked: Asked, plan: Plan, record: Record) -> bool:
    try:
        with time_limit(FILLING):
            source.fill(asked.way(), max(plan.sizes))
    except Failures as error:
        record.note(f"{asked.name} was left out: {said(error)}")
        return False
    record.note(f"{asked.name} is {asked.way().uri}; what was made there for the benchmark is still there")
    return True


def _asking(source: ModuleType, there: Mapping[str, Way]) -> Ask:
    def ask(work: Work, name: str, into: Record) -> None:
        with time_limit(PATIENCE):
            connecting, asking = source.ask(there[name], work.what, work.number)
        into.add(question(work.part, work.what, OPEN, work.number), name, asking)
        into.add(question(work.part, work.what, INCLUDED, work.number), name, connecting + asking)

    return ask


def _warm(ask: Ask, names: Sequence[str], asked: Sequence[Work], record: Record) -> list[str]:
    """Ask once and keep nothing: caches, compiled Java, connections; who fails takes no part."""
    ready = list(names)
    for work in (one for one in asked if one.warms):
        for name in list(ready):
            try:
                ask(work, name, Record())
            except Failures as error:
                ready.remove(name)
                record.note(f"{work.part}: {LABELS.get(name, name)} was left out ({work.key}): {said(error)}")
    return ready
