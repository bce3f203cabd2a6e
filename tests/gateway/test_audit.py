"""The audit trail: who is known leaves an entry, once in a while, and nobody can fill it."""

import pytest

from gateway import audit
from gateway.audit import LONGEST_DETAIL, MOST_ENTRIES, PAUSE, Trail
from gateway.errors import Reason, Refusal
from router.access import Principal
from tests.clock import Clock
from tests.gateway.web.site import HOST, NOW, route, visit

ALICE, BOB = Principal("alice", credential="token:a"), Principal("bob", credential="session:b")


def trail(clock: Clock | None = None) -> tuple[Trail, list[int]]:
    news: list[int] = []
    return Trail(clock or Clock(NOW), lambda: news.append(1)), news


def test_who_was_let_in_and_who_was_told_no_leaves_an_entry() -> None:
    kept, news = trail()
    kept.allowed(visit(), route(), ALICE)
    kept.refused(visit(), route(), BOB, "holds too little")
    one, two = kept.take()
    assert one == {
        "at": NOW, "who": "alice", "what": f"connect to {HOST} (http)", "pod": "pod-1", "address": "192.0.2.1",
        "outcome": "allowed", "detail": "token:a",
    }  # fmt: skip
    assert (two["who"], two["outcome"], two["detail"]) == ("bob", "refused", "holds too little")
    assert (kept.take(), len(news)) == ([], 2)


def test_a_decision_leaves_an_entry_whichever_way_it_ends() -> None:
    kept, _ = trail()
    with kept.decision(visit(), route(), ALICE):
        pass
    with pytest.raises(Refusal), kept.decision(visit(), route(), BOB):
        raise Refusal(Reason.FORBIDDEN, "holds too little", for_log="not for the trail")
    with pytest.raises(ZeroDivisionError), kept.decision(visit(), route(), Principal("carol")):
        raise ZeroDivisionError
    told = [(entry["who"], entry["outcome"], entry["detail"]) for entry in kept.take()]
    assert told == [("alice", "allowed", "token:a"), ("bob", "refused", "holds too little")]


def test_who_is_not_known_leaves_none() -> None:
    kept, news = trail()
    kept.allowed(visit(), route(), None)
    kept.refused(visit(), route(), None, "who?")
    kept.refused(visit(), None, ALICE, "no such pod")
    assert (kept.take(), news) == ([], [])


def test_who_comes_again_and_again_leaves_one_in_a_while() -> None:
    clock = Clock(NOW)
    kept, _ = trail(clock)
    for _ in range(3):
        kept.allowed(visit(), route(), ALICE)
    kept.refused(visit(), route(), ALICE, "no")
    kept.allowed(visit(), route(), BOB)
    assert len(kept.take()) == 3
    clock.now += PAUSE - 0.1
    kept.allowed(visit(), route(), ALICE)
    assert kept.take() == []
    clock.now += 0.1
    kept.allowed(visit(), route(), ALICE)
    assert len(kept.take()) == 1
    clock.now = NOW - 3600  # the clock was set back
    kept.allowed(visit(), route(), ALICE)
    assert len(kept.take()) == 1


def test_it_holds_so_much_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MOST_REMEMBERED", 10)
    kept, _ = trail()
    for number in range(MOST_ENTRIES + 5):
        kept.refused(visit(), route(), Principal(f"u{number}"), "x" * 1000)
    taken = kept.take()
    assert (len(taken), taken[0]["who"], len(taken[0]["detail"])) == (MOST_ENTRIES, "u5", LONGEST_DETAIL)
