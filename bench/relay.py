"""What does passing bytes cost, and how long does it take, once a connection stands?

Small messages first: a process that has moved bulk has its buffers' pages, which flatters what comes after.
"""

from bench.experiment import CPU_PER_REQUEST, MICROSECONDS, RATE, TCP_PEERS, Experiment, Round
from bench.record import Metric

CONNECTIONS = (1, 8, 32, 256)
SIZES = {16: "requests of 16 B", 1024: "requests of 1 KiB", 65536: "requests of 64 KiB"}
CPU_PER_GIB = Metric("cpu per GiB", "s/GiB")
SPEED = Metric("speed", "MB/s", "more")
GIB = 2**30


def measure(turn: Round) -> None:
    """Ask for answers of three sizes over few and many connections, then move bulk down and up."""
    for size, case in SIZES.items():
        for connections in CONNECTIONS:
            with turn.load("requests", connections, size, turn.seconds) as load:
                result, cpu = turn.measure(load)
            turn.add(case, RATE, result["count"] / result["seconds"], connections, "connections")
            turn.add_latencies(case, result["quantiles"], connections, "connections")
            if turn.program:
                turn.add(case, CPU_PER_REQUEST, cpu / result["count"] * MICROSECONDS, connections, "connections")
    for direction in ("down", "up"):
        with turn.load("bulk", direction, turn.seconds) as load:
            result, cpu = turn.measure(load)
        if turn.program:
            turn.add(f"bulk {direction}", CPU_PER_GIB, cpu / (result["bytes"] / GIB))
        turn.add(f"bulk {direction}", SPEED, result["bytes"] / result["seconds"] / 1e6)


RELAY = Experiment(
    name="relay",
    asks="What does passing bytes cost once a connection stands?",
    limits="Requests: the proxy's core. Bulk speed: the other core, where the client decrypts and the upstream copies; "
    "so judge bulk by the proxy's cpu per GiB.",
    measure=measure,
    peers=TCP_PEERS,
)
