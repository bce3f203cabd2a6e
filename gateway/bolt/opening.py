"""Bolt sessions from inside TLS to the relay.

    judge       what can be told before anybody says who they are
    version     which one is spoken: the database's own choice, where the client logs in by itself; otherwise ours
    hello       what the client tells of itself
    identify    who it is, unless everybody may come
    enter       the database
    relay       from here on nothing of it is looked at but what `gateway.bolt.watching` names

Until the client has been told a version, a refusal is told by `gateway.replies`, which reads the handshake anew.
"""

import secrets
import socket
from contextlib import ExitStack
from functools import partial

from gateway.bolt.again import Again, Entered
from gateway.bolt.arriving import WebSocketClient
from gateway.bolt.database import Database, OtherVersion
from gateway.bolt.identifying import Identified, identify
from gateway.bolt.leaving import leave
from gateway.bolt.passing import follow, greet, speak
from gateway.bolt.watching import Watch
from gateway.dialogue import Dialogue, NotTaken, Said
from gateway.errors import Answered, Reason, Refusal
from gateway.link import Link, Shown
from gateway.openssl import handle_of
from gateway.placing import take_place
from gateway.revocation import check_admitted
from gateway.services import Services
from gateway.tls import TlsClient
from gateway.upstream import Ahead, closed_on_error, dial
from gateway.waiting import pause
from gateway.ways import Way, login_refused, route_now, way_in
from gateway.web.judging import is_from_allowed_network, network_refusal
from gateway.web.visit import Visit
from gateway.wire import bolt
from gateway.wire.bolt import GOODBYE, HELLO, HELLO_NAMES_ROUTING, LOGON, LOGON_MESSAGE, SUCCESS, Message, Version
from gateway.wire.boltrouting import asked_address
from gateway.wire.packstream import Value
from gateway.wire.verdict import Malformed
from router.access import AccessLevel
from router.model import Protocol, Route

_NOBODY: dict[str, Value] = {}


