"""RouteTable: the immutable set of routes a gateway works by.

A lookup is one or two dictionary lookups. A change makes a new table and leaves the old one as it was: a connection
keeps the table it started with, and swapping tables is one assignment.
"""

from collections.abc import Iterable, Iterator

from router.hostname import wildcard_of
from router.model import Route


class RouteTable:
    """Routes by host: an exact name first, then the one-label wildcard that covers it."""

    __slots__ = ("_routes",)

    def __init__(self, routes: Iterable[Route] = ()) -> None:
        self._routes = {route.host: route for route in routes}

    def find(self, host: str) -> Route | None:
        """Find the route of `host`, given in normal form (`hostname.normalise`)."""
        route = self._routes.get(host)
        return route if route is not None else self._routes.get(wildcard_of(host))

    def changed(self, put: Iterable[Route], remove: Iterable[str]) -> "RouteTable":
        """Make the table that has the routes of `put` instead of, or beside, its own, and none for `remove`."""
        table = RouteTable()
        table._routes = self._routes.copy()
        for host in remove:
            table._routes.pop(host, None)
        for route in put:
            table._routes[route.host] = route
        return table

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes.values())

    def __len__(self) -> int:
        return len(self._routes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RouteTable) and self._routes == other._routes

    __hash__ = None  # type: ignore[assignment]
