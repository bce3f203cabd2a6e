"""Snapshots and deltas: tables travel unchanged, bad routes are quarantined one by one, nothing is skipped."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.credentialdocument import to_document
from router.credentials import Credential, Credentials, Ended, Issuer, Key, Token, User
from router.model import Route
from router.snapshot import (
    NO_VERSION,
    CredentialChange,
    InvalidDocument,
    Rejected,
    Routes,
    Version,
    advance,
    delta_document,
    judge,
    judge_credentials,
    snapshot_document,
)
from router.table import RouteTable
from tests.router.credentials import records
from tests.router.routes import patterns, route, routes

GOOD = route("good.x").to_document()
BAD = {**route("bad.x").to_document(), "protocol": "gopher"}
TWICE = "host: given more than once; none of them is used"

by_host = st.lists(routes, max_size=6, unique_by=lambda item: item.host)
changes = st.lists(st.tuples(by_host, st.lists(patterns, max_size=3, unique=True)), max_size=5)


def sent(document: dict[str, object]) -> Any:
    """Send a document over the wire."""
    return json.loads(json.dumps(document))


def at(number: int, *listed: Route) -> Routes:
    return advance(Routes(), snapshot_document(Version("e", number), listed))


@given(by_host)
def test_a_snapshot_arrives_as_it_was(listed: list[Route]) -> None:
    arrived = advance(Routes(), sent(snapshot_document(Version("e", 7), listed)))
    assert arrived == Routes(Version("e", 7), RouteTable(listed))


@given(by_host, changes)
def test_deltas_lead_to_the_table_of_a_new_snapshot(listed: list[Route], changed: Any) -> None:
    followed, table = at(0, *listed), RouteTable(listed)
    for number, (put, remove) in enumerate(changed, 1):
        table = table.changed(put, remove)
        followed = advance(followed, sent(delta_document(Version("e", number), put, remove)))
    anew = advance(Routes(), sent(snapshot_document(Version("e", len(changed)), table)))
    assert followed == anew


def test_a_bad_route_is_quarantined_alone() -> None:
    document = {"kind": "snapshot", "epoch": "e", "version": 1, "routes": [GOOD, BAD, 5, {"host": "c.x"}]}
    arrived = advance(Routes(), document)
    assert arrived.table == RouteTable([route("good.x")], ["bad.x", "c.x"])
    assert [item.host for item in arrived.rejected] == ["bad.x", "route 3", "c.x"]
    assert arrived.rejected[0].reason.startswith("protocol: expected one of")


def test_a_bad_change_closes_the_route_it_is_about_and_no_other() -> None:
    before = at(1, route("bad.x"), route("other.x"))
    after = advance(before, {"kind": "delta", "epoch": "e", "version": 2, "put": [GOOD, BAD], "remove": []})
    assert after.table == RouteTable([route("good.x"), route("other.x")], ["bad.x"])
    assert [item.host for item in after.rejected] == ["bad.x"]
    assert before.table.find("bad.x") == route("bad.x")


def test_a_quarantined_route_is_back_when_mended() -> None:
    before = advance(Routes(), {"kind": "snapshot", "epoch": "e", "version": 1, "routes": [BAD]})
    after = advance(before, delta_document(Version("e", 2), [route("bad.x")], []))
    assert (after.table, after.rejected) == (RouteTable([route("bad.x")]), ())


@pytest.mark.parametrize(
    ("documents", "good", "rejected"),
    [
        ([GOOD, GOOD], [], [("good.x", TWICE)]),
        ([GOOD, {**GOOD, "host": "GOOD.x"}], [], [("good.x", TWICE)]),
        ([GOOD, GOOD, GOOD], [], [("good.x", TWICE)] * 2),
        ([GOOD, {**GOOD, "protocol": 1}], [], [("good.x", TWICE)]),
        ([BAD, BAD], [], [("bad.x", "protocol: "), ("bad.x", TWICE)]),
        ([GOOD, route("*.x").to_document()], ["good.x", "*.x"], []),
        ([], [], []),
    ],
)
def test_of_a_host_given_twice_none_is_used(
    documents: list[object], good: list[str], rejected: list[tuple[str, str]]
) -> None:
    usable, refused = judge(documents)
    assert list(usable) == good
    assert [host for host, _ in refused] == [host for host, _ in rejected]
    assert all(item.reason.startswith(reason) for item, (_, reason) in zip(refused, rejected, strict=True))


def test_a_host_removed_in_any_spelling_is_removed() -> None:
    after = advance(at(1, route("a.x"), route("*.x")), delta_document(Version("e", 2), [], ["A.x", "*.X"]))
    assert len(after.table) == 0


SNAPSHOT = {"kind": "snapshot", "epoch": "e", "version": 1, "routes": []}
DELTA = {"kind": "delta", "epoch": "e", "version": 2, "put": [], "remove": []}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (None, "expected an object, got NoneType"),
        ([], "expected an object, got list"),
        ({}, "'epoch', a text, and 'version', a whole number"),
        ({**SNAPSHOT, "kind": "ping"}, "kind: expected 'snapshot' or 'delta', got 'ping'"),
        ({**SNAPSHOT, "kind": ["snapshot"]}, "kind: expected"),
        ({**SNAPSHOT, "epoch": ""}, "'epoch', a text"),
        ({**SNAPSHOT, "epoch": 5}, "'epoch', a text"),
        ({**SNAPSHOT, "version": -1}, "'version', a whole number"),
        ({**SNAPSHOT, "version": True}, "'version', a whole number"),
        ({**SNAPSHOT, "version": 1.0}, "'version', a whole number"),
        ({**SNAPSHOT, "version": "1"}, "'version', a whole number"),
        ({**SNAPSHOT, "routes": None}, "routes: expected a list, got NoneType"),
        ({**SNAPSHOT, "routes": {}}, "routes: expected a list, got dict"),
        ({**DELTA, "put": None}, "put: expected a list"),
        ({**DELTA, "remove": "a.x"}, "remove: expected a list, got str"),
        ({**DELTA, "remove": [5]}, "remove: expected host names"),
        ({**DELTA, "remove": ["a b"]}, "remove: host: 'a b' is not a host name"),
        ({**DELTA, "version": 1}, "does not follow"),
        ({**DELTA, "version": 3}, "does not follow"),
        ({**DELTA, "epoch": "f"}, "does not follow"),
    ],
)
def test_what_is_no_document_or_not_the_next_one_is_refused(document: object, reason: str) -> None:
    current = at(1, route("a.x"))
    with pytest.raises(InvalidDocument, match=f"^routes: .*{reason}"):
        advance(current, document)
    assert current == at(1, route("a.x"))


def test_nothing_follows_no_snapshot() -> None:
    with pytest.raises(InvalidDocument, match="does not follow"):
        advance(Routes(), {**DELTA, "version": NO_VERSION.number + 1})


def test_a_snapshot_starts_anew_at_any_version() -> None:
    anew = advance(at(9, route("a.x")), snapshot_document(Version("f", 0), [route("b.x")]))
    assert anew == Routes(Version("f", 0), RouteTable([route("b.x")]))


def test_what_was_rejected_before_is_not_told_again() -> None:
    before = advance(Routes(), {"kind": "snapshot", "epoch": "e", "version": 1, "routes": [BAD]})
    assert before.rejected == (Rejected("bad.x", before.rejected[0].reason),)
    assert advance(before, DELTA).rejected == ()


def test_a_hundred_thousand_routes_load_and_one_changes() -> None:
    many = [route(f"pod-{number}.pods.localhost", number % 65535 + 1) for number in range(100_000)]
    loaded = advance(Routes(), snapshot_document(Version("e", 1), many))
    assert (len(loaded.table), loaded.rejected) == (100_000, ())
    changed = advance(
        loaded, delta_document(Version("e", 2), [route("pod-5.pods.localhost", 9)], ["pod-6.pods.localhost"])
    )
    assert len(changed.table) == 99_999
    assert changed.table.find("pod-5.pods.localhost") == route("pod-5.pods.localhost", 9)
    assert changed.table.find("pod-6.pods.localhost") is None
    assert changed.table.find("pod-99999.pods.localhost") == many[-1]
    assert loaded.table.find("pod-5.pods.localhost") == many[5]


def test_a_quarantined_host_is_not_served_by_the_wildcard_that_covers_it() -> None:
    before = at(1, route("bad.x"), route("*.x"))
    after = advance(before, {"kind": "delta", "epoch": "e", "version": 2, "put": [BAD], "remove": []})
    assert after.table.find("bad.x") is None
    assert after.table.find("other.x") == route("*.x")


def test_a_snapshot_that_is_passed_on_keeps_what_was_quarantined() -> None:
    first = advance(Routes(), {"kind": "snapshot", "epoch": "e", "version": 1, "routes": [GOOD, BAD]})
    passed_on = json.loads(json.dumps(snapshot_document(first.version, first.table, first.table.quarantined)))
    assert advance(Routes(), passed_on).table == first.table
    assert first.table.quarantined == {"bad.x"}


def test_a_quarantined_host_is_free_again_when_it_is_removed() -> None:
    first = advance(
        Routes(), {"kind": "snapshot", "epoch": "e", "version": 1, "routes": [BAD, route("*.x").to_document()]}
    )
    after = advance(first, {"kind": "delta", "epoch": "e", "version": 2, "put": [], "remove": ["bad.x"]})
    assert after.table.find("bad.x") == route("*.x")
    assert (after.table.quarantined, len(after.table)) == (frozenset(), 1)


@pytest.mark.parametrize("quarantined", [5, [5], ["bad..x"]])
def test_what_a_snapshot_has_quarantined_must_be_readable(quarantined: object) -> None:
    document = {"kind": "snapshot", "epoch": "e", "version": 1, "routes": [], "quarantined": quarantined}
    with pytest.raises(InvalidDocument):
        advance(Routes(), document)


# ---- credentials

PEOPLE = (
    User("alice"),
    Token("k1", "ab" * 32, "alice"),
    Key("s1", b"k" * 32),
    Ended("x", 5.0),
    Issuer("https://i", "us"),
)
BAD_TOKEN = {"kind": "token", "id": "k1", "hash": "short", "user": "alice", "most": "owner"}
sets = st.lists(records, max_size=6, unique_by=lambda record: record.key)


def knowing(*people: Credential) -> Routes:
    return advance(Routes(), sent(snapshot_document(Version("e", 1), [], (), people)))


@given(sets)
def test_credentials_arrive_with_a_snapshot(people: list[Credential]) -> None:
    assert knowing(*people).credentials == Credentials(people)


@given(sets, st.lists(st.tuples(sets, sets), max_size=4))
def test_credentials_follow_deltas(people: list[Credential], changed: Any) -> None:
    followed, known = knowing(*people), Credentials(people)
    for number, (put, gone) in enumerate(changed, 2):
        remove = [record.key for record in gone]
        known = known.changed(put, remove)
        change = CredentialChange(tuple(put), tuple(remove))
        followed = advance(followed, sent(delta_document(Version("e", number), [], [], change)))
        assert followed.credentials == known


def test_a_delta_that_says_nothing_of_credentials_leaves_them_alone() -> None:
    before = knowing(*PEOPLE)
    assert advance(before, DELTA).credentials is before.credentials
    nothing = delta_document(Version("e", 2), [], [], CredentialChange())
    assert advance(before, nothing).credentials is before.credentials


def test_a_snapshot_without_credentials_knows_nobody() -> None:
    assert len(advance(knowing(*PEOPLE), SNAPSHOT).credentials) == 0


def test_a_bad_record_of_a_snapshot_is_rejected_alone() -> None:
    documents = [BAD_TOKEN, *(to_document(record) for record in PEOPLE if record.key != "token:k1"), 5]
    after = advance(Routes(), {**SNAPSHOT, "credentials": documents})
    assert after.credentials == Credentials([record for record in PEOPLE if record.key != "token:k1"])
    assert [(item.host, item.reason.partition(":")[0]) for item in after.rejected] == [
        ("token:k1", "hash"), ("credential 6", "expected a table of fields, got int")
    ]  # fmt: skip
    assert len(after.table) == 0
    assert after.table.quarantined == frozenset()


def test_a_bad_record_of_a_delta_takes_the_one_of_its_key_away() -> None:
    change = {"put": [BAD_TOKEN, to_document(User("bob"))], "remove": ["user:alice"]}
    after = advance(knowing(*PEOPLE), {**DELTA, "credentials": change})
    assert (after.credentials.token("k1"), after.credentials.user("alice")) == (None, None)
    assert after.credentials.user("bob") == User("bob")
    assert len(after.credentials) == len(PEOPLE) - 1
    assert [item.host for item in after.rejected] == ["token:k1"]


def test_of_a_key_given_twice_none_is_used() -> None:
    twice = [to_document(User("alice")), to_document(User("alice", frozenset(("lab",)))), to_document(User("bob"))]
    good, rejected = judge_credentials(twice)
    assert (list(good), [item.host for item in rejected]) == (["user:bob"], ["user:alice"])


@pytest.mark.parametrize(
    "documents",
    [
        [{"kind": "ended", "session": "x", "until": "soon"}],
        [{"kind": "ended", "session": "x", "until": 5, "new": 1}],
        [{"kind": "ended", "session": "x", "until": 5}, {"kind": "ended", "session": "x", "until": 5}],
    ],
    ids=["bad", "new field", "twice"],
)
def test_a_session_that_was_ended_is_not_revived_by_a_record_that_cannot_be_read(documents: list[object]) -> None:
    """Of all records it is the one whose absence lets somebody in."""
    assert advance(Routes(), {**SNAPSHOT, "credentials": documents}).credentials.ended("x")
    change = {"put": documents, "remove": []}
    assert advance(knowing(*PEOPLE), {**DELTA, "credentials": change}).credentials.ended("x")


@pytest.mark.parametrize(
    "document",
    [
        {**SNAPSHOT, "credentials": {}},
        {**SNAPSHOT, "credentials": None},
        {**DELTA, "credentials": []},
        {**DELTA, "credentials": {"put": []}},
        {**DELTA, "credentials": {"put": {}, "remove": []}},
        {**DELTA, "credentials": {"put": [], "remove": [5]}},
        {**DELTA, "credentials": {"put": [], "remove": "user:alice"}},
    ],
)
def test_credentials_that_are_no_change_at_all_refuse_the_document(document: object) -> None:
    with pytest.raises(InvalidDocument, match=r"^routes: credentials|^routes: put|^routes: remove"):
        advance(knowing(*PEOPLE), document)
