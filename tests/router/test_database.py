"""What a route says of the database behind it: there and back, each bad field named, and no password in any text."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.access import AccessLevel
from router.database import (
    LONGEST_DATABASE_NAME,
    LONGEST_LOGIN_PASSWORD,
    LONGEST_LOGIN_USER,
    MOST_LINKS,
    MOST_LOGINS,
    NO_DATABASE,
    Database,
    Login,
    parse_database,
)
from router.routedocument import InvalidRoute, parse_route
from tests.router.routes import databases

LOGIN = {"user": "reader", "password": "hunter2"}
GOOD: dict[Any, Any] = {"name": "mydb", "logins": {"read": [LOGIN]}, "most_links": 5, "most_links_of_user": 2}
ROUTE: dict[str, Any] = {"host": "mydb.pods.localhost", "protocol": "postgres", "database": GOOD}


def one(level: object) -> dict[object, object]:
    return {level: [LOGIN]}


@given(databases)
def test_it_goes_through_json_and_back(database: Database) -> None:
    assert parse_database(json.loads(json.dumps(database.to_document()))) == database


def test_each_field_is_read() -> None:
    read = Database("mydb", {AccessLevel.READ: (Login("reader", "hunter2"),)}, 5, 2)
    assert parse_database(GOOD) == parse_route(ROUTE).database == read
    assert parse_database({}) == NO_DATABASE == Database("", {}, 0, 0)


def test_all_limits_hold_their_last_value() -> None:
    login = {"user": "u" * LONGEST_LOGIN_USER, "password": "p" * LONGEST_LOGIN_PASSWORD}
    several = {level: [login] * MOST_LOGINS for level in ("read", "write", "manage", "owner")}
    document = {
        "name": "n" * LONGEST_DATABASE_NAME, "logins": several,
        "most_links": MOST_LINKS, "most_links_of_user": MOST_LINKS,
    }  # fmt: skip
    assert parse_database(document).to_document() == document


@pytest.mark.parametrize("protocol", ["postgres", "bolt"])
def test_a_route_without_one_says_nothing_of_it(protocol: str) -> None:
    route = parse_route({**ROUTE, "protocol": protocol, "database": {}})
    assert route.database == NO_DATABASE
    assert "database" not in route.to_document()
    assert "database" in parse_route({**ROUTE, "protocol": protocol}).to_document()


@pytest.mark.parametrize("protocol", ["http", "tcp"])
@pytest.mark.parametrize("database", [GOOD, {}, None])
def test_what_speaks_to_no_database_has_none(protocol: str, database: object) -> None:
    with pytest.raises(InvalidRoute, match=f"^database: a {protocol} endpoint has none$"):
        parse_route({**ROUTE, "protocol": protocol, "database": database})


@pytest.mark.parametrize(
    ("database", "reason"),
    [
        *((value, "^database: expected a table of fields, got ") for value in (None, 5, "mydb", [], [GOOD])),
        ({**GOOD, "hunter2": 1}, "^database: a field of another name than name, logins"),
        ({**GOOD, 5: 1}, "^database: a field of another name"),
        *(
            ({**GOOD, "name": value}, "^database: name: expected a text of 0 to 128 printable")
            for value in (None, 5, "a\0", "a\n", "n" * (LONGEST_DATABASE_NAME + 1), "\ud800")
        ),
        *(
            ({**GOOD, "logins": value}, "^database: logins: expected a table")
            for value in (None, [], "reader", [LOGIN])
        ),
        *(
            ({**GOOD, "logins": one(level)}, "^database: logins: a field of another name than read, wri")
            for level in ("public", "READ", "admin", "", 1, None)
        ),
        *(
            ({**GOOD, "logins": {"read": value}}, "^database: logins: expected lists of 1 to 4 logins")
            for value in ([], None, LOGIN, "hunter2", [LOGIN] * (MOST_LOGINS + 1))
        ),
        ({**GOOD, "logins": {"read": ["hunter2"]}}, "^database: logins: expected a table of fields, got str"),
        ({**GOOD, "logins": {"read": [{**LOGIN, "host": "x"}]}}, "^database: logins: a field of another name"),
        *(
            ({**GOOD, "logins": {"read": [{**LOGIN, "user": value}]}}, "^database: logins: user: expected a text of 1")
            for value in (None, 5, "", "a\0b", "u" * (LONGEST_LOGIN_USER + 1))
        ),
        *(
            ({**GOOD, "logins": {"read": [{**LOGIN, "password": value}]}}, "^database: logins: password: expected a te")
            for value in (None, 5, "", "hunter2\0", "hunter2" * LONGEST_LOGIN_PASSWORD)
        ),
        ({**GOOD, "logins": {"read": [{"user": "reader"}]}}, "^database: logins: password: "),
        *(
            ({**GOOD, name: value}, f"^database: {name}: expected a number from 0")
            for name in ("most_links", "most_links_of_user")
            for value in (-1, 1.0, True, "1", None, MOST_LINKS + 1)
        ),
    ],
)
def test_a_bad_field_is_named_without_its_value(database: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refused:
        parse_database(database)
    assert "hunter2" not in str(refused.value)
    with pytest.raises(InvalidRoute, match=reason):
        parse_route({**ROUTE, "database": database})


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_garbage_is_read_or_refused(value: object) -> None:
    for field in GOOD:
        try:
            parse_database({**GOOD, field: value})
        except ValueError as refused:
            assert str(refused).startswith("database: ")  # noqa: PT017  # some garbage is a name


def test_no_password_is_shown() -> None:
    route = parse_route(ROUTE)
    assert "hunter2" not in f"{route!r} {route} {route.database!r} {route.database.logins}"
    assert "reader" in repr(route)


def test_routes_with_logins_are_hashable() -> None:
    assert hash(parse_route(ROUTE)) == hash(parse_route(ROUTE))
