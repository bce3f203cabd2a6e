"""Asks programs for their version."""

import re
import subprocess


def version_of(program: str, *arguments: str) -> str:
    """Give the first thing in a program's answer that looks like a version, or nothing."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+(\.\d+)?", done.stdout + done.stderr)
    return found.group() if found else ""
