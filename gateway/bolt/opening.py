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

from gateway.bolt.again import Again
from gateway.bolt.arriving import WebSocketClient
from gateway.bolt.database import Database, OtherVersion
from gateway.bolt.identifying import Identified, identify
from gateway.bolt.versions import GUESS
from gateway.bolt.watching import Watch
from gateway.dialogue import Dialogue, NotTaken, Said
from gateway.errors import Answered, Reason, Refusal
from gateway.link import Link
from gateway.openssl import handle_of
from gateway.proof import Proof
from gateway.quota import Full
from gateway.replies import bolt_failure
from gateway.revocation import is_admitted
from gateway.services import Services
from gateway.tls import TlsClient
from gateway.upstream import closed_on_error, dial
from gateway.waiting import pause
from gateway.ways import Way, by_login, check, full, login_refused
from gateway.web.judging import is_from_allowed_network, network_refusal
from gateway.web.visit import Visit
from gateway.wire import bolt
from gateway.wire.bolt import GOODBYE, HELLO, HELLO_NAMES_ROUTING, LOGON, LOGON_MESSAGE, SUCCESS, Message, Version
from gateway.wire.boltmanifest import MANIFEST, parse_choice, parse_manifest
from gateway.wire.boltrouting import asked_address
from gateway.wire.packstream import Value
from gateway.wire.verdict import Malformed
from router.access import AccessLevel, Principal
from router.model import Protocol, Route

_NOBODY: dict[str, Value] = {}


class GraphOpening:
    """One Bolt client inside TLS, or inside a WebSocket in it."""

    def __init__(self, services: Services, client: TlsClient, visit: Visit) -> None:
        self._services = services
        self._client = client
        self._visit = visit
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
        self._judge(route, who)
        await self._count(route, who)
        dialled = await dial(route, self._services.options.connect_timeout)
        with closed_on_error(dialled.socket):
            database = Dialogue(dialled.socket, self._visit.host)
            version = await self._follow(database)
            hello = await self._client.look(bolt.read_message)
            extra = hello.fields[0] if hello.fields else None
            names = version >= HELLO_NAMES_ROUTING
            asked = asked_address(extra if isinstance(extra, dict) else {}) if names else ""
            watch = self._watch(version, asked)
            least = route.access if who is not None else None
            return self._link(route, dialled.socket, database.rest(), watch, who.proof if who else None, least)

    async def _follow(self, database: Dialogue) -> Version:
        """Let client and database agree on a version. Raises Answered if they do not."""
        client = self._client
        await database.send(client.unread[: bolt.HANDSHAKE_SIZE])
        version = await database.look(bolt.parse_version)
        size = bolt.VERSION_SIZE if version != MANIFEST else await database.look(parse_manifest)
        client.unread = client.unread[bolt.HANDSHAKE_SIZE :]
        self._speaks(version or GUESS.version)
        await client.send(database.take(size))
        if version is None:
            raise Answered("client and database speak no common version")
        if version == MANIFEST:
            choice = await client.look(parse_choice)
            await database.send(client.unread[: choice.size])
            client.unread = client.unread[choice.size :]
            version = choice.version
            self._speaks(version)
        return version

    # ---- the gateway logs in for it

    async def _enter(self, route: Route, handshake: tuple[bolt.Proposal, ...]) -> Link:
        versions, timeout = self._services.versions, self._services.options.connect_timeout
        spoken = versions.of(route)
        version = bolt.choose_version(handshake, spoken.version)
        self._client.unread = self._client.unread[bolt.HANDSHAKE_SIZE :]
        await self._client.send(bolt.version_reply(version))
        if version is None:
            raise Answered("the client speaks no version that we know")
        self._speaks(version)
        hello = await self._told(HELLO)
        shown = hello
        if version >= LOGON_MESSAGE:
            about: dict[str, Value] = {**spoken.about, "connection_id": f"podgate-{secrets.token_hex(8)}"}
            await self._client.send(bolt.message(SUCCESS, about))
            shown = await self._told(LOGON)
        who = await self._identify(route, shown)
        route = self._route()
        way = self._judge(route, who)
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
                again = Again(self._services, self._visit, who, way.least, login)
                asked = asked_address(hello) if version >= HELLO_NAMES_ROUTING else ""
                watch = self._watch(version, asked, again)
                link = self._link(route, dialled.socket, database.rest(), watch, again.proof, again.least)
                again.link = link
                return link
        raise login_refused(self._visit.host, failures, "Its owner can mend that: podgate pod restart NAME")

    async def _told(self, tag: int) -> dict[str, Value]:
        """Read the message that is due, and give what it tells. Raises Refusal, and Answered at a goodbye."""
        message: Message = await self._client.look(bolt.read_message)
        self._client.unread = self._client.unread[message.size :]
        if message.tag == GOODBYE:
            raise Answered("the client said goodbye before it said who it is")
        if message.tag != tag:
            raise Malformed(f"bolt message: {message.tag:#04x}, expected {tag:#04x}")
        told = message.fields[0] if message.fields else None
        return told if isinstance(told, dict) else {}

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
        found = self._services.engine.policy.routes.find(self._visit.host)
        if found is None or found.protocol is not Protocol.BOLT:
            raise Refusal(Reason.UNKNOWN_HOST, f"there is no pod behind {self._visit.host} any more")
        return found

    def _speaks(self, version: Version) -> None:
        self._client.words = partial(bolt_failure, version=version)

    def _judge(self, route: Route, who: Identified | None) -> Way:
        principal: Principal | None = who.principal if who is not None else None
        trail, host = self._services.engine.trail, self._visit.host
        try:
            check(host, route, principal)
            logs_in = route.access is not AccessLevel.PUBLIC and bool(route.database.logins or who is None)
            way = by_login(host, route, principal) if logs_in else Way((), None)
        except Refusal as refusal:
            trail.refused(self._visit, route, principal, refusal.message)
            raise
        trail.allowed(self._visit, route, principal)
        return way

    async def _count(self, route: Route, who: Identified | None) -> None:
        """Take a place among the sessions that an endpoint may have."""
        place = await self._services.quota.enter(route, who.principal.user if who is not None else "")
        if isinstance(place, Full):
            raise full(self._visit.host, place)
        self._held.callback(place)

    def _watch(self, version: Version, asked: str | None, again: Again | None = None) -> Watch:
        """Make what looks at the session; `asked` as in `asked_address`."""
        address = f"{self._visit.host}:{self._visit.port}" if asked == "" else asked or ""
        socket = self._client.socket if isinstance(self._client, WebSocketClient) else None
        return Watch(version, address=address, log_on=again.log_on if again else None, socket=socket)

    def _link(
        self, route: Route, upstream: socket.socket, rest: bytes, watch: Watch, proof: Proof | None,
        least: AccessLevel | None,
    ) -> Link:  # fmt: skip
        """Make the link, if it would be let in by the policy that is in force now; `rest` came from the database beyond
        what was asked. Raises Refusal.
        """
        engine, client = self._services.engine, self._client
        first, client.unread = bytes(watch.up_plain(client.unread)), b""
        link = Link(
            client.client, handle_of(client.connection), upstream, route, self._visit, first, proof=proof, least=least,
            transform=None if watch.is_idle else watch,
        )  # fmt: skip
        link.down = bytes(watch.down(rest))
        if not is_admitted(link, engine.policy, engine.clock()):
            raise Refusal(Reason.FORBIDDEN, f"access to {self._visit.host} was taken back just now")
        link.ended = self._held.pop_all().close
        return link
