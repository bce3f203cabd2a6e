"""How much memory does a connection keep that does nothing?"""

from bench.experiment import TCP_PEERS, Experiment, Round
from bench.peers.all import DIRECT
from bench.record import Metric

LINKS = (1_000, 3_000, 6_000, 9_000)
PER_LINK = Metric("memory per connection", "KiB")
WHOLE = Metric("whole memory", "MiB")


def measure(turn: Round) -> None:
    """Open more and more connections, each used once, and ask the kernel what the proxy's processes hold."""
    assert turn.program
    with turn.load("idle") as load:
        load.tell("10")
        start = load.number()
        before = turn.program.resident_kib()
        for links in LINKS:
            load.tell(str(links))
            load.number()
            now = turn.program.resident_kib()
            turn.add("idle", PER_LINK, (now - before) / (links - start), links, "connections")
            turn.add("idle", WHOLE, now / 1024, links, "connections")


IDLE = Experiment(
    name="idle",
    asks="How much memory does an idle connection keep?",
    limits="Only what the proxy's processes hold (PSS); the kernel's part for two sockets comes on top for every peer.",
    measure=measure,
    peers=tuple(peer for peer in TCP_PEERS if peer != DIRECT),
    most_runs=1,
)
