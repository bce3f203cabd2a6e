"""`python -m bench`: run the benchmarks one after the other."""

import argparse
import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from bench import ready, routes
from bench.samples import Samples, table


def main() -> None:
    """Measure, print the table, and keep the raw samples if asked to."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=30, help="samples of each question")
    parser.add_argument("--out", type=Path, help="a JSON file for the raw samples")
    arguments = parser.parse_args()
    every: list[Samples] = []
    for name, benchmark in {"routes": routes, "ready": ready}.items():
        print(f"measuring {name} …", flush=True)
        every += benchmark.measure(arguments.runs)
    print(table(every))
    if arguments.out:
        document = {"machine": _machine(), "samples": [one.to_document() for one in every]}
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(document, indent=1) + "\n")
        print(f"raw samples: {arguments.out}")


def _machine() -> dict[str, object]:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
    }


if __name__ == "__main__":
    main()
