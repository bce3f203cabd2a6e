"""Admission: the full product of requirements and callers, and what is no level at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.access import AccessLevel, Decision, decide

ALLOWED, UNIDENTIFIED, INSUFFICIENT = Decision.ALLOWED, Decision.UNIDENTIFIED, Decision.INSUFFICIENT
CALLERS = (None, AccessLevel.PUBLIC, AccessLevel.READ, AccessLevel.WRITE, AccessLevel.MANAGE, AccessLevel.OWNER)

# What is asked for, then the answers to the callers above, in their order.
TABLE = {
    AccessLevel.PUBLIC: (ALLOWED, ALLOWED, ALLOWED, ALLOWED, ALLOWED, ALLOWED),
    AccessLevel.READ: (UNIDENTIFIED, UNIDENTIFIED, ALLOWED, ALLOWED, ALLOWED, ALLOWED),
    AccessLevel.WRITE: (UNIDENTIFIED, UNIDENTIFIED, INSUFFICIENT, ALLOWED, ALLOWED, ALLOWED),
    AccessLevel.MANAGE: (UNIDENTIFIED, UNIDENTIFIED, INSUFFICIENT, INSUFFICIENT, ALLOWED, ALLOWED),
    AccessLevel.OWNER: (UNIDENTIFIED, UNIDENTIFIED, INSUFFICIENT, INSUFFICIENT, INSUFFICIENT, ALLOWED),
}
GARBAGE: tuple[object, ...] = (
    0,
    1,
    4,
    5,
    -1,
    True,
    False,
    "public",
    "owner",
    "",
    0.0,
    (),
    [],
    {},
    object(),
    AccessLevel,
    Decision.ALLOWED,
)
PRODUCT = [
    (required, held, answer) for required, row in TABLE.items() for held, answer in zip(CALLERS, row, strict=True)
]


@pytest.mark.parametrize(("required", "held", "answer"), PRODUCT)
def test_every_requirement_meets_every_caller(
    required: AccessLevel, held: AccessLevel | None, answer: Decision
) -> None:
    assert decide(required, held) is answer


def test_the_table_is_complete() -> None:
    assert set(TABLE) == set(AccessLevel) == set(CALLERS) - {None}


@pytest.mark.parametrize("required", [None, *GARBAGE])
@pytest.mark.parametrize("held", [*CALLERS, *GARBAGE])
def test_an_unknown_requirement_opens_to_nobody(required: object, held: object) -> None:
    assert decide(required, held) is not ALLOWED


@pytest.mark.parametrize("required", [level for level in AccessLevel if level is not AccessLevel.PUBLIC])
@pytest.mark.parametrize("held", GARBAGE)
def test_an_unknown_level_opens_nothing(required: AccessLevel, held: object) -> None:
    assert decide(required, held) is INSUFFICIENT


@given(st.sampled_from(AccessLevel), st.sampled_from(AccessLevel), st.sampled_from(AccessLevel))
def test_a_higher_level_is_never_worth_less(required: AccessLevel, low: AccessLevel, high: AccessLevel) -> None:
    low, high = sorted((low, high))
    assert decide(required, low) is not ALLOWED or decide(required, high) is ALLOWED


@pytest.mark.parametrize("level", AccessLevel)
def test_a_level_is_read_by_its_name(level: AccessLevel) -> None:
    assert AccessLevel.parse(str(level)) is level


@pytest.mark.parametrize("text", ["", "Owner", "OWNER", " owner", "admin", "0", None, 0, 4, True, [], AccessLevel.READ])
def test_what_is_no_level_is_refused_naming_those_there_are(text: object) -> None:
    with pytest.raises(ValueError, match="access: expected one of public, read, write, manage, owner, got"):
        AccessLevel.parse(text)
