from bench.record import Record
from bench.targets import TARGETS, Target, judge
from tests.bench.results import CROWD, DOWN, LOOKUP, REQUESTS, record


def test_less_is_better_and_the_best_of_the_others_counts() -> None:
    (verdict,) = judge(record(), [Target("", DOWN, 1.0, ("haproxy", "envoy", "hitch"))])
    assert (verdict.peer, verdict.figure, verdict.ratio, verdict.met) == ("envoy", 0.8, 0.8, True)


def test_a_stricter_limit_against_one_peer_is_missed() -> None:
    (verdict,) = judge(record(), [Target("", DOWN, 0.45, ("haproxy",))])
    assert (verdict.ratio, verdict.met) == (0.5, False)


def test_more_is_better_where_the_metric_says_so() -> None:
    against_haproxy, against_all = judge(
        record(), [Target("", REQUESTS, 1.0, ("haproxy",)), Target("", REQUESTS, 1.0, ("haproxy", "nginx"))]
    )
    assert against_haproxy.met is True
    assert (against_all.peer, against_all.met) == ("nginx", False)


def test_a_limit_without_peers_is_in_the_figures_own_unit() -> None:
    middle, tail = judge(record(), [Target("", LOOKUP, 0.6), Target("", LOOKUP, 0.6, statistic="p99")])
    assert (middle.figure, middle.met) == (0.6, True)
    assert (tail.figure, tail.met) == (0.7, False)


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    alone, nothing = judge(record(), [Target("", CROWD, 1.0, ("haproxy",)), Target("", CROWD, 1.0)])
    assert (alone.figure, alone.met) == (1000.0, None)
    assert nothing.met is False
    assert all(verdict.met is None for verdict in judge(Record(), TARGETS))
