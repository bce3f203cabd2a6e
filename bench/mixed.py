"""Do small messages stay quick while others move bulk and come in crowds?

The bulk client has the lowest priority on the load core: it takes all the bytes the core has time for, so the proxy
always has more to send, but it does not delay the clients whose latency is the question.
"""

from contextlib import ExitStack

from bench.experiment import TCP_PEERS, Experiment, Round
from bench.peers.all import DIRECT
from bench.record import Metric

CONNECTIONS = 32
SIZE = 16  # bytes
NEW_PER_SECOND = 200
WORDS = {
    "nothing else": (False, False),
    f"{NEW_PER_SECOND} new connections a second": (False, True),
    "one bulk transfer": (True, False),
    f"bulk and {NEW_PER_SECOND} new connections a second": (True, True),
}
BULK_SPEED = Metric("speed of the bulk beside", "MB/s", "more")


def measure(turn: Round) -> None:
    """Small messages on 32 connections, alone and beside others."""
    for case, (bulk, crowd) in WORDS.items():
        with ExitStack() as stack:
            seconds = turn.seconds + 0.3  # the others begin before and end after
            others = []
            if bulk:
                others.append(stack.enter_context(turn.load("bulk", "down", seconds, nice=19)))
            if crowd:
                others.append(stack.enter_context(turn.load("connect", "full", "rate", NEW_PER_SECOND, seconds)))
            load = stack.enter_context(turn.load("requests", CONNECTIONS, SIZE, turn.seconds))
            load.await_ready()
            for other in others:
                other.await_ready()
            for other in others:
                other.tell()
            load.tell()
            turn.add_latencies(case, load.result()["quantiles"])
            results = [other.result() for other in others]
        if bulk:
            turn.add(case, BULK_SPEED, results[0]["bytes"] / results[0]["seconds"] / 1e6)


MIXED = Experiment(
    name="mixed",
    asks="Do small messages stay quick while others move bulk and come in crowds?",
    limits="The proxy's core, which is saturated; the bulk transfer takes only what the clients' core has left.",
    measure=measure,
    peers=tuple(peer for peer in TCP_PEERS if peer != DIRECT),
)
