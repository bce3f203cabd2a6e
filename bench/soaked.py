"""What a soak found: its samples and what the load did, as JSON and as a page."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench.flatness import AFTER, LOADED, START, Finding, judge
from bench.process import Reading
from bench.samples import median
from bench.watch import Sample

FORMAT = 1
NAME = "soak.json"
MIB = 1024  # KiB
RULE = (
    "Memory: resident (PSS), medians of the first and the last quarter of a phase after its first tenth, which is "
    "warm-up; it may rise by 5 % and 4 MiB. Descriptors: before the load and after it, when they have to be back."
)


@dataclass(slots=True)
class Count:
    """What one kind of client did."""

    done: int = 0
    failed: int = 0
    why: str = ""  # the last failure's reason, where the client tells

    def add(self, done: int, failed: int, why: str = "") -> None:
        """Count more of it."""
        self.done, self.failed, self.why = self.done + done, self.failed + failed, why or self.why


@dataclass(slots=True)
class Soaked:
    """Everything a soak found."""

    machine: dict[str, str] = field(default_factory=dict)
    settings: dict[str, float] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    clients: dict[str, dict[str, Count]] = field(default_factory=dict)  # by phase and kind
    troubles: list[str] = field(default_factory=list)  # what stopped a load, and faults in the gateway's log

    def count(self, phase: str, kind: str, done: int, failed: int, why: str = "") -> None:
        """Count what clients did."""
        self.clients.setdefault(phase, {}).setdefault(kind, Count()).add(done, failed, why)

    def failed(self) -> int:
        """Count the clients that did not get what they were to get."""
        return sum(count.failed for kinds in self.clients.values() for count in kinds.values())

    def outcome(self) -> Literal["passed", "failed", "could not tell"]:
        """Tell whether it stayed flat, nobody failed, and nothing else went wrong, as far as it could be seen."""
        findings = judge(self.samples)
        if self.failed() or self.troubles or any(not one.flat and not one.problem for one in findings):
            return "failed"
        return "passed" if findings and all(one.flat for one in findings) else "could not tell"

    def passed(self) -> bool:
        """Tell whether all is well for certain."""
        return self.outcome() == "passed"


def verdict(soaked: Soaked) -> str:
    """Say in a sentence what came out."""
    findings = judge(soaked.samples)
    risen = [f"{one.what} of {one.process}" for one in findings if not one.flat and not one.problem]
    unknown = [f"{one.what} of {one.process} ({one.problem})" for one in findings if one.problem]
    parts = []
    if risen:
        parts.append(f"not flat: {', '.join(risen)}")
    if unknown:
        parts.append(f"cannot be told: {', '.join(unknown)}")
    if failed := soaked.failed():
        parts.append(f"{failed:,} connections or requests failed")
    parts += soaked.troubles
    return "; ".join(parts) or "flat, and no connection failed"


def to_document(soaked: Soaked) -> dict[str, Any]:
    """Give it as JSON carries it."""
    return {
        "format": FORMAT,
        "machine": soaked.machine,
        "settings": soaked.settings,
        "passed": soaked.passed(),
        "verdict": verdict(soaked),
        "findings": [{**asdict(one), "flat": one.flat} for one in judge(soaked.samples)],
        "troubles": soaked.troubles,
        "clients": {
            phase: {kind: asdict(count) for kind, count in kinds.items()} for phase, kinds in soaked.clients.items()
        },
        "samples": [asdict(sample) for sample in soaked.samples],
    }


def from_document(document: Mapping[str, Any]) -> Soaked:
    """Give what a JSON document carries. Raises ValueError if it is of another format."""
    if document.get("format") != FORMAT:
        raise ValueError(f"a soak of format {document.get('format')!r}, expected {FORMAT}; soak again")
    soaked = Soaked(document["machine"], document["settings"], troubles=document["troubles"])
    for entry in document["samples"]:
        processes = {name: Reading(**reading) for name, reading in entry["processes"].items()}
        soaked.samples.append(Sample(entry["at"], entry["phase"], processes))
    for phase, kinds in document["clients"].items():
        soaked.clients[phase] = {kind: Count(**count) for kind, count in kinds.items()}
    return soaked


def save(soaked: Soaked, directory: Path) -> Path:
    """Write the raw samples, one a line."""
    directory.mkdir(parents=True, exist_ok=True)
    document = to_document(soaked)
    samples = ",\n".join(json.dumps(sample) for sample in document.pop("samples"))
    rest = json.dumps(document, indent=1, ensure_ascii=False).removesuffix("\n}")
    path = directory / NAME
    path.write_text(f'{rest},\n "samples": [\n{samples}\n]\n}}\n', encoding="utf-8")
    return path


def load(directory: Path) -> Soaked:
    """Read what `save` wrote. Raises OSError, and ValueError if it is something else."""
    return from_document(json.loads((directory / NAME).read_text(encoding="utf-8")))


def report(soaked: Soaked, pictures: Sequence[str] = ()) -> str:
    """Give the page."""
    facts = " · ".join(f"{key} {value}" for key, value in soaked.machine.items() if value)
    settings = ", ".join(f"{key} {value:,.12g}" for key, value in soaked.settings.items())
    said = verdict(soaked)
    parts = [
        f"# Soak: {soaked.outcome()}\n\n{said[0].upper()}{said[1:]}.",
        f"{facts}\n\nSettings: {settings}. All workers share one core; load and upstream have the other.",
        *(f"![{picture.removesuffix('.png')}]({picture})" for picture in pictures),
        f"## Did it stay flat?\n\n{findings_table(judge(soaked.samples))}",
        RULE,
        f"## What each process used\n\n{_usage_table(soaked.samples)}",
        f"## What clients did\n\n{clients_table(soaked)}",
        f"Raw samples: [{NAME}]({NAME}).",
    ]
    return "\n\n".join(parts) + "\n"


def findings_table(findings: Sequence[Finding]) -> str:
    """Give the findings with their verdicts."""
    lines = ["| process | what | before | after | at most | |", "|---|---|---|---|---|---|"]
    for one in findings:
        cells = [_amount(value, one.unit) for value in (one.before, one.after, one.most)]
        mark = one.problem or ("flat" if one.flat else "**not flat**")
        lines.append(f"| {one.process} | {one.what} | {' | '.join(cells)} | {mark} |")
    return "\n".join(lines)


def clients_table(soaked: Soaked) -> str:
    """Give what each kind of client did."""
    lines = ["| phase | clients | done | failed | |", "|---|---|---|---|---|"]
    for phase, kinds in soaked.clients.items():
        for kind, count in kinds.items():
            failed = f"**{count.failed:,}**" if count.failed else "0"
            lines.append(f"| {phase} | {kind} | {count.done:,} | {failed} | {count.why} |")
    return "\n".join(lines)


def _usage_table(samples: Sequence[Sample]) -> str:
    lines = ["| phase | process | seconds | memory | descriptors | cpu |", "|---|---|---|---|---|---|"]
    for phase in (START, *LOADED, AFTER):
        inside = [sample for sample in samples if sample.phase == phase]
        names = list(dict.fromkeys(name for sample in inside for name in sample.processes))
        for name in names:
            seen = [(sample.at, sample.processes[name]) for sample in inside if name in sample.processes]
            readings = [reading for _at, reading in seen]
            seconds = seen[-1][0] - seen[0][0]
            share = f"{(readings[-1].cpu - readings[0].cpu) / seconds:.0%}" if seconds else ""
            memory = [reading.memory / MIB for reading in readings]
            held = [reading.descriptors for reading in readings]
            spread = f"{min(memory):.1f} to {max(memory):.1f}, median {median(memory):.1f} MiB"
            lines.append(f"| {phase} | {name} | {seconds:.0f} | {spread} | {min(held)} to {max(held)} | {share} |")
    return "\n".join(lines)


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return f"{value / MIB:.1f} MiB" if unit == "KiB" else f"{value:,g}"
