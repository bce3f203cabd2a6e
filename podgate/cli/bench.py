"""`podgate bench`: hands over to the benchmarks, a program of their own that knows all of Podgate and nothing knows."""

import importlib.util
import os
import sys

import typer

from podgate.cli.failure import Failure

PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def bench(context: typer.Context) -> None:
    """Measure Podgate beside its peers, or your own pod: `run`, `report`, `pod`, `soak`, `paper`, `scale`."""
    if importlib.util.find_spec("bench") is None:
        raise Failure("the benchmarks are not installed; run this from a clone of the repository, after: make setup")
    os.execv(sys.executable, [sys.executable, "-P", "-m", "bench", *(context.args or ["--help"])])
