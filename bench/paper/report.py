"""The page of a run: what each backend adds to a query, and how many arrivals were served in time."""

from collections.abc import Sequence

from bench.connect import CASES, SUCCEEDED
from bench.experiment import LATENCY_P50, LATENCY_P90, LATENCY_P99
from bench.paper.added import LEVEL, LIMIT, MET, MISSED, Difference, added, compared
from bench.paper.arrivals import WITHIN
from bench.paper.kept import TLS, Paper
from bench.paper.plan import ARRIVALS, CLIENTS, GRAPH, PARTS, ROWS, SHAPES, SPEECHES, WORDS, Plan
from bench.paper.questions import AXES, INCLUDED, OPEN, question
from bench.peers.all import DIRECT, LABELS, ORDER
from bench.peers.podgate import EARLY_DROP
from bench.record import Metric, Question, Record
from bench.samples import deviation, median, percentile
from bench.tables import number

TIMES = "median time | MAD | p90 | p99"
LEGEND = (
    "What a backend **adds**, here and in every table and picture, is the median of its differences to *direct* in the "
    "same round, ± the standard error of that median; per cent are of direct's median. It is not the difference of two "
    "median times: the machine is faster in some minutes than in others, which medians of all rounds take for a "
    "difference of backends. The best peer is the one that adds least. *Podgate beyond that peer* is taken in the same "
    f"way, of the differences between these two, and decides: **{MET}** is 0 or less; {MISSED} is more than {LIMIT} "
    f"standard errors; **{LEVEL}** is what lies between. Medians of differences need not add up: where the two columns "
    "before it say otherwise about who adds more, the answer is level, too."
)
TITLES = {GRAPH: "Nodes by Bolt", ROWS: "Postgres rows", ARRIVALS: "Many arrivals"}
LIMITS = {
    GRAPH: "The official Neo4j driver makes a Python object of every node, and that is nearly all of its time: what "
    "stands between adds to it only what the driver waits for. *Bytes only* asks the same server the same, reads the "
    "answer and counts, so what is left is the server, the proxy and the kernel: there the proxies can be told apart. "
    "The driver asked for the larger sizes less often.",
    ROWS: "psycopg makes a tuple of every row, most of it in C; *libpq only* leaves out Python's part. libpq itself "
    "parses every row, which is what is left of the client. HAProxy is reached by direct TLS, since it does not know "
    "StartTLS: one round trip less to connect.",
    ARRIVALS: "Servers and load share the other core: PostgreSQL starts a process for each connection, so a few "
    "hundred a second are all it can do, with or without a proxy, and *direct* shows that limit. Times count from when "
    "a connection was due. What was not finished had failed, was dropped, or took longer.",
}


def report(paper: Paper, pictures: Sequence[str] = ()) -> str:
    """Give the whole page."""
    record = paper.record
    parts = [_head(paper), _verdict(record, paper.plan)]
    for part in (one for one in PARTS if one in record.experiments()):
        parts.append(f"## {TITLES[part]}\n\nWhat limits it: {LIMITS[part]}")
        parts += [f"![{name.removesuffix('.png')}]({name})" for name in pictures if name.startswith(part)]
        parts += _arrivals(record) if part == ARRIVALS else _queries(record, paper.plan, part)
    if record.notes:
        parts.append("## Notes\n\n" + "\n".join(f"- {note}" for note in record.notes))
    return "\n\n".join(part for part in parts if part) + "\n"


def in_order(names: Sequence[str]) -> list[str]:
    """Give backends in the order of every table: direct, Podgate, its peers, and a user's own."""
    known = [name for name in (DIRECT, *ORDER) if name in names]
    return [*dict.fromkeys(known), *(name for name in names if name not in ORDER)]


def label(name: str) -> str:
    """Give a backend's name for people."""
    return LABELS.get(name, name)


def seconds(value: float) -> str:
    """Write a time with three significant digits."""
    return f"{number(value)} s" if abs(value) >= 1 else f"{number(value * 1e3)} ms"


def written(one: Difference) -> str:
    """Write a difference with its sign and standard error."""
    error = "" if one.error is None else f" ± {seconds(one.error)}"
    return f"{'+' if one.middle > 0 else ''}{seconds(one.middle)}{error}"


