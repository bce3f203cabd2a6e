"""Who gets into a database that is asked for nothing but a session, and how: the whole of it as a table."""

import ipaddress
from itertools import product

import pytest

from gateway.errors import Reason, Refusal
from gateway.ways import Way, is_open_to_all, route_now, way_in
from gateway.web.visit import Visit
from router.access import AccessLevel, Principal
from router.database import NO_DATABASE, Database, Login
from router.model import Protocol, Route, RouteState
from router.table import RouteTable

HOST, POD = "graph.pods.test", "graph-1"
NONE, READ, WRITE, MANAGE, OWNER = AccessLevel
LOGINS = {level: (Login(f"{level}r", f"secret of {level}"),) for level in (READ, WRITE, OWNER)}
LEVELS = (None, READ, WRITE, MANAGE, OWNER)
ALICE = Principal("alice", credential="token:t1")


def outcome(
    access: AccessLevel, held: AccessLevel | None, principal: Principal | None, state: RouteState, *, has: bool,
    can_log_in: bool,
) -> object:  # fmt: skip
    grants = {} if held is None else {"user:alice": held}
    database = Database("graph", LOGINS) if has else NO_DATABASE
    route = Route(HOST, Protocol.BOLT, (), access, state, pod=POD, grants=grants, database=database)
    try:
        return way_in(HOST, route, principal, can_log_in=can_log_in)
    except Refusal as refusal:
        return refusal.reason


def expected(
    access: AccessLevel, held: AccessLevel | None, state: RouteState, *, is_known: bool, has: bool, can_log_in: bool
) -> object:
    level = held if is_known else None
    if access is not NONE and not is_known:
        return Reason.UNIDENTIFIED
    if access is not NONE and (level is None or level < access):
        return Reason.FORBIDDEN
    if state is not RouteState.AVAILABLE:
        return Reason[state.name]
    if can_log_in and access is NONE:
        return Way((), None)
    if not has:
        return Way((), access) if can_log_in else Reason.FORBIDDEN
    if level is None:
        return Reason.FORBIDDEN
    login = {READ: READ, WRITE: WRITE, MANAGE: OWNER, OWNER: OWNER}[level]
    return Way(LOGINS[login], min(level, login))


@pytest.mark.parametrize(
    ("access", "held", "state", "is_known", "has", "can_log_in"),
    list(product(AccessLevel, LEVELS, RouteState, *[(True, False)] * 3)),
)
def test_each_combination(
    access: AccessLevel, held: AccessLevel | None, state: RouteState, *, is_known: bool, has: bool, can_log_in: bool
) -> None:
    found = outcome(access, held, ALICE if is_known else None, state, has=has, can_log_in=can_log_in)
    assert found == expected(access, held, state, is_known=is_known, has=has, can_log_in=can_log_in)


@pytest.mark.parametrize(
    ("access", "held", "state", "address", "limited"),
    list(product(AccessLevel, LEVELS, RouteState, ("192.0.2.1", "198.51.100.1", "unknown"), (True, False))),
)
def test_open_to_all_is_what_anybody_may_reach(
    access: AccessLevel, held: AccessLevel | None, state: RouteState, address: str, *, limited: bool
) -> None:
    grants = {} if held is None else {"user:alice": held}
    networks = (ipaddress.ip_network("192.0.2.0/24"),) if limited else ()
    route = Route(HOST, Protocol.POSTGRES, (), access, state, pod=POD, grants=grants, ip_allow=networks)
    expected = access is NONE and state is RouteState.AVAILABLE and (not limited or address == "192.0.2.1")
    assert is_open_to_all(route, Visit(HOST, address)) is expected


def test_a_route_that_is_gone_or_speaks_something_else_by_now_is_refused() -> None:
    found = Route(HOST, Protocol.BOLT, (), NONE, pod=POD)
    assert route_now(RouteTable([found]), HOST, Protocol.BOLT) is found
    for routes in (RouteTable(), RouteTable([Route(HOST, Protocol.HTTP, (), NONE, pod=POD)])):
        with pytest.raises(Refusal, match=r"there is no pod behind .* any more"):
            route_now(routes, HOST, Protocol.BOLT)
