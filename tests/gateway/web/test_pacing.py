"""Rates, by a clock in the test's hand."""

import pytest

from gateway.web import pacing
from gateway.web.pacing import Pacer
from gateway.web.visit import Admitted, Answer
from router.access import AccessLevel
from router.model import WebRules
from tests.clock import Clock
from tests.gateway.web.site import ALICE, NOW, READER, bearer, engine, head_of, request, route, status, values, visit

ALICES, OTHERS = ("web", "alice"), ("web", "bob")


def test_a_burst_may_come_at_once_and_then_one_at_a_time() -> None:
    pacer = Pacer()
    assert [pacer.take(ALICES, 2.0, 3, 100.0) for _ in range(4)] == [0.0] * 4
    assert pacer.take(ALICES, 2.0, 3, 100.0) == 0.5
    assert pacer.take(ALICES, 2.0, 3, 100.25) == 0.25
    assert pacer.take(ALICES, 2.0, 3, 100.5) == 0.0
    assert pacer.take(ALICES, 2.0, 3, 100.5) == 0.5


def test_asking_too_early_costs_nothing() -> None:
    pacer = Pacer()
    pacer.take(ALICES, 1.0, 0, 0.0)
    for tenth in range(1, 10):
        assert pacer.take(ALICES, 1.0, 0, tenth / 10) > 0
    assert pacer.take(ALICES, 1.0, 0, 1.01) == 0.0


def test_a_pause_saves_up_no_more_than_a_burst() -> None:
    pacer = Pacer()
    pacer.take(ALICES, 10.0, 2, 0.0)
    assert [pacer.take(ALICES, 10.0, 2, 1e6) for _ in range(4)] == [0.0, 0.0, 0.0, 0.1]


def test_callers_do_not_slow_each_other_nor_hosts() -> None:
    pacer = Pacer()
    assert pacer.take(ALICES, 1.0, 0, 0.0) == 0.0
    assert pacer.take(OTHERS, 1.0, 0, 0.0) == 0.0
    assert pacer.take(("other", "alice"), 1.0, 0, 0.0) == 0.0
    assert pacer.take(ALICES, 1.0, 0, 0.0) > 0


def test_the_one_unused_longest_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "MOST_BUCKETS", 2)
    pacer = Pacer()
    pacer.take(ALICES, 1.0, 0, 0.0)
    pacer.take(OTHERS, 1.0, 0, 0.0)
    pacer.take(ALICES, 1.0, 0, 0.0)  # used last, although refused
    pacer.take(("web", "third"), 1.0, 0, 0.0)
    assert pacer.take(ALICES, 1.0, 0, 0.0) > 0
    assert pacer.take(OTHERS, 1.0, 0, 0.0) == 0.0


def test_a_request_beyond_the_rate_is_told_when_to_come_again() -> None:
    clock = Clock(NOW)
    site = engine(route(AccessLevel.READ, grants={"everyone": AccessLevel.READ}, web=WebRules(rate=0.1)), clock=clock)
    alices, readers = head_of(request(bearer(ALICE))), head_of(request(bearer(READER)))
    assert isinstance(site.decide(alices, visit()), Admitted)
    assert isinstance(site.decide(readers, visit()), Admitted)
    answer = site.decide(alices, visit(address="198.51.100.1"))
    assert isinstance(answer, Answer)
    assert (status(answer.data), values(answer.data, "retry-after")) == (429, ["10"])
    assert not answer.keeps_alive
    clock.now += 10
    assert isinstance(site.decide(alices, visit()), Admitted)


def test_where_nobody_is_known_addresses_are_paced_and_refused_requests_are_not_counted() -> None:
    site = engine(route(AccessLevel.PUBLIC, web=WebRules(rate=1.0)))
    plain, foreign = head_of(request()), head_of(request(host="other.pods.test"))
    assert isinstance(site.decide(foreign, visit()), Answer)
    assert isinstance(site.decide(plain, visit()), Admitted)
    assert isinstance(site.decide(plain, visit()), Answer)
    assert isinstance(site.decide(plain, visit(address="198.51.100.1")), Admitted)


@pytest.mark.parametrize("rate", [1e-300, 5e-324])
def test_the_smallest_rate_is_no_fault(rate: float) -> None:
    site = engine(route(AccessLevel.PUBLIC, web=WebRules(rate=rate)))
    site.decide(head_of(request()), visit())
    answer = site.decide(head_of(request()), visit())
    assert isinstance(answer, Answer)
    assert status(answer.data) == 429
