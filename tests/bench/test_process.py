"""Waiting for a program that is measured until it serves."""

import sys
import time
from pathlib import Path

import pytest

from bench.process import Died, running

LONG = 60.0  # seconds: nothing here takes so long


def test_it_is_asked_until_it_serves(tmp_path: Path) -> None:
    answers = iter((False, False, True))
    with running(["sleep", "1000"], tmp_path / "log") as program:
        assert program.comes_to(lambda: next(answers), LONG)


def test_one_that_never_does_is_given_up(tmp_path: Path) -> None:
    with running(["sleep", "1000"], tmp_path / "log") as program:
        assert not program.comes_to(lambda: False, 0.0)


@pytest.mark.parametrize("is_over", [False, True])
def test_one_that_ends_is_not_waited_for(tmp_path: Path, *, is_over: bool) -> None:
    began = time.monotonic()
    with running([sys.executable, "-c", "raise SystemExit('no place')"], tmp_path / "log") as program:
        if is_over:
            program.process.wait()
        with pytest.raises(Died, match=r"ended with status 1.*no place"):
            program.comes_to(lambda: is_over, LONG)
    assert time.monotonic() - began < LONG
