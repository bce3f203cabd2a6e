"""What is left of a session when its connection ends: the database may go on working for it, and who was at work there
cannot stop that any more. Whoever vanishes, or loses their access, is not to be at work there.

So where the database has not ended the session by itself, it is told that no more comes, then to cancel what it does,
which a program of the client's may catch, and then, by the login of its owner, to end that session. All of it takes a
few seconds at the most. Until then the session has its place among those that an endpoint may have.

Source: PostgreSQL, "Canceling Requests in Progress", and pg_terminate_backend ("Server Signaling Functions").
"""

import logging
import socket
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial

from gateway.cancelling import Session
from gateway.dialogue import NotTaken, Said
from gateway.errors import Refusal
from gateway.link import Link
from gateway.placing import outlast
from gateway.postgres.database import Server, log_in, settle
from gateway.services import Services
from gateway.upstream import closed_on_error, dial
from gateway.waiting import TooSlow, readable, time_limit
from gateway.wire import pgmessage
from gateway.wire.postgres import startup_message
from router.access import AccessLevel
from router.database import Login
from router.model import Route

log = logging.getLogger("podgate.link")

UNASKED = 0.2  # seconds a database has to end an idle session by itself
HEEDED = 1.0  # seconds it has after a cancel
ENDED = 2.0  # seconds it has after it was told to end the session
ASKING = 3.0  # seconds to log in and tell it so
MOST_LEAVING = 256  # of a worker at once: past that, connections are closed and nothing more is done
_CHUNK = 64 * 1024


def leave(services: Services, link: Link, session: Session | None, role: str, held: ExitStack) -> None:
    """See a session out whose link has ended; `held` is what is given back then. For `Link.ended`."""
    if session is None or len(services.leaving) >= MOST_LEAVING:
        return held.close()
    return outlast(services.loop, link, held, partial(_see_out, services, link.route, session, role))


async def _see_out(
    services: Services, route: Route, session: Session, role: str, upstream: socket.socket, held: ExitStack
) -> None:
    services.leaving.add(session)
    try:
        with held, upstream, suppress(OSError):
            upstream.shutdown(socket.SHUT_WR)
            if await _has_ended(upstream, UNASKED):
                return
            with suppress(TooSlow, OSError):
                await session.interrupt()
            if await _has_ended(upstream, HEEDED):
                return
            await _terminate(services, route, session, role)
            if not await _has_ended(upstream, ENDED):
                log.warning("%s: its database goes on with a session whose client has left", session.host)
    finally:
        services.leaving.discard(session)


async def _has_ended(upstream: socket.socket, seconds: float) -> bool:
    """Wait for a database to end a session; what it still says is for nobody."""
    try:
        with time_limit(seconds):
            while True:
                await readable(upstream)
                with suppress(BlockingIOError):
                    if not upstream.recv(_CHUNK):
                        return True
    except TooSlow:
        return False


async def _terminate(services: Services, route: Route, session: Session, role: str) -> None:
    """End a session of `role`, by the login of the database's owner if we have one: as it is now, for passwords rotate,
    or as it was when the session began, if there is none now. It is asked for at the very database of the session.
    """
    found = services.engine.policy.routes.find(session.host)
    database = found.database if found is not None and found.database.logins else route.database
    there = replace(route, upstreams=(session.address,), database=database)
    for login in database.logins.get(AccessLevel.OWNER, ()) or database.logins.get(AccessLevel.MANAGE, ()):
        try:
            with time_limit(ASKING):
                return await _terminate_as(services, there, login, session.process_id, role)
        except (NotTaken, Said, Refusal, TooSlow) as error:
            log.warning("%s: a session whose client has left could not be ended: %s", session.host, error)
    return None


async def _terminate_as(services: Services, route: Route, login: Login, process_id: int, role: str) -> None:
    dialled = await dial(route, services.options.connect_timeout)
    with closed_on_error(dialled.socket):
        server = Server(dialled.socket, route.host, 0)
        parameters = {"user": login.user, "database": route.database.name or login.user, "application_name": "podgate"}
        await log_in(server, login, startup_message((3, 0), parameters))
        await settle(server, lambda key: key)
        quoted = role.replace("'", "''")
        which = f"pid = {process_id} AND usename = '{quoted}'"
        query = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {which}"  # noqa: S608  # of our own table
        await server.send(pgmessage.message(b"Q", query.encode() + b"\0"))
        while (await server.message()).kind not in (b"Z", b"E"):
            pass
        await server.send(pgmessage.message(b"X"))
    dialled.socket.close()
