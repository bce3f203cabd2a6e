import pytest

from bench.flatness import AFTER, CONNECTIONS, MIXED, START, judge, quarters
from bench.process import Reading
from bench.watch import Sample
from tests.bench.soaks import MIB, samples


def flat(found: list[Sample]) -> list[bool]:
    return [one.flat for one in judge(found)]


def test_quarters_are_medians_after_the_first_tenth() -> None:
    assert quarters([1000.0, 1000.0, *[1.0] * 4, 500.0, *[2.0] * 9, *[3.0] * 4]) == (1.0, 3.0)


def test_too_few_samples_have_no_quarters() -> None:
    assert quarters([1.0] * 8) == (1.0, 1.0)
    assert quarters([1.0] * 7) is None
    assert quarters([]) is None


def test_what_stays_is_flat() -> None:
    assert flat(samples([60.0] * 20, [80.0] * 20)) == [True, True, True]


def test_what_grows_while_it_warms_up_is_flat() -> None:
    assert flat(samples([30.0, 50.0, *[60.0] * 18])) == [True, True]


@pytest.mark.parametrize(("last", "expected"), [(107.0, True), (109.0, True), (109.1, False)])
def test_memory_may_rise_by_five_percent_and_four_mebibytes(last: float, expected: bool) -> None:
    (memory, _descriptors) = judge(samples([*[100.0] * 10, *[last] * 10]))
    assert memory.most == pytest.approx(109 * MIB)
    assert memory.flat is expected


def test_a_leak_is_not_flat_in_its_phase_alone() -> None:
    first, second, left = judge(samples([60.0] * 20, [60.0 + 2 * second for second in range(20)]))
    assert (first.flat, second.flat, left.flat) == (True, False, True)
    assert second.what == f"memory, {MIXED}"


def test_one_wild_sample_is_no_leak() -> None:
    assert flat(samples([*[60.0] * 18, 500.0, 60.0])) == [True, True]


def test_memory_that_shrinks_is_flat() -> None:
    assert flat(samples([500.0 - second for second in range(20)])) == [True, True]


@pytest.mark.parametrize(("left", "expected"), [(12, True), (13, True), (14, False)])
def test_every_descriptor_has_to_be_back(left: int, expected: bool) -> None:
    finding = judge(samples([60.0] * 20, left=left))[-1]
    assert (finding.before, finding.after, finding.flat) == (13, left, expected)


def test_a_phase_too_short_cannot_be_told_and_so_is_not_flat() -> None:
    memory, left = judge(samples([60.0] * 5))
    assert (memory.flat, left.flat) == (False, True)
    assert memory.problem == "only 5 samples; a longer phase can tell"


def test_a_phase_that_was_not_asked_for_is_not_judged() -> None:
    assert [one.what for one in judge(samples([], [60.0] * 20))] == [f"memory, {MIXED}", "descriptors"]


def test_a_worker_that_was_replaced_is_not_flat() -> None:
    before, after = samples([60.0] * 20), samples([60.0] * 20, worker="worker 2")
    found = [one if place < 11 else after[place] for place, one in enumerate(before)]
    problems = {(one.process, one.what): one.problem for one in judge(found)}
    assert problems == {
        ("worker 1", f"memory, {CONNECTIONS}"): "it was not there all the time",
        ("worker 2", f"memory, {CONNECTIONS}"): "it was not there all the time",
        ("worker 1", "descriptors"): "it was not there in the end",
        ("worker 2", "descriptors"): "it was not there at the start",
    }
    assert not any(flat(found))


def test_each_process_is_judged_by_itself() -> None:
    found = []
    for second, phase in enumerate([START, *[CONNECTIONS] * 20, AFTER]):
        one, other = Reading(60 * MIB, 13, 0.0), Reading((60 + second) * MIB, 13, 0.0)
        found.append(Sample(float(second), phase, {"worker 1": one, "worker 2": other}))
    assert {(one.process, one.what) for one in judge(found) if not one.flat} == {("worker 2", f"memory, {CONNECTIONS}")}
