"""The page of a run: what each size and each rate took, and what broke first."""

from collections.abc import Sequence

from bench.record import Metric
from bench.samples import median, percentile
from bench.scale.kept import Scale
from bench.scale.marks import What
from bench.scale.plan import BROKEN, MIX, POSTGRES, SQLITE
from bench.scale.processes import CHANGES, CLUSTER, CONTROLLER, DATABASE, GATEWAYS, OTHERS
from bench.scale.questions import (
    ACHIEVED,
    ALL,
    ANSWER,
    API,
    AXES,
    CPU,
    CPU_AT_REST,
    CPU_PER_1000,
    DROPPED,
    EVERY,
    FAILED,
    FIRST,
    GROUPS,
    LATE,
    LOST,
    MEMORY,
    RATE,
    SIZE,
    START,
    STARTUP,
    UNSEEN,
    question,
)  # fmt: skip
from bench.scale.questions import CLUSTER as IN_CLUSTER
from bench.tables import number

BUSY = 0.2  # cores that something else took: from which on it is said
STORES = {SQLITE: "SQLite, every transaction on the disk", POSTGRES: "PostgreSQL on this machine, with fsync"}
FULL = 0.9  # of a core: from which on a process is taken to be what others wait for
HONESTY = (
    "**This is a simulation.** The controller is the real one, a process of its own with its own store, and so is what "
    "the gateways do to follow it: the feed's client, the judgement of each document, the table, the acknowledgement. "
    "The cluster is a double of an API server with a pretend kubelet: no pod runs, no image is pulled, and a Pod is "
    "ready after a fixed time. The gateways have no workers, and nobody connects. So it tells what the controller "
    "costs and how late routes are because of it; it does not tell how fast a cluster is."
)
PLACES = (
    "The controller has one core for itself. The cluster's double, all gateways (one process) and who changes (the "
    "process that measures) share the other: their cpu is told beside the controller's, and where they fill that core "
    "together, lags are theirs as much as the controller's."
)


def report(run: Scale, pictures: Sequence[str] = ()) -> str:
    """Give the whole page."""
    parts = [_head(run), f"{HONESTY}\n\n{PLACES}", _limit(run)]
    for experiment, title in ((SIZE, "As there are more pods"), (RATE, "As changes come faster")):
        places = _places(run, experiment)
        if places:
            parts.append(f"## {title}")
            parts += [f"![{name.removesuffix('.png')}]({name})" for name in pictures if experiment in name]
            parts += [
                _lags(run, experiment, places),
                _costs(run, experiment, places),
                _outcome(run, experiment, places),
            ]
    parts.append(_words(run))
    if run.record.notes:
        parts.append("## Notes\n\n" + "\n".join(f"- {note}" for note in run.record.notes))
    return "\n\n".join(part for part in parts if part) + "\n"


def broken(run: Scale, rate: float) -> bool:
    """Tell whether changes arrived too late at a rate, or not at all; of a start the cluster's part does not count."""
    if any(value for metric in (LOST, DROPPED) for value in _values(run, RATE, ALL, metric, rate)):
        return True
    for case in GROUPS:
        lags = _values(run, RATE, case, EVERY, rate)
        if not lags or percentile(lags, 0.99) - (run.plan.starting if case == START else 0.0) > BROKEN:
            return True
    return False


def _head(run: Scale) -> str:
    plan = run.plan
    facts = " · ".join(f"{key} {value}" for key, value in run.record.machine.items() if value)
    mix = ", ".join(f"{share} % {kind}" for kind, share in MIX.items())
    return (
        f"# Scale\n\n{facts}\n\nSettings: {plan.gateways} gateways, {plan.rate:g} changes a second for "
        f"{plan.seconds:g} s at each size, {plan.rate_seconds:g} s at each rate; {mix}. A Pod takes "
        f"{plan.starting:g} s to become ready and {plan.stopping:g} s to end; a tenth of the pods is stopped. "
        f"Store: {STORES[plan.store]}."
        "\n\nRaw samples: [scale.json](scale.json). Rebuild this page: `podgate bench report DIR`."
    )


def _limit(run: Scale) -> str:
    """Say at which rate it broke, and who was busy then."""
    rates = _places(run, RATE)
    if not rates:
        return ""
    size = f"{max(run.plan.sizes):,} pods"
    bad = next((rate for rate in rates if broken(run, rate)), None)
    if bad is None:
        text = f"With {size} none was found up to {max(rates):,} changes a second."
    else:
        good = max((rate for rate in rates if rate < bad), default=None)
        kept = f"{good:,} changes a second arrive in time; " if good else ""
        text = (
            f"With {size}: {kept}at {bad:,} a second they do not (p99 above {BROKEN:g} s, or lost). {_busy(run, bad)}"
        )
    return f"## The limit\n\n{text}"


def _busy(run: Scale, rate: float) -> str:
    used = {name: _middle(run, RATE, ALL, CPU, rate, name) or 0.0 for name in (CONTROLLER, *_others(run))}
    others = sum(used.values()) - used[CONTROLLER]
    said = f"The controller took {used[CONTROLLER]:.2f} of its core, the others together {others:.2f} of theirs: "
    if used[CONTROLLER] >= FULL and others >= FULL:
        return said + "both were full, so the controller's own limit is there or a little above."
    if used[CONTROLLER] >= FULL:
        return said + "the controller's one core is what breaks first."
    if others >= FULL:
        return said + "the simulation's own core was full before the controller's; its limit is above."
    strangers = _middle(run, RATE, ALL, CPU, rate, OTHERS) or 0.0
    if strangers > BUSY:
        return said + (
            f"{strangers:.2f} went to programs that have nothing to do with this, so the controller had no core for "
            "itself, and its own limit is higher."
        )
    return said + "neither was full: something was waited for, such as the store's disk."


