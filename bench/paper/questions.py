"""What samples of a query's time answer."""

from bench.paper.plan import GRAPH, ROWS
from bench.record import Metric, Question

ROUND_TRIP = Metric("round trip", "s")
OPEN, INCLUDED = "open connection", "connect included"
AXES = {GRAPH: "nodes", ROWS: "rows"}


def question(part: str, client: str, how: str, size: int) -> Question:
    """Give the question of a client that asks for so much, with or without connecting."""
    return Question(part, f"{client}, {how}", ROUND_TRIP, size, AXES[part])
