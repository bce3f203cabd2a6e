"""Spinning is for two who converse, and stops where it brings nothing."""

import pytest

from gateway.spinning import SHORT, Spinner
from gateway.waiting import READ, TROUBLE, WRITE

LONG = 10 * SHORT


def conversing() -> Spinner:
    """Make one that has heard a conversation, with a short sleep in it."""
    spinner = Spinner()
    for descriptor in (3, 4, 3):
        spinner.listen([(descriptor, READ)])
    spinner.slept(SHORT / 2)
    return spinner


def test_a_conversation_with_short_waits_is_worth_it() -> None:
    assert conversing().is_worth_it()
    assert not Spinner().is_worth_it()


@pytest.mark.parametrize(
    "events",
    [
        [(3, READ)],
        [(5, READ)],
        [(4, WRITE)],
        [(4, READ | TROUBLE)],
        [(4, READ), (3, READ)],
        [],
    ],
    ids=["one goes on", "another comes", "room to write", "an end", "both at once", "none"],
)
def test_what_is_no_conversation(events: list[tuple[int, int]]) -> None:
    spinner = conversing()
    spinner.listen(events)
    assert not spinner.is_worth_it()


def test_a_conversation_that_is_taken_up_again_is_noticed() -> None:
    spinner = conversing()
    spinner.listen([(5, READ)])
    for descriptor in (3, 4, 3):
        spinner.listen([(descriptor, READ)])
    assert spinner.is_worth_it()


def test_one_miss_among_many_hits_changes_nothing() -> None:
    spinner = conversing()
    for _ in range(20):
        spinner.met()
    spinner.missed()
    spinner.slept(SHORT / 2)
    assert spinner.is_worth_it()


def test_where_it_is_always_in_vain_it_is_done_one_time_in_four() -> None:
    spinner = conversing()
    spun = 0
    for _ in range(100):
        if spinner.is_worth_it():
            spinner.missed()
            spun += 1
        spinner.slept(SHORT / 2)
    assert spun == 25


def test_a_long_wait_ends_it_until_there_is_a_short_one() -> None:
    spinner = conversing()
    for _ in range(20):
        spinner.met()
    spinner.slept(LONG)
    assert not spinner.is_worth_it()
    spinner.slept(SHORT / 2)
    assert spinner.is_worth_it()
