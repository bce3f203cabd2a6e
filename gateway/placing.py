"""Placing: taking a place among the sessions that an endpoint may have open, and keeping it beyond the link."""

import socket

from gateway.link import Link
from gateway.loop import Loop
from gateway.quota import Full, Leave, Quota
from gateway.waiting import pause
from gateway.ways import full
from router.model import Route

WAITS = (0.05, 0.2)  # seconds before it is asked again for a place where there was none


async def take_place(quota: Quota, host: str, route: Route, user: str) -> Leave:
    """Take one for a user, whose name is empty if nobody knows it. Raises Refusal."""
    place = await quota.enter(route, user)
    for seconds in WAITS:  # a client may connect again sooner than it is noticed that it has left
        if not isinstance(place, Full):
            break
        await pause(seconds)
        place = await quota.enter(route, user)
    if isinstance(place, Full):
        raise full(host, place)
    return place


def outlast(loop: Loop, link: Link) -> socket.socket | None:
    """Give the connection to the database of a link that ends now, to see its session out by; None if there is no
    descriptor left for it.
    """
    try:
        upstream = link.upstream.dup()
    except OSError:
        return None
    upstream.setblocking(False)
    loop.watch(link.upstream_fd, 0)  # the kernel would go on with it: what it is of is not closed yet
    return upstream
