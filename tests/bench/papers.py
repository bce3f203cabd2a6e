"""A small fixed run of the paper's experiment, for whatever reads one."""

from bench.connect import CASES, SUCCEEDED
from bench.experiment import LATENCY_P50, LATENCY_P90, LATENCY_P99
from bench.paper.arrivals import WITHIN
from bench.paper.kept import Paper
from bench.paper.plan import ARRIVALS, BYTES, DRIVER, GRAPH, PARTS, SHAPES, SPEECHES, Plan, works
from bench.paper.questions import INCLUDED, OPEN, question
from bench.record import Question, Record

PLAN = Plan((1_000, 20_000), 6, 0, (10, 500), 2, 0.5, ("direct", "podgate", "haproxy", "mine"))
ADDED = {"direct": 0.0, "podgate": 0.001, "haproxy": 0.002, "mine": 0.05}  # seconds


def paper(left: int = 0) -> Paper:
    """Give a finished run, or one whose last `left` rounds of the first work are to be done."""
    record = Record(
        machine={"when": "2026-11-21T10:00:00+00:00", "commit": "abc1234"},
        versions={"podgate": "0.1.0", "haproxy": "2.6.12"},
        notes=["mine is bolt+s://db.example.org:7687"],
    )
    for client, base in ((DRIVER, 1.0), (BYTES, 0.1)):
        for size in PLAN.sizes:
            for how, connecting in ((OPEN, 0.0), (INCLUDED, 0.01)):
                for name, added in ADDED.items():
                    for drift in (0.0, 0.0002, -0.0002, 0.0001, -0.0001, 0.0):
                        value = base * size / 1000 + connecting + added + drift
                        record.add(question(GRAPH, client, how, size), name, value)
    for speech in SPEECHES:
        for shape in SHAPES:
            case, axis = CASES[shape]
            for count in PLAN.arrivals:
                shares = {WITHIN[0]: 90.0 if count > 10 else 100.0, WITHIN[1]: 95.0, SUCCEEDED: 100.0}
                times = {LATENCY_P50: 2e3, LATENCY_P90: 5e5, LATENCY_P99: 1.5e6}
                for metric, value in {**shares, **times}.items():
                    for name in ("direct", "podgate", "podgate-drop", "haproxy"):
                        record.add(Question(ARRIVALS, f"{speech}, {case}", metric, count, axis), name, value)
    done = {work.key: work.runs for part in PARTS for work in works(PLAN, part)}
    done[works(PLAN, GRAPH)[0].key] -= left
    return Paper(PLAN, PARTS, record, done)