def _head(paper: Paper) -> str:
    record, plan = paper.record, paper.plan
    facts = " · ".join(f"{key} {value}" for key, value in record.machine.items() if value and key != TLS)
    agreed = f" ({record.machine[TLS]}, and nothing else is offered)" if TLS in record.machine else ""
    versions = ", ".join(f"{label(name)} {version}" for name, version in record.versions.items() if version)
    finished = (
        f"\n\n**Not finished: {paper.left()} rounds are left**; the same command goes on." if paper.left() else ""
    )
    return (
        "# The paper's experiment\n\n"
        f"{facts}\n\n{versions}\n\nSettings: {plan.runs} runs of each query, {plan.arrival_runs} of each number of "
        f"arrivals, {plan.seconds:g} s of those at a rate. Each proxy has one core and one worker or thread, database "
        "and client share the other; a round asks every backend once, in an order that changes from round to round. "
        f"*Direct* is without a proxy and without TLS, all others with TLS 1.3{agreed}. "
        "*Open connection* is the query alone, as in the paper; *connect included* begins with the first packet. "
        "*Median time*, MAD, p90 and p99 are of a backend's own times in all rounds; what it *adds* is defined below "
        "the first table."
        f"{finished}\n\nRaw samples: [paper.json](paper.json). Rebuild this page: `podgate bench report DIR`."
    )


def _verdict(record: Record, plan: Plan) -> str:
    """Compare what Podgate adds with what the best of the other proxies adds, size by size."""
    lines = []
    for part, clients in CLIENTS.items():
        for client in clients:
            for how in (OPEN, INCLUDED):
                lines += [_compared(record, question(part, client, how, size)) for size in plan.sizes]
    lines = [line for line in lines if line]
    if not lines:
        return ""
    head = f"| query | Podgate adds | the best peer adds | Podgate beyond that peer | |\n{'|---' * 5}|"
    return "\n".join(["## What is added, beside the best peer\n", head, *lines, "", LEGEND])


def _compared(record: Record, asked: Question) -> str:
    found = compared(record, asked)
    if found is None:
        return ""
    ours, theirs = _share(record, asked, found.ours), _share(record, asked, found.theirs)
    return (
        f"| {asked.title} | {written(found.ours)} ({ours}) | {label(found.peer)} {written(found.theirs)} ({theirs}) "
        f"| {written(found.apart)} | {found.verdict} |"
    )


def _share(record: Record, asked: Question, one: Difference) -> str:
    return f"{one.middle / median(record.values(asked, DIRECT)):+.1%}".replace("%", " %")


def _queries(record: Record, plan: Plan, part: str) -> list[str]:
    parts = []
    for client in CLIENTS[part]:
        for how in (OPEN, INCLUDED):
            rows = [row for size in plan.sizes for row in _rows(record, question(part, client, how, size))]
            if rows:
                head = f"| {AXES[part]} | backend | runs | {TIMES} | adds | |\n{'|---' * 9}|"
                parts.append("\n".join([f"### {WORDS[client].removeprefix('by ')}, {how}\n", head, *rows]))
    return parts


def _rows(record: Record, asked: Question) -> list[str]:
    lines = []
    for name in in_order(record.peers([asked])):
        values = record.values(asked, name)
        one = added(record, asked, name)
        adds = f"{written(one)} | {_share(record, asked, one)}" if one else " | "
        figures = (median(values), deviation(values), percentile(values, 0.9), percentile(values, 0.99))
        cells = " | ".join(map(seconds, figures))
        lines.append(f"| {asked.at:,} | {label(name)} | {len(values)} | {cells} | {adds} |")
    return lines


def _arrivals(record: Record) -> list[str]:
    text = (
        f"Early drop is `{EARLY_DROP}`, sshd's own. Without it Podgate has its fixed limits only, 1,024 openings and "
        "512 of one address, which so many connections do not reach."
    )
    parts = [text]
    for speech in SPEECHES:
        for shape in SHAPES:
            case, axis = CASES[shape]
            asked = [one for one in record.questions(ARRIVALS) if one.case == f"{speech}, {case}"]
            if asked:
                parts += _shares(record, asked, f"{speech}, {case}", axis)
    return parts


def _shares(record: Record, asked: Sequence[Question], case: str, axis: str) -> list[str]:
    names, numbers = in_order(record.peers(asked)), sorted({one.at or 0 for one in asked})
    head = f"| {axis} | " + " | ".join(map(label, names)) + f" |\n{'|---' * (len(names) + 1)}|"
    shares, times = [], []
    for count in numbers:
        counted = [_cell(record, case, (*WITHIN, SUCCEEDED), count, axis, name) for name in names]
        timed = [_cell(record, case, (LATENCY_P50, LATENCY_P90, LATENCY_P99), count, axis, name) for name in names]
        shares.append(f"| {count} | {' | '.join(counted)} |")
        times.append(f"| {count} | {' | '.join(timed)} |")
    return [
        "\n".join([f"### {case}: finished within 1 s / within 2 s / at all, %\n", head, *shares]),
        "\n".join([f"### {case}: p50 / p90 / p99 of those served, ms\n", head, *times]),
    ]


def _cell(record: Record, case: str, metrics: Sequence[Metric], count: int, axis: str, name: str) -> str:
    found = []
    for metric in metrics:
        values = record.values(Question(ARRIVALS, case, metric, count, axis), name)
        if not values:
            return "none"
        found.append(median(values) / (1e3 if metric.unit == "µs" else 1))
    return " / ".join(number(value) for value in found)
