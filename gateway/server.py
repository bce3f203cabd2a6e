"""Accepting connections, and the drain at the end. Accepting and serving are separate: the first ends at once, the
second gets a grace period.
"""

import contextlib
import errno
import logging
import os
import random
import resource
import socket
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

import trio

from gateway.balancing import Balancers, written
from gateway.connection import Connection
from gateway.dropping import Dropping, EarlyDrop
from gateway.link import RESET, Link
from gateway.listening import most_links
from gateway.services import Services
from gateway.waiting import READ

log = logging.getLogger("podgate.server")

DRAIN_LOOK = 0.05  # seconds between looks at what is still open
LAST_PART = 20  # the last twentieth of the links is kept from an address that has all others
COMPLAINT_PAUSE = 10.0  # seconds between two log lines about the same shortage


@dataclass(slots=True)
class _Place:
    """What an opening counts as one of."""

    host: str  # empty: of a client whose balancer has not named it yet


class Server:
    """The listeners of a worker and the connections being opened."""

    def __init__(
        self, services: Services, listeners: list[socket.socket], throw: Callable[[], float] = random.random
    ) -> None:
        """Take over bound, listening, non-blocking sockets; `throw` gives numbers in [0, 1) that nobody can foresee."""
        self._services = services
        self._loop = services.loop
        self._listeners = listeners
        self._draining = trio.Event()
        self._openings = 0
        self._accepted = self._refused = 0  # so far
        self._openings_of: Counter[str] = Counter()  # by client address
        self._most_links = most_links(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        rule = services.options.early_drop
        self._balancers = Balancers.parse(services.options.proxy_from)
        self._dropping = Dropping(EarlyDrop.parse(rule), throw) if rule else None
        self._complained = -COMPLAINT_PAUSE
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        services.relay.returned = self._take_back

    async def run(self) -> None:
        """Have the loop accept and open until `drain`, then let what is open end within the grace period."""
        self._loop.call(self._begin_accepting)
        await self._draining.wait()
        self._loop.call(self._end_accepting)
        with trio.move_on_after(self._services.options.drain):
            await self._emptied()
        self._loop.call(self._loop.cancel_tasks)

    def drain(self) -> None:
        """Stop accepting; `run` returns when everything has ended or the grace period is over."""
        self._draining.set()

    def leave(self) -> None:
        """Let each answer of HTTP be the last of its connection, which the client then makes elsewhere: to close one
        that waits for a request might cut off the request. To be called in the loop's thread.
        """
        self._services.engine.is_draining = True

    @property
    def openings(self) -> int:
        """How many connections are being opened. May be asked for in any thread."""
        return self._openings

    @property
    def connections(self) -> dict[str, int]:
        """How many were accepted so far, and of these dropped or refused. May be asked for in any thread."""
        dropped = self._dropping.dropped if self._dropping else 0
        return {"accepted": self._accepted, "dropped": dropped, "refused": self._refused}

    async def _emptied(self) -> None:
        """Wait until nothing is open; the loop's thread counts for itself, so this looks now and then."""
        while self._listeners or self._openings or self._services.relay.count():  # noqa: ASYNC110
            await trio.sleep(DRAIN_LOOK)

    # ---- in the loop's thread

    def _begin_accepting(self) -> None:
        for listener in self._listeners:
            self._loop.handle(listener.fileno(), partial(self._accept, listener))
            self._loop.watch(listener.fileno(), READ)

    def _end_accepting(self) -> None:
        for listener in self._listeners:
            self._loop.forget(listener.fileno())
            listener.close()
        self._close_spare()
        self._listeners = []
        if self._dropping:
            self._dropping.tell(self._openings)
        self.leave()
        self._services.relay.end_idle()

    def _accept(self, listener: socket.socket, _events: int) -> None:
        """Take one: its handshake costs more than another turn of the loop, which reports those left in the queue."""
        if self._loop.is_crowded:
            return
        try:
            client, address = listener.accept()
        except BlockingIOError:
            return
        except OSError as error:  # otherwise the client left while it was queued (accept(2): treat like EAGAIN)
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._shed(listener)
            return
        self._accepted += 1
        if self._dropping and self._dropping.drops(self._openings, self._loop.now):
            _turn_away(client)
            return
        client.setblocking(False)
        host = address[0].removeprefix("::ffff:")  # IPv4 that came over a socket of IPv6 (RFC 4291, section 2.5.5.2)
        if host in self._balancers:
            self._accept_passed_on(client, written(address), host)
        elif self._is_full(host):
            self._refuse(client)
        else:
            self._open(_Place(host), Connection(self._services, client, written(address), host).serve())

    def _accept_passed_on(self, client: socket.socket, address: str, host: str) -> None:
        """Take a connection of a balancer: it counts as its client's as soon as that is known, never as its own."""
        if self._is_crowded():
            self._refuse(client)
            return
        place = _Place("")
        named = partial(self._name, place)
        self._open(place, Connection(self._services, client, address, host, named).serve())

    def _name(self, place: "_Place", host: str) -> bool:
        """Count an opening as one of `host`, unless that has too many already."""
        if self._is_crowded_by(host):
            self._refused += 1
            return False
        self._release(place.host)
        place.host = host
        self._openings_of[host] += 1
        return True

    def _take_back(self, link: Link) -> None:
        """Take a client back whose next request is not for the relay; it counts as one that is being opened."""
        visit, exchange = link.visit, link.web
        if exchange is None or exchange.leaving is None or link.tls is None or self._is_full(visit.address):
            link.client.close()
            return
        connection = Connection(self._services, link.client, visit.client, visit.address)
        self._open(_Place(visit.address), connection.resume(link, link.tls, exchange.leaving))

    def _open(self, place: "_Place", opening: Coroutine[Any, Any, None]) -> None:
        self._openings += 1
        self._openings_of[place.host] += 1
        self._loop.spawn(self._counted(place, opening))

    async def _counted(self, place: "_Place", opening: Coroutine[Any, Any, None]) -> None:
        try:
            await opening
        finally:
            self._openings -= 1
            self._release(place.host)

    def _release(self, host: str) -> None:
        self._openings_of[host] -= 1
        if not self._openings_of[host]:
            del self._openings_of[host]

    def _refuse(self, client: socket.socket) -> None:
        self._refused += 1
        client.close()

    def _is_full(self, host: str) -> bool:
        return self._is_crowded() or self._is_crowded_by(host)

    def _is_crowded(self) -> bool:
        options, links = self._services.options, self._services.relay.count()
        if self._openings >= options.most_openings or links + self._openings >= self._most_links:
            self._complain("full: %d links and %d openings; closing new connections", links, self._openings)
            return True
        return False

    def _is_crowded_by(self, host: str) -> bool:
        if self._services.relay.upkeep.by_address[host] >= self._most_links - self._most_links // LAST_PART:
            self._complain("%s has nearly all links there may be; closing its new connections", host)
            return True
        if self._openings_of[host] >= self._services.options.most_openings_of_address:
            self._complain("%s has %d openings; closing its new connections", host, self._openings_of[host])
            return True
        return False

    def _shed(self, listener: socket.socket) -> None:
        """Out of descriptors: spend the spare one to take the client off the queue and close it."""
        self._complain("out of file descriptors; closing new connections (raise the limit: ulimit -n)")
        self._close_spare()
        with contextlib.suppress(OSError):  # somebody else took it, or it has left
            client = listener.accept()[0]
            self._accepted += 1
            self._refuse(client)
        with contextlib.suppress(OSError):  # another thread was quicker: there will be one for us another time
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _close_spare(self) -> None:
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1

    def _complain(self, text: str, *values: object) -> None:
        if self._loop.now - self._complained >= COMPLAINT_PAUSE:
            self._complained = self._loop.now
            log.error(text, *values)


def _turn_away(client: socket.socket) -> None:
    """Close with RST: whoever reads or writes hears it at once, and the kernel keeps nothing of the connection. After a
    FIN it would for a minute, for each one dropped, and a client that only writes would learn it a round trip later.
    """
    with contextlib.suppress(OSError):  # it has left by itself
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()
