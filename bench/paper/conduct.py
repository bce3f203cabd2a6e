"""Goes through a plan: each part with its databases and proxies running, round by round, each kept when it is done."""

import gc
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from bench import certificate, cores, machine
from bench.load.build import build
from bench.load.driver import LoadFailed
from bench.missing import Missing
from bench.paper import arrivals, asking
from bench.paper.asking import Ask, Bench, said
from bench.paper.backends import Asked, Tell
from bench.paper.kept import Paper
from bench.paper.plan import ARRIVALS, Plan, Work, rounds, works
from bench.paper.questions import AXES
from bench.peers.all import LABELS
from bench.peers.podgate import PODGATE, PODGATE_DROP
from bench.process import Died
from bench.record import Record
from bench.rounds import order

Failures = (*asking.Failures, LoadFailed, Died)


def conduct(paper: Paper, own: Sequence[Asked], save: Callable[[], None], tell: Tell) -> None:
    """Do what is left of a run; `save` is called after each round. What cannot be measured is noted."""
    record = paper.record
    if cores.proxy_core() == cores.load_core():
        record.note("this machine gave one core only: proxy and load shared it")
    if record.machine.get("commit") != machine.commit():
        record.note(f"it was continued by commit {machine.commit()}")
    cores.pin_to_load_core()
    with tempfile.TemporaryDirectory(prefix="podgate-paper-") as name:
        tools = Path(name)
        tools.chmod(0o711)  # PostgreSQL runs as somebody else
        made = certificate.make(tools / "authority")
        bench = Bench(tools, made, tools / "authority" / "ca.pem", own, lambda text: tell(text, False))
        for part in paper.parts:
            left = list(rounds(works(paper.plan, part), paper.done))
            if not left:
                continue
            record.notes = [note for note in record.notes if not note.startswith(f"{part} was left out. ")]
            try:
                with _opened(bench, paper.plan, part, record) as (ask, present):
                    _conduct(paper, left, ask, present, save, tell)
            except (Missing, *Failures) as failure:
                record.note(f"{part} was left out. {said(failure)}")
                save()


def _opened(bench: Bench, plan: Plan, part: str, record: Record) -> AbstractContextManager[tuple[Ask, list[str]]]:
    if part != ARRIVALS:
        return asking.opened(bench, plan, part, record)
    build(bench.tools)
    ours = [name for name in plan.ways if name in LABELS]
    if PODGATE.name in ours:
        ours.insert(ours.index(PODGATE.name) + 1, PODGATE_DROP.name)
    return arrivals.opened(bench.tools, bench.certificate, bench.ca, ours, plan.seconds, record)


def _conduct(
    paper: Paper, left: Sequence[tuple[Work, int]], ask: Ask, present: list[str], save: Callable[[], None], tell: Tell
) -> None:
    failed: set[str] = set()
    for work, number in left:
        tell(f"{title(work)}, {number + 1}/{work.runs}", True)
        found = Record()  # of the whole round: a round that is interrupted leaves nothing
        for name in order(present, number):
            if name in failed:
                continue
            gc.collect()  # what the one before left is not this one's
            try:
                ask(work, name, found)
            except Failures as error:
                failed.add(name)
                found.note(f"{LABELS.get(name, name)} gave up in {title(work)}, run {number + 1}: {said(error)}")
        paper.record.absorb(found)
        paper.done[work.key] = number + 1
        save()


def title(work: Work) -> str:
    """Give a work in words."""
    unit = AXES.get(work.part, {"burst": "at once", "rate": "a second"}.get(work.shape, ""))
    return f"{work.part}: {work.what}, {work.number:,} {unit}"
