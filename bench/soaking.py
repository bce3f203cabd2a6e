"""The load of a soak: a fresh gateway, short connections, minutes of clients of all manners, and then nothing."""

import math
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import certificate, cores, machine
from bench.flatness import AFTER, CONNECTIONS, MIXED, START
from bench.load.build import build
from bench.load.driver import Load, LoadFailed, upstream
from bench.peers.peer import HOST, Job
from bench.peers.podgate import PODGATE
from bench.process import Died, Program
from bench.rounds import free_port, serving
from bench.soaked import Soaked
from bench.watch import Sample, Watch

AT_ONCE = 8  # of the short connections, which follow each other as fast as they end
SLICE = 5_000  # connections a load program makes before it answers
ROUND = 20.0  # seconds the mixed load runs before it answers
SMALL = 32  # connections with small requests
SIZE = 16  # bytes of those
QUIET = 3.0  # seconds before the load
SETTLING = 90.0  # seconds after it until every descriptor has to be back; a half-open link may linger for 60
TOO_MANY = 100  # failures after which load/connect.c breaks a slice off
REPEATED = 3  # slices or rounds that may break off before that phase is given up

COMPLAINT = re.compile(r"[-\d]{10} \S+ (?:ERROR|CRITICAL) \d+ \S+: (.+)")  # as podgate/serving.py has lines written


@dataclass(frozen=True, slots=True)
class Plan:
    """How much."""

    connections: int
    minutes: float
    workers: int


@dataclass(frozen=True, slots=True)
class Tell:
    """Somebody who is told what goes on."""

    done: Callable[[str, float, float], None]  # a phase, how far it is, and how far it goes
    sample: Callable[[Sample], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the load finds the gateway."""

    tools: Path
    port: int
    program: Program

    def load(self, program: str, *arguments: object) -> Load:
        """Start a load program."""
        return Load([str(part) for part in (self.tools / program, self.port, HOST, *arguments)])


def conduct(plan: Plan, tell: Tell) -> Soaked:
    """Run a soak. Raises Missing if the load programs cannot be built, Died if the gateway does not start."""
    settings = {"connections": float(plan.connections), "minutes": plan.minutes, "workers": float(plan.workers)}
    soaked = Soaked(machine.describe(), settings)
    cores.pin_to_load_core()
    with tempfile.TemporaryDirectory(prefix="podgate-soak-") as name:
        directory = Path(name)
        build(directory)
        with _gateway(plan, directory) as place, Watch(place.program, tell.sample) as watch:
            soaked.samples = watch.samples
            try:
                _phases(plan, place, watch, soaked, tell)
            except Died as died:
                soaked.troubles.append(f"the gateway {died}")
            soaked.troubles += faults(place.program.log)
    return soaked


def faults(log: Path) -> list[str]:
    """Give what a gateway's log complains about: lines that differ in figures only are told once, with their number."""
    found: dict[str, tuple[int, str]] = {}
    with log.open(errors="replace") as lines:
        for line in lines:
            if complaint := COMPLAINT.match(line):
                kind = re.sub(r"\d+", "", complaint[1])
                count, first = found.get(kind, (0, complaint[1]))
                found[kind] = count + 1, first
    return [f"the gateway logged {count} times: {first}" for count, first in found.values()]


@contextmanager
def _gateway(plan: Plan, directory: Path) -> Iterator[Place]:
    presented = certificate.make(directory / "authority")
    (directory / "gateway").mkdir()
    with ExitStack() as stack:
        behind = stack.enter_context(upstream(str(directory / "upstream")))
        job = Job(directory / "gateway", free_port(), behind, workers=plan.workers)
        yield Place(directory, job.port, stack.enter_context(serving(PODGATE, job, presented)))


def _phases(plan: Plan, place: Place, watch: Watch, soaked: Soaked, tell: Tell) -> None:
    watch.phase = START
    time.sleep(QUIET)
    before = watch.look()
    if plan.connections:
        watch.phase = CONNECTIONS
        _connections(plan.connections, place, soaked, tell)
    if plan.minutes:
        watch.phase = MIXED
        _mixed(plan.minutes * 60, place, soaked, tell)
    watch.phase = AFTER
    _settle(before, place, watch, tell)


def _connections(wanted: int, place: Place, soaked: Soaked, tell: Tell) -> None:
    made = broken = 0
    while made < wanted and broken < REPEATED:
        tell.done(CONNECTIONS, made, wanted)
        count = min(SLICE, wanted - made)
        try:
            with place.load("connect", "full", "count", AT_ONCE, count) as load:
                load.await_ready()
                load.tell()
                result = load.result()
        except LoadFailed as failure:
            place.program.check()
            broken += 1
            soaked.count(CONNECTIONS, "short connections", 0, 1, str(failure))
            continue
        made += result["count"] + result["failed"]
        broken += result["failed"] >= TOO_MANY
        soaked.count(CONNECTIONS, "short connections", result["count"], result["failed"])
        if result["reused"]:
            soaked.troubles.append(f"{result['reused']} of {count} handshakes were resumed; all were to be full")
    if made < wanted:
        soaked.troubles.append(f"the short connections were given up after {made:,} of {wanted:,}")
    tell.done(CONNECTIONS, made, wanted)


def _mixed(seconds: float, place: Place, soaked: Soaked, tell: Tell) -> None:
    rounds = math.ceil(seconds / ROUND)
    broken = 0
    for number in range(rounds):
        tell.done(MIXED, number * seconds / rounds, seconds)
        try:
            _mixed_round(seconds / rounds, place, soaked)
        except LoadFailed as failure:
            place.program.check()
            broken += 1
            soaked.count(MIXED, "load programs", 0, 1, str(failure))
            if broken == REPEATED:
                soaked.troubles.append(f"the mixed load was given up in its round {number + 1} of {rounds}")
                return
    tell.done(MIXED, seconds, seconds)


def _mixed_round(seconds: float, place: Place, soaked: Soaked) -> None:
    with ExitStack() as stack:
        requests = stack.enter_context(place.load("requests", SMALL, SIZE, seconds))
        openings = stack.enter_context(place.load("connect", "full", "loop", AT_ONCE, seconds))
        manners = stack.enter_context(place.load("manners", seconds))
        loads = (requests, openings, manners)
        for load in loads:
            load.await_ready()
        for load in loads:
            load.tell()
        answered, opened, lived = (load.result() for load in loads)
    soaked.count(MIXED, f"requests of {SIZE} B", answered["count"], 0)
    soaked.count(MIXED, "short connections", opened["count"], opened["failed"])
    for manner, what in lived["manners"].items():
        soaked.count(MIXED, MANNERS[manner], what["count"] - what["failed"], what["failed"], what["why"])


def _settle(before: Sample, place: Place, watch: Watch, tell: Tell) -> None:
    """Wait until no process has more descriptors than before, or it takes too long."""
    tell.done(AFTER, 0, SETTLING)
    began = time.monotonic()
    while (passed := time.monotonic() - began) < SETTLING:
        place.program.check()
        time.sleep(1.0)
        now = watch.look()
        left = [name for name, was in before.processes.items() if _held(now, name) > was.descriptors]
        if passed > QUIET and not left:
            break
    tell.done(AFTER, passed, passed)


def _held(sample: Sample, name: str) -> int:
    return sample.processes[name].descriptors if name in sample.processes else 0


MANNERS = {  # of load/manners.c
    "small": "100 requests of up to 64 KiB",
    "down": "bulk down",
    "up": "bulk up",
    "half": "half-closing",
    "stall": "stalling and going on",
    "reset": "resetting in the middle of bulk",
    "vanish": "vanishing in the handshake",
}
