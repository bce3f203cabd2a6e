"""Lines are written in their order, all of them at the end; a reader who stalls holds nobody up."""

import logging
import os
from collections.abc import Iterator

import pytest

from gateway.logs import MOST, BackgroundHandler


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def line(text: str) -> logging.LogRecord:
    return logging.LogRecord("podgate.test", logging.INFO, __file__, 1, text, (), None)


def test_lines_are_written_in_their_order(pipe: tuple[int, int]) -> None:
    handler = BackgroundHandler(pipe[1])
    for number in range(100):
        handler.handle(line(str(number)))
    handler.flush()
    assert os.read(pipe[0], 65536).decode().split() == [str(number) for number in range(100)]


def test_a_reader_who_stalls_holds_nobody_up_and_is_told_what_is_lost(pipe: tuple[int, int]) -> None:
    handler = BackgroundHandler(pipe[1])
    for _ in range(40):
        handler.handle(line("x" * (MOST // 10)))  # returns, though nobody reads
    text = b""
    while b"lines of this log are lost" not in text:
        text += os.read(pipe[0], 1 << 20)
    handler.flush()
