"""The certificates a worker presents. It holds the leaves it was given and asks its supervisor for others.

The authority's key never enters a worker: a process that talks to strangers cannot sign for anybody.
"""

from collections.abc import Callable
from functools import partial

from certs.leaf import Leaf
from gateway.waiting import told
from router.hostname import wildcard_of


class Certificates:
    """Leaves by the host names they are good for, and the default for clients that name no host."""

    def __init__(self, ask: Callable[[str], None]) -> None:
        """`ask` begins to ask for the leaf of a host; the answer comes by `put` and `answer`."""
        self._ask = ask
        self._leaves: dict[str, Leaf] = {}
        self._default: Leaf | None = None
        self._asked: dict[str, list[Callable[[], None]]] = {}  # who waits for the answer

    async def get(self, host: str, route_host: str | None) -> Leaf | None:
        """Give the leaf for `host`; one of its own is asked for only if it has a route, named as the route names it."""
        leaf = self._find(host)
        if leaf is not None or route_host is None:
            return leaf if host else self._default
        await told(partial(self._wait, route_host))
        return self._find(host)

    def put(self, leaf: Leaf, *, default: bool) -> list[Leaf]:
        """Present `leaf` from now on; give the leaves that it replaces everywhere."""
        before = [self._leaves[host] for host in leaf.hosts if host in self._leaves]
        if default:
            before += [] if self._default is None else [self._default]
            stand_ins = [host for host, held in self._leaves.items() if held is self._default]
            self._leaves.update(dict.fromkeys(stand_ins, leaf))
            self._default = leaf
        self._leaves.update(dict.fromkeys(leaf.hosts, leaf))
        kept = {id(held) for held in (*self._leaves.values(), leaf)}
        return list({id(old): old for old in before if id(old) not in kept}.values())

    def answer(self, host: str) -> None:
        """Let those go on who wait for the leaf of `host`; if none came, the default stands in: clients judge it."""
        if self._find(host) is None and self._default is not None:
            self._leaves[host] = self._default
        for wake in self._asked.pop(host, ()):
            wake()

    def _wait(self, host: str, wake: Callable[[], None]) -> None:
        waiting = self._asked.setdefault(host, [])
        waiting.append(wake)
        if len(waiting) == 1:
            self._ask(host)

    def _find(self, host: str) -> Leaf | None:
        return self._leaves.get(host) or self._leaves.get(wildcard_of(host))
