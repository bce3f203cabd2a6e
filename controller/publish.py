"""From pods to routes: pure. What the gateways are to know of a pod, given what is wanted of it and seen of it."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from controller.model import Phase, Pod, Want
from controller.runtimes import Observed
from controller.templates import Credential, Template, TemplateEndpoint
from router.access import AccessLevel, Grants
from router.database import NO_DATABASE, Database, Login, Logins
from router.hostname import host_of
from router.model import Address, Protocol, Route, RouteState, UnixAddress
from router.routedocument import parse_address

API_NAME = "api"
CONSOLE_NAME = "console"

_STATES = {  # of a pod that is wanted: whatever goes down then is to come up again
    Phase.REQUESTED: RouteState.STARTING,
    Phase.STARTING: RouteState.STARTING,
    Phase.AVAILABLE: RouteState.AVAILABLE,
    Phase.STOPPING: RouteState.STARTING,
    Phase.STOPPED: RouteState.STARTING,
    Phase.FAILED: RouteState.FAILED,
}
# What a runtime tells about a pod is for its owner; strangers who connect read only this.
_MESSAGES = {
    RouteState.AVAILABLE: "",
    RouteState.STARTING: "Try again in a moment.",
    RouteState.STOPPED: "Its owner can start it: podgate pod start {name}",
    RouteState.FAILED: "Its owner can see why: podgate pod show {name}",
}

log = logging.getLogger(__name__)


class Difference(NamedTuple):
    """What leads from one set of routes to the next."""

    put: tuple[Route, ...]
    remove: tuple[str, ...]


def routes_of(pod: Pod, seen: Observed | None, template: Template | None, domain: str) -> tuple[Route, ...]:
    """Give the routes of a pod: one for each endpoint, whether it can be used now or not."""
    routes: list[Route] = []
    for endpoint in template.endpoints if template else ():
        route = replace(_route(pod, seen, endpoint, domain), database=_database(pod, template, endpoint))
        hosts = pod.settings_of(endpoint.name).hosts
        routes += [route, *(replace(route, host=host) for host in hosts)]
    return tuple(routes)


def api_route(socket: str, domain: str) -> Route:
    """Give the route that leads to the controller's own API; who calls it is asked for a token there."""
    host = host_of(API_NAME, "", domain)
    return Route(host, Protocol.HTTP, (UnixAddress(socket),), AccessLevel.PUBLIC, own=True)


def console_route(socket: str, host: str) -> Route:
    """Give the route that leads to the console, where people are asked who they are."""
    return Route(host, Protocol.HTTP, (UnixAddress(socket),), AccessLevel.PUBLIC, own=True)


def grants_of(pod: Pod) -> Grants:
    """Give who holds which level on a pod. A link that is used up still lets those in who used it, until it expires;
    expired ones are taken out of the pod.
    """
    return {**{f"link:{link.id}": link.level for link in pod.links}, **pod.levels}


def difference(before: Iterable[Route], after: Iterable[Route]) -> Difference:
    """Tell what to put and what to remove to get from one set of routes to another."""
    old = {route.host: route for route in before}
    new = {route.host: route for route in after}
    put = tuple(route for host, route in new.items() if old.get(host) != route)
    return Difference(put, tuple(host for host in old if host not in new))


def _route(pod: Pod, seen: Observed | None, endpoint: TemplateEndpoint, domain: str) -> Route:
    state = _state(pod)
    upstreams: tuple[Address, ...] = ()
    http: tuple[Address, ...] = ()
    if state is RouteState.AVAILABLE:
        addresses = {} if seen is None else seen.upstreams
        upstreams = _upstreams(pod, addresses, endpoint.name)
        state = state if upstreams else RouteState.FAILED
        if endpoint.http_key in addresses:
            http = _upstreams(pod, addresses, endpoint.http_key)
    settings = pod.settings_of(endpoint.name)
    return Route(
        host=host_of(pod.name, endpoint.name, domain),
        protocol=Protocol(endpoint.protocol),
        upstreams=upstreams,
        access=pod.access_of(endpoint.name),
        state=state,
        message=_MESSAGES[state].format(name=pod.name),
        pod=pod.key,
        grants=grants_of(pod),
        ip_allow=settings.ip_allow,
        certificates=settings.certificates,
        web=settings.web,
        http=http,
    )


def _database(pod: Pod, template: Template | None, endpoint: TemplateEndpoint) -> Database:
    """Give what a gateway needs of the database behind an endpoint: logins only where it logs in itself."""
    if template is None or endpoint.protocol not in (Protocol.POSTGRES, Protocol.BOLT):
        return NO_DATABASE
    settings = pod.settings_of(endpoint.name)
    closed = pod.access_of(endpoint.name) is not AccessLevel.PUBLIC
    return Database(
        template.database(pod.name),
        _logins(pod, template.credentials) if closed else {},
        settings.most_links,
        settings.most_links_of_user,
    )


def _logins(pod: Pod, credentials: Iterable[Credential]) -> Logins:
    """Give the logins of each level; while passwords rotate, the one that goes and the one that comes."""
    logins = {}
    for each in credentials:
        passwords = [secrets[each.level] for secrets in (pod.secrets, pod.pending) if each.level in secrets]
        if passwords:
            logins[AccessLevel.parse(each.level)] = tuple(Login(each.user, password) for password in passwords)
    return logins


def _state(pod: Pod) -> RouteState:
    if pod.want is not Want.ON:
        return RouteState.STOPPED  # no new connections from the moment a stop was asked for
    return _STATES[pod.status.phase]


def _upstreams(pod: Pod, addresses: Mapping[str, str], endpoint: str) -> tuple[Address, ...]:
    try:
        return (parse_address(addresses.get(endpoint)),)
    except ValueError as error:
        log.error("pod %s: endpoint %r has no usable address: %s", pod.key, endpoint, error)
        return ()
