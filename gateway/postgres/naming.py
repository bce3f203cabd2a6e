"""Which pod a Postgres client means whose TLS handshake did not tell: its startup message may."""

from gateway.errors import Reason, Refusal
from router.hostname import InvalidName, normalise
from router.model import Protocol, Route
from router.table import RouteTable


def find_route(pod: str, domain: str, routes: RouteTable) -> Route:
    """Find the database that a client calls `pod`: the name of a pod, or the host it has. Raises Refusal."""
    if not pod:
        raise Refusal(
            Reason.NO_SERVER_NAME,
            "your client did not say which pod it wants",
            "Connect by host name, not by IP address, with libpq 14 or newer (sslsni=1); or name the pod: "
            "options=-cpodgate.pod=NAME, or user=USER@NAME",
        )
    try:
        host = normalise(pod if "." in pod else f"{pod}.{domain}")
    except InvalidName as error:
        raise Refusal(Reason.NO_SERVER_NAME, "the pod your client names cannot be the name of one") from error
    route = routes.find(host)
    if route is None:
        raise unknown(host)
    if route.protocol is not Protocol.POSTGRES:
        raise Refusal(Reason.OTHER_PROTOCOL, f"the pod behind {host} speaks {route.protocol}, and your client postgres")
    return route


def unknown(host: str) -> Refusal:
    """Refuse a client that wants to go where nothing is."""
    return Refusal(
        Reason.UNKNOWN_HOST,
        f"there is no pod behind {host}",
        "Check the name, or list your pods with: podgate pod list",
    )
