"""Judging a Postgres session: may it be opened, and as whom in the database? Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.errors import Reason, Refusal
from gateway.web.answers import state_refusal
from router.access import AccessLevel, Decision, Principal, decide, level_of, login_level
from router.database import Login
from router.model import Route, RouteState

_NO = frozenset(("false", "fals", "fal", "fa", "f", "no", "n", "off", "of", "0"))  # as PostgreSQL reads a boolean


@dataclass(frozen=True, slots=True)
class Way:
    """How a session that may be opened gets into its database."""

    logins: tuple[Login, ...]  # tried in this order; none: the client logs in by itself
    least: AccessLevel | None  # what its user must go on holding; None: nothing


def judge(
    host: str, route: Route, principal: Principal | None, parameters: Mapping[str, str], *, can_log_in: bool
) -> Way:
    """Decide about one session, whose startup message has these parameters. Raises Refusal.

    `can_log_in`: the client has not logged in with us, so it still can with the database.
    """
    decision = decide(route.access, principal, route.pod, route.grants)
    if decision is not Decision.ALLOWED:
        raise forbidden(host, route, principal)
    if route.state is not RouteState.AVAILABLE:
        raise state_refusal(route, host)
    if route.access is AccessLevel.PUBLIC and can_log_in:
        return Way((), None)
    held, logins = level_of(principal, route.pod, route.grants), route.database.logins
    replicates = is_replication(parameters)
    if replicates and (held is None or held < AccessLevel.OWNER):
        raise Refusal(
            Reason.FORBIDDEN,
            f"replication of the database behind {host} asks for access level owner, and {principal} holds {held}",
            "Ask its owner to do it.",
        )
    if not logins and can_log_in:
        return Way((), AccessLevel.OWNER if replicates else route.access)
    level = login_level(held, logins)
    if held is None or level is None:
        raise Refusal(
            Reason.FORBIDDEN,
            f"the gateway has no login of the database behind {host} for level {held}",
            "Whoever runs the gateway can add one to its route: [route.database.logins]",
        )
    return Way(logins[level], AccessLevel.OWNER if replicates else min(held, level))


def is_replication(parameters: Mapping[str, str]) -> bool:
    """Tell whether a session is to be one of replication, which reads all there is (PostgreSQL, "Streaming
    Replication Protocol").
    """
    value = parameters.get("replication")
    return value is not None and value.lower() not in _NO


def forbidden(host: str, route: Route, principal: Principal | None) -> Refusal:
    """Refuse one who may not go to a database."""
    message = f"{host} asks for access level {route.access}"
    if principal is None:
        return Refusal(Reason.UNIDENTIFIED, f"{message}, and your client has not shown who you are")
    held = level_of(principal, route.pod, route.grants)
    holds = "holds none" if held is None else f"holds {held}"
    return Refusal(Reason.FORBIDDEN, f"{message}, and {principal} {holds}", "Ask its owner to share it.")


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
