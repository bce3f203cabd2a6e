"""Postgres sessions from inside TLS to the relay.

    startup     what the client asks for; a wish to cancel something ends here
    find        its pod, where TLS did not tell
    identify    who it is, unless everybody may come; or it is let through to the database's own login
    judge       whether it may, and with which login of the database
    enter       the database
    relay       from here on nothing of it is looked at

What the client is told at the end of its login, it is told at once, when everything is done: an error may take the
place of it until then.
"""

from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from gateway.cancelling import Session
from gateway.dialogue import NotTaken, Said
from gateway.errors import Answered
from gateway.link import Link
from gateway.openssl import handle_of
from gateway.placing import take_place
from gateway.postgres.client import misunderstood, read_startup
from gateway.postgres.database import Server, log_in, pass_login, settle
from gateway.postgres.identifying import Identified, Identifying, by_certificate
from gateway.postgres.judging import judge, session_parameters
from gateway.postgres.leaving import leave
from gateway.postgres.naming import find_route
from gateway.revocation import check_admitted
from gateway.services import Services
from gateway.tls import TlsClient
from gateway.upstream import Ahead, Dialled, closed_on_error, dial
from gateway.ways import Way, login_refused, route_now
from gateway.web.judging import is_from_allowed_network, network_refusal
from gateway.web.visit import Visit
from gateway.wire import pgmessage
from gateway.wire.pgmessage import Auth, CancelKey
from gateway.wire.pgnaming import name_the_pod
from gateway.wire.postgres import CancelRequest, Startup, startup_message
from gateway.wire.verdict import Malformed
from router.access import AccessLevel
from router.model import Route

LONG_KEYS = 2  # the minor version of protocol 3 from which on keys for cancelling may be long


class DatabaseOpening:
    """One Postgres client inside TLS."""

    def __init__(self, services: Services, client: TlsClient, visit: Visit, ahead: Ahead | None) -> None:
        self._services = services
        self._client = client
        self._visit = visit
        self._ahead = ahead  # towards the database of whoever logs in there by itself
        self._held = ExitStack()  # what is to be given back when the session ends
        self._session: Session | None = None
        self._role = ""  # in the database

    async def lead(self, route: Route | None) -> Link:
        """Walk through the phases; `route` is None where TLS did not tell. Raises Refusal and Answered."""
        with self._held:
            try:
                startup = await self._startup()
                if route is None:
                    route, startup = self._find(startup)
                return await self._open(route, startup)
            except Malformed as error:
                raise misunderstood(error) from error
            except Said as said:
                await self._client.send(said.words)
                raise Answered("the database refused") from said

    async def _open(self, route: Route, startup: Startup) -> Link:
        if not is_from_allowed_network(route, self._visit):
            raise network_refusal(self._visit.host, self._visit.address)
        who = await self._identify(route, startup)
        route = route_now(self._services.engine.policy.routes, self._visit.host, route.protocol)
        way = self._judge(route, startup, who)
        if way.logins:
            await self._count(route, who)
            dialled, down = await self._log_in(route, startup, who, way)
        else:
            dialled, down = await self._pass_login(route, startup)
        with closed_on_error(dialled.socket):
            if not way.logins:
                await self._count(route, who)
            link = self._link(route, dialled, who, way)
            check_admitted(link, self._services.engine)
            await self._client.send(down)
            check_admitted(link, self._services.engine)  # that may have taken its time
            self._client.unread = b""
            link.ended = partial(leave, self._services, link, self._session, self._role, self._held.pop_all())
            return link

    # ---- the phases

    async def _startup(self) -> Startup:
        startup = await read_startup(self._client)
        if isinstance(startup, CancelRequest):
            await self._services.sessions.cancel(startup, self._visit.address, self._visit.host or None)
            raise Answered("cancel request")
        return startup

    def _find(self, startup: Startup) -> tuple[Route, Startup]:
        named = name_the_pod(startup)
        policy = self._services.engine.policy
        route = find_route(named.pod, self._services.options.domain, policy.routes)
        self._visit = replace(self._visit, host=route.host)
        parameters = named.parameters
        if parameters.get("database") == startup.parameters.get("user") != parameters.get("user"):
            del parameters["database"]  # psql's own choice where nobody names one
        return route, replace(startup, parameters=parameters)

    async def _identify(self, route: Route, startup: Startup) -> Identified | None:
        if route.access is AccessLevel.PUBLIC:
            return None
        engine, user = self._services.engine, startup.parameters.get("user", "")
        proof = self._visit.certificate
        if proof is not None:
            return by_certificate(proof, user, engine.policy.credentials, engine.clock())
        identifying = Identifying(self._client, engine.policy.credentials, self._services.failures, self._visit.address)
        return await identifying.by_answer(user, engine.clock, engine.steady)

    def _judge(self, route: Route, startup: Startup, who: Identified | None) -> Way:
        principal = who.principal if who is not None else None
        can_log_in = who is None or who.proof is self._visit.certificate
        with self._services.engine.trail.decision(self._visit, route, principal):
            return judge(self._visit.host, route, principal, startup.parameters, can_log_in=can_log_in)

    async def _count(self, route: Route, who: Identified | None) -> None:
        """Take a place among the sessions that an endpoint may have."""
        principal = who.principal if who is not None else None
        self._held.callback(await take_place(self._services.quota, self._visit.host, route, principal))

    async def _log_in(self, route: Route, startup: Startup, who: Identified | None, way: Way) -> tuple[Dialled, bytes]:
        """Get into the database by a login of ours."""
        failures: list[str] = []
        principal, last_word = (who.principal, who.last_word) if who is not None else (None, b"")
        for login in way.logins:
            parameters = session_parameters(startup.parameters, login, principal, route.database.name)
            packet = startup_message(startup.version, parameters)
            dialled = await dial(route, self._services.options.connect_timeout)
            with closed_on_error(dialled.socket):
                server = Server(dialled.socket, self._visit.host, startup.version[1])
                try:
                    told = await log_in(server, login, packet)
                    down = await settle(server, partial(self._rewrite, server, dialled))
                except NotTaken as error:
                    failures.append(str(error))
                    dialled.socket.close()
                    continue
                self._role = login.user
                return dialled, last_word + told + pgmessage.authentication(Auth.OK) + down
        raise login_refused(
            self._visit.host, failures, "Its owner can give the database new passwords: podgate pod rotate NAME"
        )

    async def _pass_login(self, route: Route, startup: Startup) -> tuple[Dialled, bytes]:
        """Have the client log in to the database by itself."""
        dialled = await dial(route, self._services.options.connect_timeout, self._ahead)
        with closed_on_error(dialled.socket):
            server = Server(dialled.socket, self._visit.host, startup.version[1])
            packet = startup_message(startup.version, startup.parameters)
            down = await pass_login(server, self._client, packet, partial(self._rewrite, server, dialled))
            return dialled, down

    def _rewrite(self, server: Server, dialled: Dialled, key: CancelKey) -> CancelKey:
        """Give the key for cancelling that the client gets in place of the database's."""
        is_long = server.minor >= LONG_KEYS
        session = self._session = self._services.sessions.enter(self._visit.host, dialled.address, key, long=is_long)
        self._held.callback(session.end)
        return session.key

    def _link(self, route: Route, dialled: Dialled, who: Identified | None, way: Way) -> Link:
        proof = who.proof if who is not None else None
        handle, first = handle_of(self._client.connection), self._client.unread
        return Link(
            self._client.client, handle, dialled.socket, route, self._visit, first, proof=proof, least=way.least
        )
