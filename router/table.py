"""RouteTable: the immutable set of routes a gateway works by.

A lookup is one or two dictionary lookups. A change makes a new table and leaves the old one as it was: a connection
keeps the table it started with, and swapping tables is one assignment.
"""

from collections.abc import Iterable, Iterator

from router.hostname import wildcard_of
from router.model import Route


class RouteTable:
    """Routes by host: an exact name first, then the one-label wildcard that covers it.

    A quarantined host has no route, not even the wildcard's: what its own would have forbidden is not known.
    """

    __slots__ = ("_routes", "quarantined")

    def __init__(self, routes: Iterable[Route] = (), quarantined: Iterable[str] = ()) -> None:
        self.quarantined = frozenset(quarantined)
        self._routes: dict[str, Route | None] = {route.host: route for route in routes}
        self._routes.update(dict.fromkeys(self.quarantined))

    def find(self, host: str) -> Route | None:
        """Find the route of `host`, given in normal form (`hostname.normalise`)."""
        try:
            return self._routes[host]
        except KeyError:
            return self._routes.get(wildcard_of(host))

    def changed(self, put: Iterable[Route], remove: Iterable[str], quarantine: Iterable[str] = ()) -> "RouteTable":
        """Make the table that has the routes of `put` instead of, or beside, its own, and none for `remove`."""
        table = RouteTable()
        table._routes = self._routes.copy()
        for host in remove:
            table._routes.pop(host, None)
        for route in put:
            table._routes[route.host] = route
        table._routes.update(dict.fromkeys(quarantine))
        suspects = self.quarantined.union(quarantine)
        table.quarantined = frozenset(
            host for host in suspects if host in table._routes and table._routes[host] is None
        )
        return table

    def __iter__(self) -> Iterator[Route]:
        return (route for route in self._routes.values() if route is not None)

    def __len__(self) -> int:
        return len(self._routes) - len(self.quarantined)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RouteTable) and self._routes == other._routes

    __hash__ = None  # type: ignore[assignment]
