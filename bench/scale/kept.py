"""The file of a run: its plan and every sample."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import record as records
from bench.record import Record
from bench.scale.plan import Plan

NAME = "scale.json"


@dataclass(slots=True)
class Scale:
    """A run, finished or not."""

    plan: Plan
    record: Record = field(default_factory=Record)

    def to_document(self) -> dict[str, Any]:
        """Give it as JSON carries it."""
        return {"plan": self.plan.to_document()} | records.to_document(self.record)


def save(scale: Scale, directory: Path) -> None:
    """Keep it: one figure a line, and the file is never half of it."""
    records.write(scale.to_document(), directory / NAME)


def load(directory: Path) -> Scale:
    """Read what `save` wrote. Raises OSError, and ValueError, KeyError or TypeError if it is something else."""
    document = json.loads((directory / NAME).read_text(encoding="utf-8"))
    return Scale(Plan.from_document(document["plan"]), records.from_document(document))
