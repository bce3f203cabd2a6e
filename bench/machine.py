"""What the figures were measured on."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from podgate import __version__

ROOT = Path(__file__).parents[1]


def describe() -> dict[str, str]:
    """Describe this machine and what runs on it, as the results and the report carry it."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "podgate": __version__,
        "commit": commit(),
        "cpu": _cpu_model(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "python": f"{platform.python_version()}, {_origin()}",
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def busy_seconds() -> float:
    """Give the processor time that all cores spent on anything since the machine's start (proc(5), /proc/stat)."""
    words = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    idle = int(words[3]) + int(words[4])  # and waiting for a disk
    return (sum(map(int, words)) - idle) / os.sysconf("SC_CLK_TCK")


def commit() -> str:
    """Give the commit of the code measured, with a + where files differ from it; empty outside a repository."""
    described = subprocess.run(
        ["git", "-C", ROOT, "describe", "--always", "--abbrev=7", "--exclude=*", "--dirty=+"],
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip()


def _origin() -> str:
    """Tell where this interpreter is from: distributions optimise theirs, which is a tenth of each small request."""
    return "of the distribution" if sys.base_prefix == "/usr" else "of another source"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
