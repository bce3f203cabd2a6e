"""Drives one load program: it gets ready, is told to go, answers with one document, and holds on until let go."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class LoadFailed(Exception):
    """A load program ended without an answer; the text is what it said."""


class Load:
    """A load program, from its start to its end. See load.h for the talk."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None, nice: int = 0) -> None:
        self._command = ["nice", "-n", str(nice), *command] if nice else list(command)
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._process.kill()
        self._process.communicate()

    def await_ready(self) -> None:
        """Wait until everything is connected and warm. Raises LoadFailed."""
        if self._line() != "ready":
            raise self._failure()

    def tell(self, text: str = "") -> None:
        """Send one line; an empty one says go."""
        assert self._process.stdin is not None
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()

    def result(self) -> dict[str, Any]:
        """Wait for the answer. Raises LoadFailed."""
        line = self._line()
        if not line:
            raise self._failure()
        document: dict[str, Any] = json.loads(line)
        return document

    def number(self) -> int:
        """Wait for an answer that is a number. Raises LoadFailed."""
        line = self._line()
        if not line.isdigit():
            raise self._failure()
        return int(line)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def _failure(self) -> LoadFailed:
        _output, errors = self._process.communicate()
        said = errors.strip().splitlines()
        return LoadFailed(f"{Path(self._command[0]).name}: {said[-1] if said else 'it said nothing'}")


@contextmanager
def upstream(program: str) -> Iterator[int]:
    """Run the upstream of the load programs; give its port."""
    with Load([program]) as load:
        yield load.number()
