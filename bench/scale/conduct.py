"""Goes through a plan: every size with the same changes a second, the largest before that with ever more of them."""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import trio

from bench import cores, machine
from bench.missing import Missing
from bench.process import Died
from bench.scale.changes import Changes, Done
from bench.scale.kept import Scale
from bench.scale.marks import Arrival, Fact, arrivals, in_time, unseen, wrong
from bench.scale.processes import CHANGES, CONTROLLER, OTHERS, Running, check, started
from bench.scale.questions import (
    ACHIEVED,
    ALL,
    ANSWER,
    AXES,
    CPU,
    CPU_AT_REST,
    CPU_PER_1000,
    DROPPED,
    EVERY,
    FAILED,
    FIRST,
    GROUPS,
    LATE,
    LOST,
    MEMORY,
    RATE,
    SIZE,
    STARTUP,
    UNSEEN,
    question,
)
from bench.scale.report import broken
from controller.store.database import StoreFailure

Tell = Callable[[str, bool], None]  # what is done now, and whether it is one of the steps that are counted

REST = 2.0  # seconds in which nothing is asked of it, before each size's changes
QUIET = 20.0  # seconds without any news after which what is not there does not come
LONGEST_SETTLING = 120.0  # seconds that what is left may take to arrive
LOOK_EVERY = 0.5  # seconds
WHAT_FAILED = 3  # failures that are told in words
NOTHING = Fact(0, 0.0, "", "never heard of", "", "")
Failures = (Died, TimeoutError, Missing, StoreFailure)


def steps(scale: Scale) -> int:
    """Count the steps, if nothing breaks early."""
    return len(scale.plan.sizes) + len(scale.plan.rates)


def conduct(scale: Scale, save: Callable[[], None], tell: Tell) -> None:
    """Do all of it; `save` is called after each step. What cannot be measured is noted."""
    if cores.proxy_core() == cores.load_core():
        scale.record.note("this machine gave one core only: controller and all others shared it")
    cores.pin_to_load_core()
    for size in scale.plan.sizes:
        with tempfile.TemporaryDirectory(prefix="pgs", ignore_cleanup_errors=True) as name:
            try:
                with started(scale.plan, size, Path(name), lambda text: tell(text, False)) as running:
                    trio.run(_measure, scale, running, size, save, tell)
            except Failures as failure:
                scale.record.note(f"{size:,} pods: given up: {failure}")
                save()
            except BaseExceptionGroup as group:  # a nursery's way to say that somebody interrupted it
                if group.subgroup(KeyboardInterrupt) is None:
                    raise
                raise KeyboardInterrupt from None


async def _measure(scale: Scale, running: Running, size: int, save: Callable[[], None], tell: Tell) -> None:
    plan, record = scale.plan, scale.record
    record.add(question(SIZE, ALL, STARTUP, size), CONTROLLER, running.startup)
    changes = Changes(running.pods, running.home, running.url, plan.seed)
    window = partial(_window, scale, running, changes)
    try:
        before = running.programs[CONTROLLER].cpu_seconds()
        await trio.sleep(REST)
        rest = (running.programs[CONTROLLER].cpu_seconds() - before) / REST
        record.add(question(SIZE, ALL, CPU_AT_REST, size), CONTROLLER, rest)
        for rate in plan.rates if size == max(plan.sizes) else ():
            tell(f"{size:,} pods, {rate:g} changes a second", True)
            await window(RATE, rate, rate, plan.rate_seconds)
            save()
            if broken(scale, rate):
                break
        tell(f"{size:,} pods, {plan.rate:g} changes a second", True)
        await window(SIZE, size, plan.rate, plan.seconds)
        save()
    finally:
        await changes.aclose()


async def _window(
    scale: Scale, running: Running, changes: Changes, experiment: str, at: float, rate: float, seconds: float
) -> None:
    """Make changes at a rate, wait until they have arrived, and keep what that took."""
    record, programs, told, axis = scale.record, running.programs, running.told, AXES[experiment]
    told.forget()
    clocks = {name: program.cpu_seconds for name, program in programs.items()} | {CHANGES: time.process_time}
    clocks[OTHERS] = lambda: machine.busy_seconds() - sum(clocks[name]() for name in (*programs, CHANGES))
    before, began = {name: clock() for name, clock in clocks.items()}, time.monotonic()
    done = await changes.make(rate, seconds)
    lasted = time.monotonic() - began
    during = {name: clock() - before[name] for name, clock in clocks.items()}
    found, bad = await _settled(running, changes, done, scale.plan.gateways)
    check(programs)
    made = sum(done.made.values())
    for name, used in during.items():
        record.add(question(experiment, ALL, CPU, at), name, used / lasted)
    whole = programs[CONTROLLER].cpu_seconds() - before[CONTROLLER]
    if made:
        record.add(question(experiment, ALL, CPU_PER_1000, at), CONTROLLER, whole / made * 1000)
    for name, program in programs.items():
        record.add(question(experiment, ALL, MEMORY, at), name, program.resident_kib() / 1024)
    figures = {
        ACHIEVED: made / lasted,
        LOST: len(bad),
        UNSEEN: unseen(found),
        FAILED: len(done.failed),
        DROPPED: done.dropped,
        LATE: done.late,
    }
    for metric, value in figures.items():
        record.add(question(experiment, ALL, metric, at), CONTROLLER, float(value))
    for host in bad[:WHAT_FAILED]:
        last = sorted({told.last[gateway].get(host, NOTHING)[2:] for gateway in told.last})
        record.note(f"{at:g} {axis}: {host} is wrong: expected {changes.wishes[host]}, gateways have {last}")
    for text in sorted(set(done.failed))[:WHAT_FAILED]:
        record.note(f"{at:g} {axis}: {text}")
    for value in done.answers:
        record.add(question(experiment, ALL, ANSWER, at), CONTROLLER, round(value, 5))
    for case, kinds in GROUPS.items():
        for metric, every in ((FIRST, False), (EVERY, True)):
            for lag in in_time(found, kinds, every=every):
                record.add(question(experiment, case, metric, at), CONTROLLER, round(lag, 5))


async def _settled(running: Running, changes: Changes, done: Done, gateways: int) -> tuple[list[Arrival], list[str]]:
    """Wait until all routes are as they are to be, as long as news come; give what arrived, and the hosts of those that
    are not.
    """
    told, known = running.told, (-1, -1)
    until = quiet_at = trio.current_time() + LONGEST_SETTLING
    while True:
        await trio.sleep(LOOK_EVERY)
        told.look()
        news = len(told.marks), len(told.facts)
        if news != known:
            known, quiet_at = news, min(trio.current_time() + QUIET, until)
        bad = wrong(changes.wishes, told.addresses, told.last, gateways)
        if not bad or trio.current_time() >= quiet_at:
            return arrivals([*done.marks, *told.marks], told.facts, gateways), bad