class GraphOpening:
    """One Bolt client inside TLS, or inside a WebSocket in it."""

    def __init__(self, services: Services, client: TlsClient, visit: Visit, ahead: Ahead | None) -> None:
        self._services = services
        self._client = client
        self._visit = visit
        self._ahead = ahead  # towards the database of whoever logs in there by itself
        self._held = ExitStack()  # what is to be given back when the session ends

    async def lead(self) -> Link:
        """Walk through the phases. Raises Refusal and Answered."""
        with self._held:
            try:
                return await self._open()
            except Malformed as error:
                raise Refusal(Reason.MALFORMED, f"your client cannot be understood: {error}") from error
            except Said as said:
                await self._client.send(said.words)
                raise Answered("the database refused") from said

    async def _open(self) -> Link:
        handshake = await self._client.look(bolt.parse_handshake)
        route = self._route()
        if not is_from_allowed_network(route, self._visit):
            raise network_refusal(self._visit.host, self._visit.address)
        if route.access is AccessLevel.PUBLIC:
            return await self._pass(route, None)
        if self._visit.certificate is not None and not route.database.logins:
            return await self._pass(route, identify(self._services, self._visit, route, _NOBODY))
        return await self._enter(route, handshake)

    # ---- the client logs in to the database by itself

    async def _pass(self, route: Route, who: Identified | None) -> Link:
        way = self._judge(route, who, can_log_in=True)
        dialled = await dial(route, self._services.options.connect_timeout, self._ahead)
        with closed_on_error(dialled.socket):
            database = Dialogue(dialled.socket, self._visit.host)
            version = await follow(self._client, database)
            hello, welcome = await greet(self._client, database, version, self._services.engine)
            await self._count(route, who)  # who does not get in takes no place
            await self._client.send(welcome)
            asked = asked_address(_extra(hello)) if version >= HELLO_NAMES_ROUTING else ""
            shown = Shown(who.proof if who is not None else None, way.least)
            return self._link(route, dialled.socket, database.rest(), self._watch(version, asked), shown)

    # ---- the gateway logs in for it

    async def _enter(self, route: Route, handshake: tuple[bolt.Proposal, ...]) -> Link:
        versions, timeout = self._services.versions, self._services.options.connect_timeout
        spoken = versions.of(route)
        version = bolt.choose_version(handshake, spoken.version)
        self._client.unread = self._client.unread[bolt.HANDSHAKE_SIZE :]
        await self._client.send(bolt.version_reply(version))
        if version is None:
            raise Answered("the client speaks no version that we know")
        speak(self._client, version)
        hello = await self._told(HELLO)
        shown = hello
        if version >= LOGON_MESSAGE:
            about: dict[str, Value] = {**spoken.about, "connection_id": f"podgate-{secrets.token_hex(8)}"}
            await self._client.send(bolt.message(SUCCESS, about))
            shown = await self._told(LOGON)
        who = await self._identify(route, shown)
        route = self._route()
        way = self._judge(route, who, can_log_in=False)
        await self._count(route, who)
        await versions.learn(route, timeout)
        try:
            return await self._session(route, version, hello, who, way)
        except OtherVersion as error:
            versions.forget(route)
            await versions.learn(route, timeout)
            message = f"the database behind {self._visit.host} speaks another version of Bolt than was thought"
            raise Refusal(Reason.UNREACHABLE, message, "Try again.", for_log=str(error)) from error

    async def _session(
        self, route: Route, version: Version, hello: dict[str, Value], who: Identified, way: Way
    ) -> Link:
        """Get into the database by one of our logins. Raises OtherVersion, Said and Refusal."""
        failures: list[str] = []
        for login in way.logins:
            dialled = await dial(route, self._services.options.connect_timeout)
            with closed_on_error(dialled.socket):
                database = Database(dialled.socket, self._visit.host, version)
                try:
                    welcome = await database.log_in(hello, login)
                except NotTaken as error:
                    failures.append(str(error))
                    dialled.socket.close()
                    continue
                await self._client.send(welcome)
                entered = Entered(who, way.least, login, route.pod, dialled.address)
                again = Again(self._services, self._visit, entered)
                asked = asked_address(hello) if version >= HELLO_NAMES_ROUTING else ""
                watch = self._watch(version, asked, again)
                return self._link(route, dialled.socket, database.rest(), watch, again)
        raise login_refused(self._visit.host, failures, "Its owner can mend that: podgate pod restart NAME")

    async def _told(self, tag: int) -> dict[str, Value]:
        """Read the message that is due, and give what it tells. Raises Refusal, and Answered at a goodbye."""
        message: Message = await self._client.look(bolt.read_message)
        self._client.unread = self._client.unread[message.size :]
        if message.tag == GOODBYE:
            raise Answered("the client said goodbye before it said who it is")
        if message.tag != tag:
            raise Malformed(f"bolt message: {message.tag:#04x}, expected {tag:#04x}")
        return _extra(message)

    # ---- what both have in common

    async def _identify(self, route: Route, shown: dict[str, Value]) -> Identified:
        try:
            return identify(self._services, self._visit, route, shown)
        except Refusal as refusal:
            if refusal.reason is Reason.WRONG_TOKEN:
                await pause(self._services.failures.count(self._visit.address, self._services.engine.steady()))
            raise

    def _route(self) -> Route:
        """Give the route as it is now. Raises Refusal."""
        return route_now(self._services.engine.policy.routes, self._visit.host, Protocol.BOLT)

    def _judge(self, route: Route, who: Identified | None, *, can_log_in: bool) -> Way:
        principal = who.principal if who is not None else None
        with self._services.engine.trail.decision(self._visit, route, principal):
            return way_in(self._visit.host, route, principal, can_log_in=can_log_in)

    async def _count(self, route: Route, who: Identified | None) -> None:
        """Take a place among the sessions that an endpoint may have."""
        principal = who.principal if who is not None else None
        self._held.callback(await take_place(self._services.quota, self._visit.host, route, principal))

    def _watch(self, version: Version, asked: str | None, again: Again | None = None) -> Watch:
        """Make what looks at the session; `asked` as in `asked_address`."""
        address = f"{self._visit.host}:{self._visit.port}" if asked == "" else asked or ""
        socket = self._client.socket if isinstance(self._client, WebSocketClient) else None
        return Watch(version, address=address, log_on=again.log_on if again else None, socket=socket)

    def _link(self, route: Route, upstream: socket.socket, rest: bytes, watch: Watch, shown: Shown | Again) -> Link:
        """Make the link, if it would be let in by the policy that is in force now; `rest` came from the database beyond
        what was asked. Raises Refusal.
        """
        client = self._client
        first, client.unread = bytes(watch.up_plain(client.unread)), b""
        link = Link(
            client.client, handle_of(client.connection), upstream, route, self._visit, first,
            transform=None if watch.is_idle else watch,
        )  # fmt: skip
        if isinstance(shown, Again):
            shown.follow(link)  # which may have judged another login, in what came ahead
        else:
            link.proof, link.least = shown
        link.down = bytes(watch.down(rest))
        check_admitted(link, self._services.engine)
        link.ended = partial(leave, self._services, link, self._held.pop_all())
        return link


def _extra(message: Message) -> dict[str, Value]:
    """Give the map that is the only field of HELLO and LOGON."""
    told = message.fields[0] if message.fields else None
    return told if isinstance(told, dict) else {}
