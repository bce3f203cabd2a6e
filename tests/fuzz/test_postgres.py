"""A short and always equal run of `python -m tests.fuzz.postgres`."""

import random

from tests.fuzz.postgres import choose
from tests.fuzz.running import run

WAYS = {
    "login: denied at first", "login: denied at last", "login: let in", "naming: a pod", "naming: malformed",
    "naming: no pod", "our login: denied at first", "our login: denied at last", "startup: cancel request",
    "startup: malformed", "startup: more", "message: malformed", "message: more", "message: no body",
}  # fmt: skip
BODIES = {"authentication", "error", "key", "offer", "password", "sasl initial", "version"}


def test_thirty_thousand_mutations() -> None:
    """Each way an input can go is gone: without that the run would show little."""
    figures = run(choose, random.Random(7), 30_000)
    assert figures.inputs == 30_000
    read = [outcome.removeprefix("message: ") for outcome in figures.outcomes if outcome not in WAYS]
    assert set(figures.outcomes) >= WAYS
    assert {body for outcome in read for body in outcome.split(" or ")} == BODIES
