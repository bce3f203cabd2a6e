"""The method: every round a fresh process, peers in alternating order, one upstream for all of them.

Order matters on a machine that warms up, throttles or is shared: the peers go first to last in one run and last to
first in the next, each run beginning with another, so that none always has the same neighbours.
"""

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import certificate
from bench.certificate import Certificate
from bench.cores import on_proxy_core
from bench.experiment import Experiment, Round
from bench.load.driver import LoadFailed
from bench.peers.all import DIRECT, LABELS, PEERS
from bench.peers.peer import Job, Peer
from bench.process import Died, Program, running
from bench.record import Record
from bench.serves import serves

Tell = Callable[[str], None]  # somebody who is told what goes on, before each round

STARTING = 20.0  # seconds a peer gets until it serves


@dataclass(frozen=True, slots=True)
class Bench:
    """What all rounds have in common."""

    tools: Path
    certificate: Certificate
    seconds: float
    record: Record


def order(peers: Sequence[str], run: int) -> list[str]:
    """Give the order of the peers in a run (counted from 0)."""
    start = run // 2 % len(peers)
    turned = [*peers[start:], *peers[:start]]
    return turned if run % 2 == 0 else turned[::-1]


def conduct(bench: Bench, experiment: Experiment, peers: Sequence[str], runs: int, tell: Tell) -> None:
    """Ask every peer `runs` times. What fails is noted, and the others go on."""
    failed: set[str] = set()
    with _directory() as directory, experiment.upstream(bench.tools, directory) as (upstream, extra):
        for run in range(runs):
            for name in order(peers, run):
                tell(f"{experiment.name} {run + 1}/{runs} {LABELS[name]}")
                if name in failed:
                    continue
                try:
                    _one_round(bench, experiment, name, run, (upstream, extra))
                except (Died, LoadFailed, OSError) as error:
                    failed.add(name)
                    bench.record.note(f"{experiment.name}: {LABELS[name]} gave up in run {run + 1}: {error}")


def _one_round(bench: Bench, experiment: Experiment, name: str, run: int, upstream: tuple[int, object]) -> None:
    port, extra = upstream
    with ExitStack() as stack:
        program = None
        if name != DIRECT:
            peer = PEERS[name]
            directory = stack.enter_context(_directory())
            job = Job(directory, free_port(), port, experiment.mode, experiment.resumption)
            program = stack.enter_context(serving(peer, job, bench.certificate))
            port = job.port
        experiment.measure(
            Round(experiment.name, name, port, program, bench.tools, bench.seconds, run, bench.record, extra)
        )


@contextmanager
def serving(peer: Peer, job: Job, presented: Certificate) -> Iterator[Program]:
    """Run a peer while the block runs; it serves when the block begins. Raises Died if it does not."""
    for file, text in peer.files(job).items():
        (job.directory / file).write_text(text)
    certificate.write(presented, job)
    command = on_proxy_core(peer.command(job))
    if peer.user is not None and os.geteuid() == 0:
        command = ["setpriv", "--reuid", peer.user, "--clear-groups", *command]
        for path in (job.directory, *job.directory.iterdir()):
            shutil.chown(path, peer.user)
    with running(command, job.directory / "log", peer.environment) as program:
        if not program.comes_to(lambda: serves(job.port, job.mode, peer.direct_tls), STARTING):
            raise Died(f"does not serve within {STARTING:g} s")
        yield program


def free_port(after: int = 0) -> int:
    """Give a port nobody listens on, outside the range that clients' own ports come from; `after` is taken already."""
    for port in range(max(20_000 + os.getpid() % 5_000, after + 1), 32_000):
        with closing(socket.socket()) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port between 20000 and 32000")


@contextmanager
def _directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="podgate-bench-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