def _others(run: Scale) -> list[str]:
    """Give the simulation's parts beside the controller."""
    return [*([DATABASE] if run.plan.store == POSTGRES else []), CLUSTER, GATEWAYS, CHANGES]


def _lags(run: Scale, experiment: str, places: Sequence[int]) -> str:
    head = (
        f"| {AXES[experiment]} | {IN_CLUSTER}: first gateway | every gateway | {API}: first gateway | every gateway | "
        f"{START}: every gateway | API answers |\n{'|---' * 7}|"
    )
    rows = []
    for place in places:
        cells = [
            _quantiles(run, experiment, case, metric, place) for case in (IN_CLUSTER, API) for metric in (FIRST, EVERY)
        ]
        cells.append(_quantiles(run, experiment, START, EVERY, place))
        cells.append(_quantiles(run, experiment, ALL, ANSWER, place))
        rows.append(f"| {place:,} | {' | '.join(cells)} |")
    return "\n".join(["### Lag, p50 / p99, ms\n", head, *rows])


def _costs(run: Scale, experiment: str, places: Sequence[int]) -> str:
    own = [STARTUP, CPU_AT_REST] if experiment == SIZE else []
    columns: list[tuple[str, Metric, str]] = [
        *((f"{metric.name}, {metric.unit}", metric, CONTROLLER) for metric in own),
        ("controller, cores", CPU, CONTROLLER),
        ("s per 1,000 changes", CPU_PER_1000, CONTROLLER),
        ("memory, MiB", MEMORY, CONTROLLER),
        *((f"{name}, cores", CPU, name) for name in (*_others(run), OTHERS)),
    ]
    head = (
        f"| {AXES[experiment]} | " + " | ".join(title for title, *_ in columns) + f" |\n{'|---' * (len(columns) + 1)}|"
    )
    rows = []
    for place in places:
        found = [_middle(run, experiment, ALL, metric, place, name) for _, metric, name in columns]
        rows.append(f"| {place:,} | {' | '.join('' if value is None else number(value) for value in found)} |")
    return "\n".join(["### Cost\n", head, *rows])


def _outcome(run: Scale, experiment: str, places: Sequence[int]) -> str:
    metrics = (ACHIEVED, LATE, DROPPED, FAILED, UNSEEN, LOST)
    titles = (f"{metric.name}, {metric.unit}" for metric in metrics)
    head = f"| {AXES[experiment]} | {' | '.join(titles)} |\n{'|---' * 7}|"
    rows = []
    for place in places:
        found = [_middle(run, experiment, ALL, metric, place) for metric in metrics]
        rows.append(f"| {place:,} | {' | '.join('' if value is None else number(value) for value in found)} |")
    return "\n".join(["### What became of the changes\n", head, *rows])


def _words(run: Scale) -> str:
    kinds = {case: "; ".join(str(what) for what in whats) for case, whats in GROUPS.items()}
    return (
        "## What the words mean\n\n"
        f"- **{IN_CLUSTER}**: from the moment the API server tells it to who watches ({kinds[IN_CLUSTER]}) until a "
        "gateway's acknowledgement of the route was answered. *First* is the first gateway, *every* the last.\n"
        f"- **{API}**: the same from when the call was sent ({kinds[API]}). The API answers a change when every "
        "gateway has it, after a second at the most.\n"
        f"- **{START}**: from the call ({What.STARTED}) until every gateway leads to the new address: the store, the "
        f"cluster's objects, {run.plan.starting:g} s of the cluster's own, and the lag.\n"
        "- **start-up**: from the start of the controller's process, with store and cluster full, to the first full "
        "table at every gateway.\n"
        "- **memory** is PSS; **s per 1,000 changes** counts also what was done after the last change.\n"
        "- **wrong in the end**: routes that some gateway did not have as they were to be, by what was asked for and "
        "where the cluster's Pods were, when nothing had changed for a while: lost updates. **Not seen on the way** "
        "are changes that no gateway or not every one showed before a later change of the pod took their place.\n"
        "- **made late** is how far behind its schedule the latest change was begun: the load's own doing."
    )


def _places(run: Scale, experiment: str) -> list[int]:
    return sorted({int(one.at or 0) for one in run.record.questions(experiment) if one.metric == CPU})


def _values(run: Scale, experiment: str, case: str, metric: Metric, at: float, name: str = CONTROLLER) -> list[float]:
    return run.record.values(question(experiment, case, metric, at), name)


def _middle(run: Scale, experiment: str, case: str, metric: Metric, at: float, name: str = CONTROLLER) -> float | None:
    values = _values(run, experiment, case, metric, at, name)
    return median(values) if values else None


def _quantiles(run: Scale, experiment: str, case: str, metric: Metric, at: float) -> str:
    values = _values(run, experiment, case, metric, at)
    if not values:
        return ""
    return " / ".join(number(percentile(values, share) * 1e3) for share in (0.5, 0.99))
