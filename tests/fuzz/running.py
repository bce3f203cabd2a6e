"""How a fuzzer that counts outcomes runs: one input after the other, each with a limit of time."""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

SLOWEST = 0.25  # seconds of cpu that any input may take; the keys of 20,000 iterations of SCRAM take a fiftieth of that

# Chooses what is checked next, and the input for it; a check tells what became of that.
Choose = Callable[[random.Random], tuple[Callable[..., str], tuple[Any, ...]]]


@dataclass
class Figures:
    """What became of the inputs."""

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0  # seconds of cpu

    @property
    def inputs(self) -> int:
        return self.outcomes.total()


def run(choose: Choose, chance: random.Random, inputs: int) -> Figures:
    """Check so many inputs. Raises what a check raises."""
    figures = Figures()
    while figures.inputs < inputs:
        check, arguments = choose(chance)
        start = time.thread_time()
        try:
            outcome = check(*arguments)
            took = time.thread_time() - start
            assert took < SLOWEST, f"took {took:.3f} s"
        except BaseException:
            sys.stderr.write(f"after {figures.inputs} inputs: {check.__name__}{arguments!r}\n")
            raise
        figures.outcomes[outcome] += 1
        figures.slowest = max(figures.slowest, took)
    return figures


def main(choose: Choose, description: str | None) -> None:
    """Check as many inputs as asked for."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    start = time.monotonic()
    figures = run(choose, random.Random(given.seed), given.inputs)
    for outcome, count in sorted(figures.outcomes.items()):
        sys.stdout.write(f"{count:>9}  {outcome}\n")
    took = time.monotonic() - start
    sys.stdout.write(
        f"{figures.inputs} inputs in {took:.0f} s, seed {given.seed}, the slowest {figures.slowest * 1000:.1f} ms: "
        "nothing found\n"
    )
