"""RouteTable against a naive model, and as the immutable value it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.model import Route
from router.table import RouteTable
from tests.router.routes import hosts, patterns, route, routes

several = st.lists(routes, max_size=12)


def naive_find(listed: list[Route], host: str) -> Route | None:
    """Read the list from its end: exact names first, then wildcards of one label."""
    exact = [item for item in listed if item.host == host]
    suffix = host.split(".")[1:]
    covering = [item for item in listed if item.host.split(".")[0] == "*" and item.host.split(".")[1:] == suffix]
    return [None, *covering, *exact][-1]


@given(several, hosts)
def test_find_does_as_the_naive_model_does(listed: list[Route], host: str) -> None:
    assert RouteTable(listed).find(host) == naive_find(listed, host)


@given(several, several, st.lists(patterns, max_size=6), hosts)
def test_changed_does_as_the_naive_model_does(
    listed: list[Route], put: list[Route], remove: list[str], host: str
) -> None:
    table = RouteTable(listed)
    before = list(table)
    changed = table.changed(put, remove)
    kept = [item for item in listed if item.host not in remove]
    assert changed.find(host) == naive_find(kept + put, host)
    assert changed == RouteTable(kept + put)
    assert len(changed) == len({item.host for item in kept + put})
    assert list(table) == before


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("a.x", "a.x"),
        ("b.x", "*.x"),
        ("a.b.x", None),
        ("x", None),
        ("a.y", None),
        ("", None),
        (".x", "*.x"),
        ("*.x", "*.x"),
        ("a", "a"),
    ],
)
def test_exact_names_go_before_the_wildcard_of_one_label(host: str, found: str | None) -> None:
    table = RouteTable([route("*.x"), route("a.x"), route("a")])
    answer = table.find(host)
    assert (answer.host if answer else None) == found


def test_removing_the_exact_route_uncovers_the_wildcard() -> None:
    table = RouteTable([route("*.x"), route("a.x")])
    assert table.changed([], ["a.x"]).find("a.x") == route("*.x")
    assert table.find("a.x") == route("a.x")


def test_what_is_put_wins_over_what_is_removed() -> None:
    assert RouteTable([route("a", 1)]).changed([route("a", 2)], ["a", "unknown"]).find("a") == route("a", 2)


def test_tables_are_equal_by_their_routes_and_not_hashable() -> None:
    table = RouteTable([route("a"), route("b")])
    assert table == RouteTable([route("b"), route("a")])
    assert table != RouteTable([route("a"), route("b", 2)])
    assert table != [route("a"), route("b")]
    with pytest.raises(TypeError, match="unhashable"):
        hash(table)
