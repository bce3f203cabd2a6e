import pytest

from bench.latency import P50, P99, PROBABILITIES, quantiles
from bench.samples import deviation, median, percentile


def test_the_median_and_the_deviation_do_not_mind_one_wild_sample() -> None:
    assert median([3.0, 1.0, 2.0, 1000.0, 2.0]) == 2.0
    assert deviation([3.0, 1.0, 2.0, 1000.0, 2.0]) == 1.0


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1.0), (0.5, 51.0), (0.99, 100.0), (1.0, 100.0)])
def test_a_percentile_is_a_sample(share: float, expected: float) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], share) == expected


def test_quantiles_stand_at_the_named_probabilities() -> None:
    found = quantiles([float(value) for value in range(1000, 0, -1)])
    assert len(found) == len(PROBABILITIES)
    assert (found[0], found[P50], found[P99], found[-1]) == (1.0, 501.0, 991.0, 1000.0)


def test_probabilities_grow_to_all_of_it() -> None:
    assert list(PROBABILITIES) == sorted(set(PROBABILITIES))
    assert PROBABILITIES[-1] == 1.0
