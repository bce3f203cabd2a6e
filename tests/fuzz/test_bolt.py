"""A short and always equal run of `python -m tests.fuzz.bolt`."""

import random

from tests.fuzz.bolt import choose
from tests.fuzz.running import run

WAYS = {
    "opening: malformed", "opening: more", "opening: no version", "opening: version", "message: malformed",
    "message: more", "message: read", "message: routing table", "message: wants routing tables", "up: broken",
    "up: passed", "up: another login", "down: broken, by a call broken", "down: passed, by a call passed",
    "down: rewritten, by a call passed", "down: passed, by a call rewritten", "message: shows a token",
    "frames: malformed", "frames: ended", "frames: payload", "frames: none",
}  # fmt: skip


def test_thirty_thousand_mutations() -> None:
    """Each way an input can go is gone: without that the run would show little."""
    figures = run(choose, random.Random(7), 30_000)
    assert figures.inputs == 30_000
    assert set(figures.outcomes) >= WAYS
