"""What does a second worker cost, and how evenly does the kernel share connections out?

Beside the load there is one core for the proxy, so the two workers share it: what they do is not faster, but shows what
the switching between them costs. How many connections each has is told by its descriptors.
"""

from bench.connect import AT_ONCE, one_after_the_other
from bench.experiment import CPU_PER_REQUEST, MICROSECONDS, RATE, Experiment, Round
from bench.peers.podgate import PODGATE, PODGATE_2
from bench.record import Metric
from bench.relay import SIZES

CONNECTIONS = 32
SIZE = 16  # bytes
HELD = 1_000
BALANCE = "held open"
BUSIEST = Metric("share of the busiest worker", "%")


def measure(turn: Round) -> None:
    """Small messages, new connections, and a thousand held open."""
    with turn.load("requests", CONNECTIONS, SIZE, turn.seconds) as load:
        result, cpu = turn.measure(load)
    case = SIZES[SIZE]
    turn.add(case, RATE, result["count"] / result["seconds"], CONNECTIONS, "connections")
    turn.add(case, CPU_PER_REQUEST, cpu / result["count"] * MICROSECONDS, CONNECTIONS, "connections")
    turn.add_latencies(case, result["quantiles"], CONNECTIONS, "connections")
    one_after_the_other(turn, "full")
    turn.add(BALANCE, BUSIEST, 100 * _share_of_the_busiest(turn), HELD, "connections")


def _share_of_the_busiest(turn: Round) -> float:
    assert turn.program
    before = turn.program.descriptors()
    with turn.load("idle") as load:
        load.tell(str(HELD))
        load.number()
        held = [count - before.get(pid, 0) for pid, count in turn.program.descriptors().items()]
    return max(held) / sum(held)


WORKERS = Experiment(
    name="workers",
    asks="What does a second worker cost, and is the load shared evenly?",
    limits=f"One core for both workers. A connection stays with the worker that took it, and {CONNECTIONS} or "
    f"{AT_ONCE} of them are shared out less evenly than a thousand.",
    measure=measure,
    peers=(PODGATE.name, PODGATE_2.name),
)
