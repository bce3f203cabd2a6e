"""What a run found: figures and latencies by question and peer, and the JSON file that keeps them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

FORMAT = 1
NAME = "results.json"


@dataclass(frozen=True, slots=True)
class Metric:
    """A thing that is measured."""

    name: str
    unit: str
    better: Literal["less", "more"] = "less"


@dataclass(frozen=True, slots=True)
class Question:
    """What one figure answers: `metric` of `case`, where the case has sizes at `at` (its unit is `axis`)."""

    experiment: str
    case: str
    metric: Metric
    at: int | None = None
    axis: str = ""

    @property
    def title(self) -> str:
        """The case in words, with its size."""
        axis = self.axis.removesuffix("s") if self.at == 1 else self.axis
        return self.case if self.at is None else f"{self.case}, {self.at:,} {axis}"


@dataclass(slots=True)
class Figure:
    """One peer's raw samples for a question."""

    question: Question
    peer: str
    values: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Latencies:
    """One run's quantiles of a case (bench.latency names the probabilities), in microseconds."""

    experiment: str
    title: str
    peer: str
    quantiles: tuple[float, ...]


@dataclass(slots=True)
class Record:
    """Everything a run found."""

    machine: dict[str, str] = field(default_factory=dict)
    settings: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)  # of the peers that took part
    notes: list[str] = field(default_factory=list)  # what was skipped, and what a reader has to know
    latencies: list[Latencies] = field(default_factory=list)
    _figures: dict[tuple[Question, str], Figure] = field(default_factory=dict)

    def add(self, question: Question, peer: str, value: float) -> None:
        """Keep one more sample."""
        self._figures.setdefault((question, peer), Figure(question, peer)).values.append(value)

    def absorb(self, other: "Record") -> None:
        """Take over the samples and notes of another."""
        for figure in other.figures:
            for value in figure.values:
                self.add(figure.question, figure.peer, value)
        self.latencies += other.latencies
        for note in other.notes:
            self.note(note)

    def note(self, text: str) -> None:
        """Keep a remark, once."""
        if text not in self.notes:
            self.notes.append(text)

    @property
    def figures(self) -> list[Figure]:
        """All figures in the order they were first measured."""
        return list(self._figures.values())

    def experiments(self) -> list[str]:
        """The experiments that found something, in order."""
        return list(dict.fromkeys(figure.question.experiment for figure in self.figures))

    def questions(self, experiment: str) -> list[Question]:
        """The questions an experiment answered, in order."""
        every = (figure.question for figure in self.figures)
        return list(dict.fromkeys(question for question in every if question.experiment == experiment))

    def values(self, question: Question, peer: str) -> list[float]:
        """The samples of one peer; empty if it was not asked."""
        figure = self._figures.get((question, peer))
        return figure.values if figure else []

    def peers(self, questions: Iterable[Question]) -> list[str]:
        """The peers that answered any of these."""
        wanted = set(questions)
        return list(dict.fromkeys(peer for question, peer in self._figures if question in wanted))


def to_document(record: Record) -> dict[str, Any]:
    """Give a record as JSON carries it."""
    return {
        "format": FORMAT,
        "machine": record.machine,
        "settings": record.settings,
        "versions": record.versions,
        "notes": record.notes,
        "figures": [asdict(figure) for figure in record.figures],
        "latencies": [asdict(one) for one in record.latencies],
    }


def from_document(document: Mapping[str, Any]) -> Record:
    """Give the record that a JSON document carries. Raises ValueError if it is of another format."""
    if document.get("format") != FORMAT:
        raise ValueError(f"results of format {document.get('format')!r}, expected {FORMAT}; measure again")
    record = Record(*(document[part] for part in ("machine", "settings", "versions", "notes")))
    for entry in document["figures"]:
        question = Question(**{**entry["question"], "metric": Metric(**entry["question"]["metric"])})
        for value in entry["values"]:
            record.add(question, entry["peer"], value)
    for entry in document["latencies"]:
        record.latencies.append(Latencies(**{**entry, "quantiles": tuple(entry["quantiles"])}))
    return record


def save(record: Record, directory: Path) -> Path:
    """Write the raw samples: one figure a line, so that two runs can be compared by any tool."""
    directory.mkdir(parents=True, exist_ok=True)
    return write(to_document(record), directory / NAME)


def write(document: Mapping[str, Any], path: Path) -> Path:
    """Write a document so that the file is never half of it."""
    parts = []
    for key, value in document.items():
        if isinstance(value, list):
            lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in value)
            parts.append(f"{json.dumps(key)}: [\n{lines}\n]")
        else:
            parts.append(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    beside = path.with_name(f".{path.name}.new")
    beside.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
    return beside.replace(path)


def load(directory: Path) -> Record:
    """Read what `save` wrote. Raises OSError, and ValueError if it is something else."""
    return from_document(json.loads((directory / NAME).read_text(encoding="utf-8")))
