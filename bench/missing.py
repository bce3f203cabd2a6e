"""What is not installed."""

import shutil
import sys
from pathlib import Path


class Missing(Exception):
    """Something a benchmark needs is not here; the text says what and how to get it."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(f"{what} is not here: {advice}")


def find_program(name: str, *places: str) -> str | None:
    """Find a program beside our interpreter (wheels bring some), on the path, or in `places`."""
    own = Path(sys.executable).parent / name
    if own.is_file():
        return str(own)
    return shutil.which(name) or shutil.which(name, path=":".join(("/usr/sbin", "/sbin", *places)))
