"""A whole run: which experiments and peers, what is missing, and where the results go."""

import errno
import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench import certificate, cores, machine
from bench.experiment import Experiment
from bench.experiments import EXPERIMENTS
from bench.load.build import build
from bench.missing import Missing
from bench.peers.all import DIRECT, PEERS
from bench.record import Record
from bench.rounds import Bench, Tell, conduct

RESULTS = Path("bench") / "results"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured."""

    experiments: Sequence[str]
    peers: Sequence[str]  # those that are here
    runs: int
    seconds: float


def begin(plan: Plan, absent: Sequence[str], versions: dict[str, str]) -> Record:
    """Make the record of a run that has not found anything yet."""
    asked = {peer for name in plan.experiments for peer in EXPERIMENTS[name].peers}
    return Record(
        machine=machine.describe(),
        settings={"runs": float(plan.runs), "seconds": plan.seconds},
        versions={name: version for name, version in versions.items() if name in asked},
        notes=list(absent),
    )


def measure(plan: Plan, record: Record, tell: Tell) -> None:
    """Ask every experiment of every peer; what is found is kept at once. Raises Missing without load programs."""
    if cores.proxy_core() == cores.load_core():
        record.note("this machine gave one core only: proxy and load shared it, so only proxy cpu means anything")
    cores.pin_to_load_core()
    with tempfile.TemporaryDirectory(prefix="podgate-bench-") as name:
        tools = Path(name)
        if any(isinstance(EXPERIMENTS[experiment], Experiment) for experiment in plan.experiments):
            build(tools)
        bench = Bench(tools, certificate.make(tools / "authority"), plan.seconds, record)
        for name in plan.experiments:
            try:
                _conduct(bench, name, plan.peers, plan.runs, tell)
            except Missing as missing:
                record.note(f"{name} was left out. {missing}")


def _conduct(bench: Bench, name: str, present: Sequence[str], runs: int, tell: Tell) -> None:
    experiment = EXPERIMENTS[name]
    if isinstance(experiment, Experiment):
        asked = [peer for peer in experiment.peers if peer in present]
        if asked:
            conduct(bench, experiment, asked, min(runs, experiment.most_runs), tell)
        else:
            bench.record.note(
                f"{name} was left out. It asks {', '.join(experiment.peers)}, and none of them takes part"
            )
    elif "podgate" in present:
        tell(f"{name} Podgate")
        with cores.on_all_cores():
            experiment.measure(runs, bench.record)
    else:
        bench.record.note(f"{name} was left out. It asks podgate, which does not take part")


def look_for(peers: Sequence[str]) -> tuple[list[str], list[str], dict[str, str]]:
    """Give the peers that are here, a line for each that is not, and versions."""
    present, absent, versions = [], [], {}
    for name in peers:
        if name == DIRECT:
            present.append(name)
            continue
        try:
            program = PEERS[name].find()
        except Missing as missing:
            absent.append(f"{missing}; left out")
        else:
            present.append(name)
            versions[name] = PEERS[name].version(program)
    return present, absent, versions


def rounds(experiments: Sequence[str], peers: Sequence[str], runs: int) -> int:
    """Give how often somebody will be told that a round begins, if nothing is missing."""
    total = 0
    for name in experiments:
        experiment = EXPERIMENTS[name]
        if isinstance(experiment, Experiment):
            total += min(runs, experiment.most_runs) * sum(peer in peers for peer in experiment.peers)
        else:
            total += "podgate" in peers
    return total


def make_directory(asked: Path | None, name: str, suffix: str = "") -> Path:
    """Make the directory for results, before anything is measured: `asked`, or one named after the day and the commit.

    `name` is the file that results are kept in; a directory that has one is not used again. Raises OSError.
    """
    directory = asked or _unused(name, suffix)
    directory.mkdir(parents=True, exist_ok=True)
    if (directory / name).exists():
        raise FileExistsError(errno.EEXIST, "it has the results of another run")
    (directory / name).touch()
    (directory / name).unlink()
    return directory


def _unused(name: str, suffix: str) -> Path:
    commit = machine.commit().replace("+", "-changed") or "no-commit"
    first = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-{commit}{suffix}"
    others = (first.with_name(f"{first.name}-{number}") for number in itertools.count(2))
    return next(path for path in itertools.chain([first], others) if not (path / name).exists())
