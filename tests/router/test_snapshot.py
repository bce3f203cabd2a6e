"""Snapshots and deltas: tables travel unchanged, bad routes are quarantined one by one, nothing is skipped."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.model import Route
from router.snapshot import (
    NO_VERSION,
    InvalidDocument,
    Rejected,
    Routes,
    Version,
    advance,
    delta_document,
    judge,
    snapshot_document,
)
from router.table import RouteTable
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
    assert arrived == Routes(Version("e", 7), RouteTable(listed), ())


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
    assert anew == Routes(Version("f", 0), RouteTable([route("b.x")]), ())


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
