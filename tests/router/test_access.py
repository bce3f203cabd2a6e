"""Admission: the full product of requirements and callers, what the API offers, and what is no level at all."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.access import LEAST, AccessLevel, Action, Decision, Principal, decide, level_of, login_level, may, may_grant

ALLOWED, UNIDENTIFIED, INSUFFICIENT = Decision.ALLOWED, Decision.UNIDENTIFIED, Decision.INSUFFICIENT
PUBLIC, READ, WRITE, MANAGE, OWNER = AccessLevel
LEVELS = (None, PUBLIC, READ, WRITE, MANAGE, OWNER)  # None: no grant
POD = "pod-1"

# What is asked for, then the answers to somebody known who holds the levels above, in their order.
TABLE = {
    PUBLIC: (ALLOWED, ALLOWED, ALLOWED, ALLOWED, ALLOWED, ALLOWED),
    READ: (INSUFFICIENT, INSUFFICIENT, ALLOWED, ALLOWED, ALLOWED, ALLOWED),
    WRITE: (INSUFFICIENT, INSUFFICIENT, INSUFFICIENT, ALLOWED, ALLOWED, ALLOWED),
    MANAGE: (INSUFFICIENT, INSUFFICIENT, INSUFFICIENT, INSUFFICIENT, ALLOWED, ALLOWED),
    OWNER: (INSUFFICIENT, INSUFFICIENT, INSUFFICIENT, INSUFFICIENT, INSUFFICIENT, ALLOWED),
}
PRODUCT = [
    (required, held, answer) for required, row in TABLE.items() for held, answer in zip(LEVELS, row, strict=True)
]
ALICE = Principal("alice", frozenset(("lab", "ops")))
LINK = Principal(link="l1")
WAYS = {
    "user": (ALICE, "user:alice"),
    "group": (ALICE, "group:ops"),
    "everyone": (ALICE, "everyone"),
    "link": (LINK, "link:l1"),
}
GARBAGE: tuple[object, ...] = (
    *(0, 1, 4, 5, -1, True, False, "public", "owner", "alice", "", 0.0, (), [], {}, object(), AccessLevel, Principal),
    Decision.ALLOWED,
    OWNER,
    {"user": "alice"},
)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("required", "held", "answer"), PRODUCT)
def test_every_requirement_meets_every_caller(
    way: str, required: AccessLevel, held: AccessLevel | None, answer: Decision
) -> None:
    principal, grantee = WAYS[way]
    grants = {} if held is None else {grantee: held}
    assert decide(required, principal, POD, grants) is answer
    assert decide(required, replace(principal, pod=POD), POD, grants) is answer


def test_the_table_is_complete() -> None:
    assert set(TABLE) == set(AccessLevel) == set(LEVELS) - {None}


@pytest.mark.parametrize("required", AccessLevel)
@pytest.mark.parametrize("nobody", [None, *GARBAGE])
def test_who_is_nobody_may_use_what_is_public(required: AccessLevel, nobody: object) -> None:
    grants = {"user:alice": OWNER, "everyone": OWNER, "user:": OWNER, "link:": OWNER}
    assert decide(required, nobody, POD, grants) is (ALLOWED if required is PUBLIC else UNIDENTIFIED)


@pytest.mark.parametrize("most", AccessLevel)
@pytest.mark.parametrize(("required", "held", "answer"), PRODUCT)
def test_a_credential_may_be_worth_less_than_its_user(
    most: AccessLevel, required: AccessLevel, held: AccessLevel | None, answer: Decision
) -> None:
    limited = replace(ALICE, most=most)
    cut = held if held is None else min(held, most)
    assert (
        decide(required, limited, POD, {} if held is None else {"user:alice": held})
        is TABLE[required][LEVELS.index(cut)]
    )
    assert answer is TABLE[required][LEVELS.index(held)]


@pytest.mark.parametrize("required", AccessLevel)
def test_a_credential_of_another_pod_is_worth_nothing_here(required: AccessLevel) -> None:
    elsewhere = replace(ALICE, pod="pod-2")
    assert decide(required, elsewhere, POD, {"user:alice": OWNER}) is (ALLOWED if required is PUBLIC else INSUFFICIENT)
    assert decide(READ, elsewhere, "", {"user:alice": OWNER}) is INSUFFICIENT


def test_the_highest_of_all_grants_counts() -> None:
    grants = {"user:alice": READ, "group:lab": WRITE, "group:ops": MANAGE, "everyone": READ, "user:bob": OWNER}
    assert level_of(ALICE, POD, grants) is MANAGE
    assert level_of(replace(ALICE, groups=frozenset()), POD, grants) is READ
    assert level_of(LINK, POD, grants) is None


@pytest.mark.parametrize(
    "grantee",
    ["alice", "user:Alice", "user:alic", "user:alice ", "group:alice", "link:alice", "group:", "user:", "Everyone", ""],
)
def test_a_grant_is_for_the_one_it_names_and_nobody_else(grantee: str) -> None:
    assert level_of(ALICE, POD, {grantee: OWNER}) is None


def test_a_link_is_not_everyone_nor_a_user_of_its_name() -> None:
    assert level_of(LINK, POD, {"everyone": OWNER, "user:l1": OWNER, "user:": OWNER, "link:": OWNER}) is None
    assert level_of(Principal(), POD, {"everyone": OWNER, "user:": OWNER, "link:": OWNER}) is None
    assert level_of(replace(ALICE, link="l1"), POD, {"link:l1": OWNER}) is None


@pytest.mark.parametrize("required", [None, *(item for item in GARBAGE if item is not OWNER)])
@pytest.mark.parametrize("principal", [None, ALICE, LINK, *GARBAGE])
def test_an_unknown_requirement_opens_to_nobody(required: object, principal: object) -> None:
    grants = {"user:alice": OWNER, "link:l1": OWNER, "everyone": OWNER}
    assert decide(required, principal, POD, grants) is not ALLOWED


@pytest.mark.parametrize("level", [item for item in GARBAGE if item is not OWNER])
def test_an_unknown_level_opens_nothing(level: Any) -> None:
    assert decide(READ, ALICE, POD, {"user:alice": level}) is INSUFFICIENT
    assert decide(READ, replace(ALICE, most=level), POD, {"user:alice": OWNER}) is INSUFFICIENT
    assert decide(READ, ALICE, POD, {"user:alice": level, "everyone": READ}) is ALLOWED


@given(st.sampled_from(AccessLevel), st.sampled_from(AccessLevel), st.sampled_from(AccessLevel))
def test_a_higher_level_is_never_worth_less(required: AccessLevel, low: AccessLevel, high: AccessLevel) -> None:
    low, high = sorted((low, high))
    lower = decide(required, ALICE, POD, {"user:alice": low})
    assert lower is not ALLOWED or decide(required, ALICE, POD, {"user:alice": high}) is ALLOWED


def test_a_principal_is_called_by_its_name() -> None:
    assert (str(ALICE), str(LINK)) == ("alice", "link:l1")


# ---- which login of a database

# Who holds this gets the first of these that there is.
GETS = {
    None: (),
    PUBLIC: (),
    READ: (READ,),
    WRITE: (WRITE, READ),
    MANAGE: (MANAGE, OWNER, WRITE, READ),
    OWNER: (OWNER, MANAGE, WRITE, READ),
}
SETS = [frozenset(some) for count in range(5) for some in itertools.combinations((READ, WRITE, MANAGE, OWNER), count)]


@pytest.mark.parametrize("logins", SETS, ids=lambda some: "+".join(map(str, sorted(some))) or "none")
@pytest.mark.parametrize("held", LEVELS)
def test_every_level_meets_every_set_of_logins(held: AccessLevel | None, logins: frozenset[AccessLevel]) -> None:
    wanted = next((level for level in GETS[held] if level in logins), None)
    assert login_level(held, logins) is wanted
    assert login_level(held, dict.fromkeys(logins, ())) is wanted
    if wanted is not None and (held, wanted) != (MANAGE, OWNER):
        assert held is not None
        assert wanted <= held


@pytest.mark.parametrize("held", [item for item in GARBAGE if item is not OWNER])
def test_an_unknown_level_gets_no_login(held: object) -> None:
    assert login_level(held, set(AccessLevel)) is None


def test_a_login_for_the_public_is_nobodys() -> None:
    assert [login_level(held, {PUBLIC}) for held in LEVELS] == [None] * len(LEVELS)


# ---- what the API offers

OFFERS = {
    READ: {Action.SEE, Action.LOGS},
    WRITE: {Action.USE, Action.UPLOAD},
    MANAGE: {Action.START, Action.STOP, Action.EXEC, Action.EDIT, Action.SHARE},
    OWNER: {Action.CREDENTIALS, Action.DELETE, Action.GIVE_AWAY},
}


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("held", LEVELS)
def test_every_action_needs_its_level(action: Action, held: AccessLevel | None) -> None:
    least = next(level for level, actions in OFFERS.items() if action in actions)
    assert LEAST[action] is least
    assert may(action, held) == (held is not None and held >= least)


@pytest.mark.parametrize("garbage", [None, *(item for item in GARBAGE if item is not OWNER), "see", "delete"])
def test_what_is_unknown_may_nothing(garbage: object) -> None:
    assert not may(garbage, OWNER)
    assert not any(may(action, garbage) for action in Action)
    assert not may_grant(garbage, OWNER)
    assert not may_grant(READ, garbage)


# Who holds this may give these.
GIVES = {None: (), PUBLIC: (), READ: (), WRITE: (), MANAGE: (READ, WRITE), OWNER: (READ, WRITE, MANAGE)}


@pytest.mark.parametrize("held", LEVELS)
@pytest.mark.parametrize("granted", AccessLevel)
def test_one_gives_what_is_below_ones_own(held: AccessLevel | None, granted: AccessLevel) -> None:
    assert may_grant(granted, held) == (granted in GIVES[held])


# ---- names


@pytest.mark.parametrize("level", AccessLevel)
def test_a_level_is_read_by_its_name(level: AccessLevel) -> None:
    assert AccessLevel.parse(str(level)) is level


@pytest.mark.parametrize("text", ["", "Owner", "OWNER", " owner", "admin", "0", None, 0, 4, True, [], AccessLevel.READ])
def test_what_is_no_level_is_refused_naming_those_there_are(text: object) -> None:
    with pytest.raises(ValueError, match="access: expected one of public, read, write, manage, owner, got"):
        AccessLevel.parse(text)
