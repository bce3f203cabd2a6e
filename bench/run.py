"""A whole run: which experiments and peers, what is missing, and where the results go."""

import tempfile
from collections.abc import Sequence
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


def measure(experiments: Sequence[str], peers: Sequence[str], runs: int, seconds: float, tell: Tell) -> Record:
    """Ask every experiment of every peer that is here. Raises Missing if the load programs cannot be built."""
    present, absent, versions = look_for(peers)
    settings = {"runs": float(runs), "seconds": seconds}
    record = Record(machine=machine.describe(), settings=settings, versions=versions, notes=list(absent))
    if cores.proxy_core() == cores.load_core():
        record.note("this machine gave one core only: proxy and load shared it, so only proxy cpu means anything")
    cores.pin_to_load_core()
    with tempfile.TemporaryDirectory(prefix="podgate-bench-") as name:
        tools = Path(name)
        if any(isinstance(EXPERIMENTS[experiment], Experiment) for experiment in experiments):
            build(tools)
        bench = Bench(tools, certificate.make(tools / "authority"), seconds, record)
        for name in experiments:
            try:
                _conduct(bench, name, present, runs, tell)
            except Missing as missing:
                record.note(f"{name} was left out. {missing}")
    return record


def _conduct(bench: Bench, name: str, present: Sequence[str], runs: int, tell: Tell) -> None:
    experiment = EXPERIMENTS[name]
    if isinstance(experiment, Experiment):
        asked = [peer for peer in experiment.peers if peer in present]
        if asked:
            conduct(bench, experiment, asked, min(runs, experiment.most_runs), tell)
    elif "podgate" in present:
        tell(f"{name} Podgate")
        with cores.on_all_cores():
            experiment.measure(runs, bench.record)


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


def directory_for(root: Path, suffix: str = "") -> Path:
    """Give where a run's results go unless told otherwise."""
    commit = machine.commit().replace("+", "-changed") or "no-commit"
    return root / f"{datetime.now(UTC):%Y-%m-%d}-{commit}{suffix}"
