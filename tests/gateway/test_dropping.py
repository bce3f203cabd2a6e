"""Random early drop: the decision, its probability, what is said of it, and the command line's reading of it."""

import random

import pytest
from typer.testing import CliRunner

from gateway.dropping import PAUSE, Dropping, EarlyDrop
from gateway.options import Options
from podgate.cli import app

SSHD = EarlyDrop(10, 30, 100)


@pytest.mark.parametrize(
    ("rule", "openings", "chance"),
    [
        (SSHD, 0, 0.0),
        (SSHD, 9, 0.0),
        (SSHD, 10, 0.30),
        (SSHD, 55, 0.65),
        (SSHD, 99, 0.30 + 0.70 * 89 / 90),
        (SSHD, 100, 1.0),
        (SSHD, 5000, 1.0),
        (EarlyDrop(1, 1, 1), 0, 0.0),
        (EarlyDrop(5, 20, 5), 4, 0.0),
        (EarlyDrop(5, 20, 5), 5, 1.0),  # no room to rise in: a plain limit
        (EarlyDrop(2, 100, 50), 1, 0.0),
        (EarlyDrop(2, 100, 50), 2, 1.0),
    ],
)
def test_the_chance_rises_evenly_from_start_to_full(rule: EarlyDrop, openings: int, chance: float) -> None:
    assert rule.chance(openings) == pytest.approx(chance)


@pytest.mark.parametrize(
    ("openings", "dice", "dropped"),
    [(9, 0.0, False), (10, 0.2999, True), (10, 0.3, False), (55, 0.64, True), (55, 0.66, False), (100, 0.9999, True)],
)
def test_a_connection_is_dropped_if_the_dice_fall_below_the_chance(openings: int, dice: float, dropped: bool) -> None:
    assert SSHD.drops(openings, dice) is dropped


@pytest.mark.parametrize(("openings", "share"), [(10, 0.30), (32, 0.4711), (55, 0.65), (90, 0.9222)])
def test_of_many_that_share_is_dropped(openings: int, share: float) -> None:
    dice, many = random.Random(6), 20_000
    dropped = sum(SSHD.drops(openings, dice.random()) for _ in range(many))
    assert dropped / many == pytest.approx(share, abs=0.01)  # three standard deviations


@pytest.mark.parametrize("text", ["10:30:100", "1:1:1", "1000000:100:1000000"])
def test_a_rule_is_read_as_it_is_written(text: str) -> None:
    assert str(EarlyDrop.parse(text)) == text


WRONG = ["", "10", "10:30", "10:30:100:5", "0:30:100", "10:0:100", "10:101:100", "100:30:10", "a:b:c", "-1:30:100",
         "10:30:1000001", " 10:30:100", "10:30:100\n", "\u0661\u0660:30:100"]  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not START:RATE:FULL"):
        EarlyDrop.parse(text)


@pytest.mark.parametrize("command", ["serve", "gateway"])
def test_a_wrong_rule_is_wrong_usage(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--early-drop", "100:30:10"], env={"COLUMNS": "300", "TERM": "dumb"})
    assert result.exit_code == 2
    assert "'100:30:10' is not START:RATE:FULL" in result.output


def test_nobody_is_dropped_unless_told() -> None:
    assert Options().early_drop == ""


def test_drops_are_counted_and_told_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    dropping = Dropping(EarlyDrop(10, 50, 20), iter([0.6, 0.4, 0.4, 0.6, 0.4, 0.9]).__next__)
    assert not dropping.drops(10, 0.0)
    assert dropping.drops(10, 1.0)
    assert dropping.drops(11, 2.0)
    assert not dropping.drops(10, 3.0)
    assert dropping.drops(12, 1.0 + PAUSE)
    assert not dropping.drops(10, 5.0 + PAUSE)
    dropping.tell(3)  # nothing is left to say
    assert [record.getMessage() for record in caplog.records] == [
        "early drop (10:50:20): 1 of 2 new connections were dropped, 10 are in their opening",
        "early drop (10:50:20): 2 of 3 new connections were dropped, 12 are in their opening",
    ]
    assert dropping.dropped == 3
