"""The file of a run: its plan, every sample so far, and how many rounds of each work are done."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import record as records
from bench.paper.plan import PARTS, Plan, rounds, works
from bench.record import Record

NAME = "paper.json"
TLS = "tls"  # among the facts of the machine: all that the clients offer, where they were told


@dataclass(slots=True)
class Paper:
    """A run, finished or not."""

    plan: Plan
    parts: tuple[str, ...]
    record: Record = field(default_factory=Record)
    done: dict[str, int] = field(default_factory=dict)  # rounds, by the key of their work

    def left(self) -> int:
        """Count the rounds that are still to be done."""
        return sum(1 for part in self.parts for _round in rounds(works(self.plan, part), self.done))

    def to_document(self) -> dict[str, Any]:
        """Give it as JSON carries it."""
        asked = {"plan": self.plan.to_document(), "parts": list(self.parts), "done": self.done}
        return asked | records.to_document(self.record)


def save(paper: Paper, directory: Path) -> None:
    """Keep it: one figure a line, and the file is never half of it."""
    records.write(paper.to_document(), directory / NAME)


def load(directory: Path) -> Paper:
    """Read what `save` wrote. Raises OSError, and ValueError, KeyError or TypeError if it is something else."""
    document = json.loads((directory / NAME).read_text(encoding="utf-8"))
    parts = tuple(part for part in PARTS if part in document["parts"])
    paper = Paper(Plan.from_document(document["plan"]), parts, done=dict(document["done"]))
    paper.record = records.from_document(document)
    return paper
