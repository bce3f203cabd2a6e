"""What is measured, and how figures are named."""

from bench.record import Metric, Question
from bench.scale.marks import AT_API, IN_CLUSTER, WHOLE, What

SIZE, RATE = "size", "rate"  # the experiments: as pods become more, and as changes do
AXES = {SIZE: "pods", RATE: "changes a second"}

STARTUP = Metric("start-up", "s")
FIRST, EVERY = Metric("lag to the first gateway", "s"), Metric("lag to every gateway", "s")
CPU = Metric("cpu", "cores")
CPU_AT_REST = Metric("cpu at rest", "cores")
CPU_PER_1000 = Metric("cpu per 1,000 changes", "s")
MEMORY = Metric("memory", "MiB")
ACHIEVED = Metric("changes made", "changes/s", "more")
LOST = Metric("wrong in the end", "routes")  # at one gateway at least: an update was lost, or never came
UNSEEN = Metric("not seen on the way", "changes")  # something later hid them, unless their routes are wrong
FAILED = Metric("failed", "changes")
DROPPED = Metric("not made", "changes")
LATE = Metric("made late", "s")
ANSWER = Metric("answer of the API", "s")
ALL = "all"  # where a figure is of no part alone
CLUSTER, API, START = "seen in the cluster", "asked of the API", "a whole start"
GROUPS: dict[str, tuple[What, ...]] = {CLUSTER: IN_CLUSTER, API: AT_API, START: WHOLE}


def question(experiment: str, case: str, metric: Metric, at: float) -> Question:
    """Give the question of a metric of a case, at so many pods or at such a rate."""
    return Question(experiment, case, metric, round(at), AXES[experiment])
