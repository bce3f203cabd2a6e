"""What is left of a session when its connection ends: a database goes on with the query it is at, and Bolt has no word
by which somebody else could stop that. So where sessions are counted, one keeps its place until the database has ended
it, too: whoever leaves and comes back would otherwise have as many queries at work as they like.

The database is told that no more comes. What it still says is taken as far as buffers may hold it already; beyond that
it is talking to a client that is gone, and is cut.
"""

import socket
from contextlib import ExitStack, suppress
from functools import partial

from gateway.link import Link
from gateway.placing import outlast
from gateway.services import Services
from gateway.waiting import TooSlow, readable, time_limit

LONGEST = 3600.0  # seconds that a place is kept
MOST_LEAVING = 1024  # of a worker at once: past that, places are given back at once
MOST_TAKEN = 16 << 20  # bytes: more than the kernel holds between two sockets of one machine
_CHUNK = 64 * 1024


def leave(services: Services, link: Link, held: ExitStack) -> None:
    """See a session out whose link has ended; `held` is what is given back then. For `Link.ended`."""
    limits = link.route.database
    if not (limits.most_links or limits.most_links_of_user) or len(services.kept) >= MOST_LEAVING:
        return held.close()
    return outlast(services.loop, link, held, partial(_see_out, services))


async def _see_out(services: Services, upstream: socket.socket, held: ExitStack) -> None:
    services.kept.add(held)
    try:
        with held, upstream, suppress(OSError, TooSlow), time_limit(LONGEST):
            upstream.shutdown(socket.SHUT_WR)
            await _end(upstream)
    finally:
        services.kept.discard(held)


async def _end(upstream: socket.socket) -> None:
    """Wait until a database ends its connection, or says more than is waited for."""
    taken = 0
    while taken < MOST_TAKEN:
        await readable(upstream)
        with suppress(BlockingIOError):
            data = upstream.recv(_CHUNK)
            if not data:
                return
            taken += len(data)
