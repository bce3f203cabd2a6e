"""Which lines of a log are new, when it is read again from the second of the last ones on."""

import pytest

from controller.runtimes.kubernetes import stamped
from controller.runtimes.kubernetes.stamped import MISSING, Stamped

AT = "2026-11-22T07:00:"


def line(second: int, text: str, nano: int = 0, zone: str = "Z") -> bytes:
    return f"{AT}{second:02d}.{nano:09d}{zone} {text}\n".encode()


LOG = [line(1, "a"), line(1, "b", 5), line(2, "c"), line(2, "c", 7), line(3, "d"), line(3, "e", 1)]


def test_lines_are_given_without_their_times() -> None:
    assert Stamped().take(b"".join(LOG)) == b"a\nb\nc\nc\nd\ne\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 40, 1000])
def test_however_they_come(size: int) -> None:
    log, whole = Stamped(), b"".join(LOG)
    assert b"".join(log.take(whole[at : at + size]) for at in range(0, len(whole), size)) == b"a\nb\nc\nc\nd\ne\n"


def test_a_log_that_broke_off_anywhere_is_taken_up_without_a_loss_or_a_repetition() -> None:
    whole = b"".join(LOG)
    for cut in range(len(whole) + 1):
        log = Stamped()
        given = log.take(whole[:cut])
        since = log.since()
        again = [each for each in LOG if since is None or each[:19].decode() + "Z" >= since]
        assert given + log.take(b"".join(again)) == b"a\nb\nc\nc\nd\ne\n", cut


def test_it_is_taken_up_a_second_before_the_last() -> None:
    log = Stamped()
    assert log.since() is None
    log.take(b"".join(LOG))
    assert log.since() == f"{AT}02Z"


def test_lines_out_of_order_are_known_again() -> None:
    log, written = Stamped(), [line(2, "a"), line(3, "b"), line(2, "c", 9), line(3, "d", 1)]
    given = log.take(b"".join(written[:3]))
    assert log.since() == f"{AT}02Z"
    assert given + log.take(b"".join(written)) == b"a\nb\nc\nd\n"


def test_lines_of_the_same_nanosecond_are_counted() -> None:
    log = Stamped()
    given = log.take(line(1, "a") + line(1, "b"))
    log.since()
    assert given + log.take(line(1, "a") + line(1, "b") + line(1, "c")) == b"a\nb\nc\n"


def test_a_log_that_was_rotated_away_is_said_to_miss_something() -> None:
    log = Stamped()
    log.take(b"".join(LOG))
    log.since()
    assert log.take(line(9, "z") + line(9, "y", 1)) == MISSING + b"z\ny\n"
    log.since()
    assert log.take(line(9, "z") + line(9, "y", 1) + line(9, "x", 2)) == b"x\n"


def test_a_machine_s_zone_is_kept() -> None:
    log = Stamped()
    assert log.take(line(1, "a", zone="+02:00")) == b"a\n"
    assert log.since() == f"{AT}01+02:00"


def test_the_last_line_without_an_end_is_given_at_the_end() -> None:
    log = Stamped()
    assert log.take(LOG[0] + LOG[1][:-1]) == b"a\n"
    assert (log.end(), log.end()) == (b"b", b"")


def test_what_has_no_time_is_given_as_it_is() -> None:
    assert Stamped().take(b"no time\n2026 neither\n\n") == b"no time\n2026 neither\n\n"


def test_a_line_longer_than_any_is_given_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamped, "LONGEST_LINE", 50)
    log = Stamped()
    written = line(1, "x" * 21) + line(2, "y" * 19)
    assert log.take(written[:50]) == b""  # as long as is kept, and it has not ended
    given = log.take(written[50:51])
    assert given == b"x" * 20
    assert given + log.take(written[51:]) == b"x" * 21 + b"\n" + b"y" * 19 + b"\n"
    log.since()
    assert b"".join(log.take(written[at : at + 51]) for at in range(0, 102, 51)) == b""


def test_times_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamped, "MOST_TIMES", 2)
    log = Stamped()
    many = b"".join(line(1, str(each), each) for each in range(4))
    log.take(many)
    log.since()
    assert log.take(many) == b"2\n3\n"  # repeated rather than lost
