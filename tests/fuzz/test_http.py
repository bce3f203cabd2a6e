"""A short and always equal run of `python -m tests.fuzz.http`."""

import random
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.http import ANSWERS, METHODS, PIECES, REQUESTS, run
from tests.fuzz.invariants import check_request, check_response
from tests.fuzz.mutation import cuts_of, mutated


def test_a_hundred_thousand_mutations() -> None:
    turns = count()
    assert run(random.Random(7), lambda: next(turns) < 50_000) == 100_000


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(METHODS), st.binary(max_size=30))
def test_mutations_that_hypothesis_chooses(chance: random.Random, method: str, surplus: bytes) -> None:
    request, answer = mutated(chance, REQUESTS, PIECES) + surplus, mutated(chance, ANSWERS, PIECES) + surplus
    check_request(request, cuts_of(chance, request))
    check_response(answer, cuts_of(chance, answer), method)
