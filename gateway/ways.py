"""Ways into a database behind a route: who may have one, and with which login of the database. Pure."""

from dataclasses import dataclass

from gateway.errors import Reason, Refusal
from gateway.quota import Full, Limit
from gateway.web.answers import state_refusal
from gateway.web.judging import is_from_allowed_network
from gateway.web.visit import Visit
from router.access import AccessLevel, Decision, Principal, decide, level_of, login_level
from router.database import Login
from router.model import Protocol, Route, RouteState
from router.table import RouteTable


@dataclass(frozen=True, slots=True)
class Way:
    """How a session that may be opened gets into its database."""

    logins: tuple[Login, ...]  # tried in this order; none: the client logs in by itself
    least: AccessLevel | None  # what its user must go on holding; None: nothing


def route_now(routes: RouteTable, host: str, protocol: Protocol) -> Route:
    """Give the route of a host as it is now: to tell who somebody is may have taken seconds. Raises Refusal."""
    found = routes.find(host)
    if found is None or found.protocol is not protocol:
        raise Refusal(Reason.UNKNOWN_HOST, f"there is no pod behind {host} any more")
    return found


def check(host: str, route: Route, principal: Principal | None) -> None:
    """Let through who may go to a database that can be gone to. Raises Refusal."""
    if decide(route.access, principal, route.pod, route.grants) is not Decision.ALLOWED:
        raise forbidden(host, route, principal)
    if route.state is not RouteState.AVAILABLE:
        raise state_refusal(route, host)


def is_open_to_all(route: Route, visit: Visit) -> bool:
    """Tell whether a client may reach a database whoever it is, so that nothing more need be known of it."""
    if route.state is not RouteState.AVAILABLE or not is_from_allowed_network(route, visit):
        return False
    return decide(route.access, None, route.pod, route.grants) is Decision.ALLOWED


def way_in(host: str, route: Route, principal: Principal | None, *, can_log_in: bool) -> Way:
    """Decide about one session. Raises Refusal.

    `can_log_in`: the client has not logged in with us, so it still can with the database.
    """
    check(host, route, principal)
    if can_log_in and route.access is AccessLevel.PUBLIC:
        return Way((), None)
    if can_log_in and not route.database.logins:
        return Way((), route.access)
    return _by_login(host, route, principal)


def _by_login(host: str, route: Route, principal: Principal | None) -> Way:
    """Give the way by a login of the database for the level that somebody holds. Raises Refusal."""
    held, logins = level_of(principal, route.pod, route.grants), route.database.logins
    level = login_level(held, logins)
    if held is None or level is None:
        raise Refusal(
            Reason.FORBIDDEN,
            f"the gateway has no login of the database behind {host} for level {held}",
            "Whoever runs the gateway can add one to its route: [route.database.logins]",
        )
    return Way(logins[level], min(held, level))


def forbidden(host: str, route: Route, principal: Principal | None) -> Refusal:
    """Refuse one who may not go to a database."""
    message = f"{host} asks for access level {route.access}"
    if principal is None:
        return Refusal(
            Reason.UNIDENTIFIED,
            f"{message}, and your client has not shown who you are",
            "Log in by your Podgate name, with an API token as the password: podgate token create NAME",
        )
    held = level_of(principal, route.pod, route.grants)
    holds = "holds none" if held is None else f"holds {held}"
    return Refusal(Reason.FORBIDDEN, f"{message}, and {principal} {holds}", "Ask its owner to share it.")


def login_refused(host: str, failures: list[str], cure: str) -> Refusal:
    """Refuse because the database takes none of our logins; `failures` are for the log."""
    return Refusal(
        Reason.LOGIN_REFUSED,
        f"the database behind {host} does not take the gateway's login for your level",
        cure,
        for_log="; ".join(failures),
    )


def full(host: str, place: Full) -> Refusal:
    """Refuse because an endpoint has as many sessions as it may."""
    if place.limit is Limit.UNKNOWN:
        return Refusal(Reason.TOO_MANY, f"how many connections {host} has cannot be told at the moment", "Try again.")
    message, which = f"{host} takes {place.most} connections, and so many are open", ""
    if place.limit is Limit.USER:
        which = "-of-user"
        message = f"{host} takes {place.most} connections of one user, and you have so many open"
    return Refusal(
        Reason.TOO_MANY,
        message,
        f"Close one, or ask its owner: podgate pod access NAME --most-connections{which} N",
    )
