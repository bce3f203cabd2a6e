"""The report in Markdown: the targets first, then a table for each case with the ratios to every peer."""

from collections.abc import Sequence

from bench.experiments import EXPERIMENTS
from bench.peers.all import DIRECT, LABELS, ORDER
from bench.record import Question, Record
from bench.samples import deviation, median
from bench.targets import PODGATE, Verdict, judge

MARKS = {True: "met", False: "**missed**", None: "not measured"}


def report(record: Record, pictures: Sequence[str] = ()) -> str:
    """Give the whole report."""
    overview = [f"![overview]({file})" for file in pictures if file.startswith("overview")]
    parts = [_head(record), *overview, "## Targets\n\n" + targets_table(judge(record), record.experiments())]
    for name in record.experiments():
        experiment = EXPERIMENTS[name]
        shown = "\n\n".join(f"![{file.removesuffix('.png')}]({file})" for file in pictures if file.startswith(name))
        text = [f"## {name}: {experiment.asks}", f"What limits it: {experiment.limits}", shown]
        parts.append("\n\n".join(part for part in (*text, experiment_table(record, name)) if part))
    if record.notes:
        parts.append("## Notes\n\n" + "\n".join(f"- {note}" for note in record.notes))
    return "\n\n".join(parts) + "\n"


def targets_table(verdicts: Sequence[Verdict], measured: Sequence[str]) -> str:
    """Give the targets with what came out, of the experiments that were measured."""
    lines = ["| target | limit | Podgate | against | ratio | |", "|---|---|---|---|---|---|"]
    for verdict in verdicts:
        if verdict.met is None and verdict.target.question.experiment not in measured:
            continue
        target, unit = verdict.target, verdict.target.question.metric.unit
        sign = "≥" if target.question.metric.better == "more" else "≤"
        limit = f"{sign} {target.limit:.2f}" if target.against else f"{sign} {target.limit:g} {unit}"
        figure = "" if verdict.figure is None else f"{number(verdict.figure)} {unit}"
        against = LABELS.get(verdict.peer) or " or ".join(LABELS[peer] for peer in target.against)
        ratio = "" if verdict.ratio is None or not target.against else _ratio(verdict.ratio, target.limit)
        lines.append(f"| {target.what} | {limit} | {figure} | {against} | {ratio} | {MARKS[verdict.met]} |")
    return "\n".join(lines)


def experiment_table(record: Record, experiment: str) -> str:
    """Give an experiment's medians ± MAD; below a peer's figure, in brackets, Podgate's ratio to it."""
    questions = record.questions(experiment)
    peers = [peer for peer in ORDER if peer in record.peers(questions)]
    unit_column = "| case | figure | " + " | ".join(LABELS[peer] for peer in peers) + " |"
    lines = [unit_column, "|---" * (len(peers) + 2) + "|"]
    for question in questions:
        cells = [_cell(record, question, peer) for peer in peers]
        metric = question.metric
        lines.append(f"| {question.title} | {metric.name}, {metric.unit} | {' | '.join(cells)} |")
    legend = "Median ± MAD. In brackets: Podgate's figure divided by that one"
    direct = "; *direct* is the client on the upstream, no proxy and no TLS." if DIRECT in peers else "."
    return "\n".join(lines) + ("\n\n" + legend + direct if len(peers) > 1 else "")


def number(value: float) -> str:
    """Write a figure with three significant digits, thousands apart."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _ratio(ratio: float, limit: float) -> str:
    """Write a ratio so that it is seen on which side of its limit it is."""
    return f"{ratio:.2f}" if abs(ratio - limit) >= 0.005 else f"{ratio:.4f}"


def _cell(record: Record, question: Question, peer: str) -> str:
    values, ours = record.values(question, peer), record.values(question, PODGATE)
    if not values:
        return "none"
    text = number(median(values)) + (f" ± {number(deviation(values))}" if len(values) > 1 else "")
    if peer == PODGATE or not ours or not median(values):
        return text
    return f"{text} ({median(ours) / median(values):.2f})"


def _head(record: Record) -> str:
    facts = " · ".join(f"{key} {value}" for key, value in record.machine.items() if value)
    versions = ", ".join(f"{LABELS[name]} {version}" for name, version in record.versions.items() if version)
    settings = ", ".join(f"{key} {value:g}" for key, value in record.settings.items())
    return (
        "# Podgate beside its peers\n\n"
        f"{facts}\n\n{versions}\n\nSettings: {settings}. One core for the proxy under test, one for load and upstream; "
        "every round a fresh process, peers in alternating order. TLS 1.3, AES-256-GCM, X25519, ECDSA P-256 for all. "
        "Proxy cpu counts all of a peer's processes.\n\n"
        "Raw samples: [results.json](results.json). Rebuild this page and its pictures: `podgate bench report DIR`."
    )
