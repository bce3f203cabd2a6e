"""Lines are written in their order, all of them at the end; a reader who stalls holds nobody up."""

import logging
import os
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.logs import MOST, BackgroundHandler, LeanRecord, SecondsFormatter


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def line(text: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("podgate.test", logging.INFO, __file__, 1, text, args, None)


def test_lines_are_written_in_their_order(pipe: tuple[int, int]) -> None:
    handler = BackgroundHandler(pipe[1])
    for number in range(100):
        handler.handle(line(str(number)))
    handler.flush()
    assert os.read(pipe[0], 65536).decode().split() == [str(number) for number in range(100)]


def test_a_reader_who_stalls_holds_nobody_up_and_is_told_what_is_lost(pipe: tuple[int, int]) -> None:
    handler = BackgroundHandler(pipe[1])
    for _ in range(2 * MOST):
        handler.handle(line("x" * 100))  # returns, though nobody reads
    text = b""
    while b"lines of this log are lost" not in text:
        text += os.read(pipe[0], 1 << 20)
    with Path(os.devnull).open(encoding="ascii") as nobody:
        os.dup2(nobody.fileno(), pipe[0])  # the reader is gone, and what is left is dropped
    handler.flush()


def test_a_line_that_cannot_be_made_does_not_end_the_log(pipe: tuple[int, int]) -> None:
    handler = BackgroundHandler(pipe[1])
    handler.handle(line("%d of them", "many"))
    handler.handle(line("the next"))
    handler.flush()
    first, second = os.read(pipe[0], 65536).decode().splitlines()
    assert "'%d of them'" in first
    assert second == "the next"


def test_what_strangers_say_stays_on_its_line() -> None:
    formatter = SecondsFormatter("%(message)s")
    assert formatter.format(line("%s: refused", "a\nb\x1b[2Jc\udcff é")) == r"a\nb\x1b[2Jc\udcff é: refused"


@pytest.mark.parametrize("args", [("a pod", 7), ({"name": "a pod", "number": 7},)], ids=["in order", "by name"])
def test_a_lean_record_prints_what_loggings_own_prints(args: tuple[object, ...]) -> None:
    text = "%(name)s has %(number)d" if len(args) == 1 else "%s has %d"
    formatter = SecondsFormatter("%(levelname)s %(name)s: %(message)s")
    records = [
        kind("podgate.test", logging.INFO, __file__, 1, text, args, None, None, None)
        for kind in (logging.LogRecord, LeanRecord)
    ]
    assert [formatter.format(record) for record in records] == ["INFO podgate.test: a pod has 7"] * 2


def test_what_failed_is_not_kept_for_as_long_as_nobody_reads(pipe: tuple[int, int]) -> None:
    class Failed(Exception):
        pass

    def fail() -> "weakref.ref[Failed]":
        try:
            raise Failed("what went wrong")
        except Failed as error:
            for record in (
                LeanRecord("podgate.test", logging.INFO, __file__, 1, "%s: %s", ("a pod", error), None),
                LeanRecord("podgate.test", logging.INFO, __file__, 1, "a fault", (), (Failed, error, None)),
            ):
                handler.emit(record)
                kept.append(record)
            return weakref.ref(error)

    kept: list[logging.LogRecord] = []
    handler = BackgroundHandler(pipe[1])
    assert fail()() is None
    handler.flush()
    text = os.read(pipe[0], 65536).decode()
    assert "a pod: what went wrong" in text
    assert "Failed: what went wrong" in text


def test_the_time_is_told_to_the_millisecond() -> None:
    record = LeanRecord("podgate.test", logging.INFO, __file__, 1, "", (), None)
    record.created = 1.25
    ours, theirs = SecondsFormatter().formatTime(record), logging.Formatter().formatTime(record_of(1.25))
    assert ours == theirs


def record_of(seconds: float) -> logging.LogRecord:
    record = line("")
    record.created, record.msecs = seconds, seconds % 1 * 1000
    return record
