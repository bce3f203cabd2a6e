"""Doors: the hosts that answer browsers as they are published now, and nothing else that one could be led to: those of
web pods, and of graph pods, whose servers say something over HTTP too.
"""

from dataclasses import dataclass

from controller.control import Control
from controller.model import Pod
from router.access import Action, Principal, level_of, may
from router.model import Route
from router.snapshot import NO_VERSION, Version
from router.table import RouteTable


@dataclass(frozen=True, slots=True)
class Door:
    """What a pod answers browsers, by the name it was asked for."""

    host: str
    route: Route  # of the requests to it
    pod: Pod


def is_opened(route: Route) -> bool:
    """Tell whether there is a page at a route's host that one can be led to."""
    return route.web_side() is not None and "*" not in route.host


class Doors:
    """Finds doors."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._port = "" if control.settings.public_port == 443 else f":{control.settings.public_port}"
        self._version: Version = NO_VERSION
        self._table = RouteTable()

    def find(self, host: str) -> Door | None:
        """Find the door of a host, given in normal form."""
        found = self._published().find(host)
        route = found.web_side() if found else None
        pod = self._control.pods.get(route.pod) if route and route.pod else None
        return Door(host, route, pod) if route and pod else None

    def of_pod(self, pod: Pod) -> list[Route]:
        """Give the published routes of a pod, the default endpoint's first."""
        routes = [route for route in self._published() if route.pod == pod.key]
        return sorted(routes, key=lambda route: (len(route.host), route.host))

    def seen_by(self, principal: Principal | None) -> list[Pod]:
        """Give the pods that somebody may see, by name."""
        pods = [pod for pod in self._control.pods if may(Action.SEE, level_of(principal, pod.key, pod.levels))]
        return sorted(pods, key=lambda pod: pod.name)

    def front(self, pod: Pod) -> Door | None:
        """Find the door one comes to who asks for the pod only by name."""
        hosts = [route.host for route in self.of_pod(pod) if is_opened(route)]
        return self.find(hosts[0]) if hosts else None

    def origin(self, host: str) -> str:
        """Give the origin of a host."""
        return f"https://{host}{self._port}"

    def _published(self) -> RouteTable:
        feed = self._control.feed
        if feed.version != self._version:
            self._table, self._version = RouteTable(feed.routes()), feed.version
        return self._table
