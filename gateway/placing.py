"""Placing: taking a place among the sessions that an endpoint may have open, and keeping it beyond the link."""

import socket
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import Any

from gateway.link import Link
from gateway.loop import Loop
from gateway.quota import Full, Leave, Quota
from gateway.waiting import pause
from gateway.ways import full
from router.access import Principal
from router.model import Route

WAITS = (0.05, 0.2)  # seconds before it is asked again for a place where there was none

# Sees a session out by the connection to its database, and closes both what it is given.
SeeOut = Callable[[socket.socket, ExitStack], Coroutine[Any, Any, object]]


async def take_place(quota: Quota, host: str, route: Route, principal: Principal | None) -> Leave:
    """Take one for a caller, None if nobody knows who it is. Raises Refusal."""
    user = principal.user if principal is not None else ""
    place = await quota.enter(route, user)
    for seconds in WAITS:  # a client may connect again sooner than it is noticed that it has left
        if not isinstance(place, Full):
            break
        await pause(seconds)
        place = await quota.enter(route, user)
    if isinstance(place, Full):
        raise full(host, place)
    return place


def outlast(loop: Loop, link: Link, held: ExitStack, see_out: SeeOut) -> None:
    """Have a session seen out whose link ends now, or give back what is held: where the database has ended it already,
    the worker ends itself, or no descriptor is left for it.
    """
    if link.upstream_ended or loop.is_stopping:
        return held.close()
    try:
        upstream = link.upstream.dup()
    except OSError:
        return held.close()
    upstream.setblocking(False)
    loop.watch(link.upstream_fd, 0)  # the kernel would go on with it: what it is of is not closed yet
    return loop.spawn(see_out(upstream, held))
