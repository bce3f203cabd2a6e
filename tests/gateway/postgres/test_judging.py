"""Who may open a Postgres session, and with which login: the whole of it as a table."""

from itertools import product

import pytest

from gateway.errors import Reason, Refusal
from gateway.postgres.judging import is_replication, judge, session_parameters
from gateway.ways import Way
from router.access import AccessLevel, Principal
from router.database import NO_DATABASE, Database, Login
from router.model import Protocol, Route, RouteState

HOST, POD = "mydb.pods.test", "mydb-1"
NONE, READ, WRITE, MANAGE, OWNER = AccessLevel
LOGINS = {level: (Login(f"{level}r", f"secret of {level}"),) for level in (READ, WRITE, OWNER)}
LEVELS = (None, READ, WRITE, MANAGE, OWNER)
REPLICATES = {"user": "alice", "replication": "database"}


def route(access: AccessLevel, held: AccessLevel | None, database: Database = NO_DATABASE, **more: object) -> Route:
    grants = {} if held is None else {"user:alice": held}
    return Route(HOST, Protocol.POSTGRES, (), access, pod=POD, grants=grants, database=database, **more)  # type: ignore[arg-type]


ALICE = Principal("alice", credential="token:t1")


def outcome(route: Route, principal: Principal | None, parameters: dict[str, str], *, can_log_in: bool) -> object:
    try:
        return judge(HOST, route, principal, parameters, can_log_in=can_log_in)
    except Refusal as refusal:
        return refusal.reason


# ---- the table: endpoint, what alice holds, logins of the database, replication, who can still log in


def expected(access: AccessLevel, held: AccessLevel | None, has: bool, replicates: bool, can_log_in: bool) -> object:
    if access is NONE and can_log_in:
        return Way((), None)
    if held is None or held < access:
        return Reason.FORBIDDEN
    if replicates and held is not OWNER:
        return Reason.FORBIDDEN
    if not has:
        return Way((), OWNER if replicates else access) if can_log_in else Reason.FORBIDDEN
    login = {READ: READ, WRITE: WRITE, MANAGE: OWNER, OWNER: OWNER}[held]
    return Way(LOGINS[login], OWNER if replicates else min(held, login))


@pytest.mark.parametrize(
    ("access", "held", "has", "replicates", "can_log_in"),
    list(product(AccessLevel, LEVELS, (True, False), (True, False), (True, False))),
)
def test_each_combination(
    access: AccessLevel, held: AccessLevel | None, *, has: bool, replicates: bool, can_log_in: bool
) -> None:
    database = Database("mydb", LOGINS) if has else NO_DATABASE
    parameters = REPLICATES if replicates else {"user": "alice"}
    found = outcome(route(access, held, database=database), ALICE, parameters, can_log_in=can_log_in)
    assert found == expected(access, held, has, replicates, can_log_in)


@pytest.mark.parametrize(("access", "can_log_in"), list(product((READ, WRITE, MANAGE, OWNER), (True, False))))
def test_nobody_is_let_in_without_a_name(access: AccessLevel, *, can_log_in: bool) -> None:
    grants = route(access, OWNER, database=Database("mydb", LOGINS))
    assert outcome(grants, None, {}, can_log_in=can_log_in) is Reason.UNIDENTIFIED


@pytest.mark.parametrize("state", [RouteState.STOPPED, RouteState.STARTING, RouteState.FAILED])
@pytest.mark.parametrize("held", LEVELS)
def test_only_who_may_come_in_learns_what_a_pod_is_doing(state: RouteState, held: AccessLevel | None) -> None:
    found = outcome(route(WRITE, held, database=Database("mydb", LOGINS), state=state), ALICE, {}, can_log_in=False)
    assert found is (Reason[state.name] if held is not None and held >= WRITE else Reason.FORBIDDEN)


@pytest.mark.parametrize(
    ("most", "pod", "login"),
    [(OWNER, "", OWNER), (WRITE, "", WRITE), (READ, "", READ), (OWNER, POD, OWNER), (OWNER, "another", None)],
)
def test_a_token_gives_no_more_than_it_is_limited_to(most: AccessLevel, pod: str, login: AccessLevel | None) -> None:
    principal = Principal("alice", pod=pod, most=most)
    found = outcome(route(READ, OWNER, database=Database("", LOGINS)), principal, {}, can_log_in=False)
    assert found == (Reason.FORBIDDEN if login is None else Way(LOGINS[login], login))


def test_a_refusal_names_the_level_that_is_needed_and_the_one_that_is_held() -> None:
    with pytest.raises(Refusal, match="asks for access level write, and alice holds read"):
        judge(HOST, route(WRITE, READ), ALICE, {}, can_log_in=False)


@pytest.mark.parametrize("value", ["true", "on", "yes", "1", "database", "TRUE", "", "nonsense", "o"])
def test_what_may_be_replication_is_taken_for_it(value: str) -> None:
    assert is_replication({"replication": value})


@pytest.mark.parametrize("value", ["false", "off", "no", "0", "F", "OFF", "of", "n"])
def test_what_postgres_takes_for_no_is_none(value: str) -> None:
    assert not is_replication({"replication": value})
    assert not is_replication({})


# ---- the parameters of the gateway's own login


@pytest.mark.parametrize(
    ("asked", "database", "given"),
    [
        ({}, "mydb", "mydb"),
        ({"database": "alice"}, "mydb", "mydb"),  # psql's own choice where nobody names one
        ({"database": "alice+password", "user": "alice+password"}, "mydb", "mydb"),
        ({"database": "other"}, "mydb", "other"),
        ({}, "", "reader"),
        ({"database": "alice"}, "", "alice"),
    ],
)
def test_the_database_of_those_who_name_none_is_the_pods(asked: dict[str, str], database: str, given: str) -> None:
    parameters = session_parameters({"user": "alice", **asked}, Login("reader", "secret"), ALICE, database)
    assert parameters["database"] == given
    assert parameters["user"] == "reader"


def test_the_application_names_the_user_and_everything_else_stays() -> None:
    asked = {"user": "alice", "application_name": "psql", "options": "-c geqo=off", "client_encoding": "LATIN1"}
    parameters = session_parameters(asked, Login("reader", "secret"), ALICE, "mydb")
    assert parameters.pop("application_name") == "alice/psql"
    assert parameters == {"user": "reader", "database": "mydb", "options": "-c geqo=off", "client_encoding": "LATIN1"}
    assert session_parameters({"user": "alice"}, Login("r", "s"), ALICE, "")["application_name"] == "alice"
