"""Judging a Postgres session: may it be opened, and as whom in the database? Pure."""

from collections.abc import Mapping
from dataclasses import replace

from gateway.errors import Reason, Refusal
from gateway.ways import Way, check, way_in
from router.access import AccessLevel, Principal, level_of
from router.database import Login
from router.model import Route

_NO = frozenset(("false", "fals", "fal", "fa", "f", "no", "n", "off", "of", "0"))  # as PostgreSQL reads a boolean


def judge(
    host: str, route: Route, principal: Principal | None, parameters: Mapping[str, str], *, can_log_in: bool
) -> Way:
    """Decide about one session, whose startup message has these parameters. Raises Refusal.

    `can_log_in`: the client has not logged in with us, so it still can with the database.
    """
    is_databases_own = route.access is AccessLevel.PUBLIC and can_log_in  # to decide, replication included
    if is_databases_own or not is_replication(parameters):
        return way_in(host, route, principal, can_log_in=can_log_in)
    check(host, route, principal)
    held = level_of(principal, route.pod, route.grants)
    if held is None or held < AccessLevel.OWNER:
        raise Refusal(
            Reason.FORBIDDEN,
            f"replication of the database behind {host} asks for access level owner, and {principal} holds {held}",
            "Ask its owner to do it.",
        )
    return replace(way_in(host, route, principal, can_log_in=can_log_in), least=AccessLevel.OWNER)


def is_replication(parameters: Mapping[str, str]) -> bool:
    """Tell whether a session is to be one of replication, which reads all there is (PostgreSQL, "Streaming
    Replication Protocol").
    """
    value = parameters.get("replication")
    return value is not None and value.lower() not in _NO


def session_parameters(
    parameters: Mapping[str, str], login: Login, principal: Principal | None, database: str
) -> dict[str, str]:
    """Give the parameters of the startup message by which the gateway logs in on behalf of a client."""
    user, asked = parameters.get("user", ""), parameters.get("database", "")
    name = user.partition("+")[0]
    application = parameters.get("application_name", "")
    who = str(principal) if principal is not None else name
    changed = {
        "user": login.user,
        "database": database if database and asked in ("", user, name) else asked or login.user,
        "application_name": f"{who}/{application}" if application else who,
    }
    return {**parameters, **changed}
