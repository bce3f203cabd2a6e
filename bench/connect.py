"""What does a new connection cost, and do many of them at once get through?

A connection counts from its first packet to the answer to one message of 16 bytes. Which kind of handshake it was is
asked of the client's TLS library, not assumed: a row of full (resumed) handshakes has no other kind in it.
"""

from typing import Any, Literal

from bench.experiment import MICROSECONDS, TCP_PEERS, Experiment, Round
from bench.peers.all import DIRECT
from bench.record import Metric

AT_ONCE = 8  # of the connections that follow each other as fast as they end
BURSTS = (10, 50, 100, 250, 500)
RATES = (10, 50, 100, 250, 500)
CPU_PER_CONNECTION = Metric("cpu per connection", "µs")
CONNECTIONS_RATE = Metric("connections per second", "conn/s", "more")
CASES = {"burst": ("burst", "at once"), "rate": ("sustained", "a second")}
SUCCEEDED = Metric("succeeded", "%", "more")


def measure_full(turn: Round) -> None:
    """New clients: one after the other, in bursts, and at fixed rates."""
    one_after_the_other(turn, "full")
    for count in BURSTS:
        many(turn, "burst", count)
    for rate in RATES:
        many(turn, "rate", rate)


def measure_resumed(turn: Round) -> None:
    """Clients that come back with a ticket."""
    one_after_the_other(turn, "resumed")


def one_after_the_other(turn: Round, kind: str) -> None:
    """Connect as fast as connections end; `kind` is full or resumed."""
    case = f"{kind} handshakes"
    with turn.load("connect", kind, "loop", AT_ONCE, turn.seconds) as load:
        result, cpu = turn.measure(load)
    count, other = result["count"], result["reused"] if kind == "full" else result["count"] - result["reused"]
    if other:
        turn.record.note(f"{turn.peer}: {other} of {count} handshakes were not {kind}, so it has no row of those")
        return
    if turn.program:
        turn.add(case, CPU_PER_CONNECTION, cpu / count * MICROSECONDS)
    turn.add(case, CONNECTIONS_RATE, count / result["seconds"])
    turn.add_latencies(case, result["quantiles"])


def many(turn: Round, shape: Literal["burst", "rate"], number: int, said: str = "", *speech: str) -> dict[str, Any]:
    """Connect `number` times at once, or a second, and keep how many got through and how soon; give what the load told.

    `speech` is what they say, for load/connect.c, and `said` the same in a word, for people.
    """
    case, axis = CASES[shape]
    case = f"{said}, {case}" if said else case
    with turn.load("connect", "full", shape, number, turn.seconds, *speech) as load:
        result, _cpu = turn.measure(load)
    turn.add(case, SUCCEEDED, 100 * result["count"] / (result["count"] + result["failed"]), number, axis)
    if result["count"]:
        turn.add_latencies(case, result["quantiles"], number, axis)
    return result


CONNECT = Experiment(
    name="connect",
    asks="What does a new connection cost, and do many at once get through?",
    limits="The client's own half of each handshake, on the other core, costs about as much as the proxy's; "
    "so judge by the proxy's cpu per connection.",
    measure=measure_full,
    peers=TCP_PEERS,
)
RESUMED = Experiment(
    name="resumed",
    asks="What does a client that comes back cost?",
    limits="As for new connections. Peers that resume no sessions have no row.",
    measure=measure_resumed,
    peers=tuple(peer for peer in TCP_PEERS if peer != DIRECT),
    resumption=True,
)
