"""What a command line left behind."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Read standard output as JSON, all of it; nothing may have gone wrong."""
        assert (self.code, self.err) == (0, "")
        return json.loads(self.out)

    def failed_with(self, sentence: str) -> bool:
        """Tell whether the command failed with just this sentence and no other word."""
        assert (self.code, self.out, self.err) == (1, "", f"podgate: {sentence}\n")
        return True
