"""Which version of Bolt a database speaks, and what it says of itself.

A client is told the version before it can show who it is, and nobody unknown may make the gateway talk to a database.
So the first client of one gets a guess; when it is known and let in, the gateway asks the database, once, by a
handshake of its own and a HELLO without credentials, and remembers.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from gateway.bolt.database import Database
from gateway.upstream import closed_on_error, dial
from gateway.waiting import TooSlow, time_limit
from gateway.wire import bolt
from gateway.wire.bolt import GOODBYE, HELLO, LOGON_MESSAGE, SUCCESS, Proposal, Version
from gateway.wire.packstream import Value, encode
from router.model import Address, Route

MOST_KNOWN = 10_000  # databases
LARGEST_ABOUT = 4096  # bytes of what is remembered that one says of itself
PATIENCE = 2.0  # seconds for one to answer
_PROPOSALS = (Proposal(5, 8, 8), Proposal(4, 4, 4), Proposal(3, 0, 0))
_AGENT = "podgate/1"
_TOLD = ("server", "hints")  # of what it says of itself, what all its clients are told


class Spoken(NamedTuple):
    """What a database speaks: no version above this one."""

    version: Version
    about: Mapping[str, Value]


GUESS = Spoken((5, 4), {"server": bolt.AGENT})  # Neo4j 5.13 and later speak it, and ArcadeDB


class Versions:
    """What is known of databases; one for each worker."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[Address, ...], Spoken] = OrderedDict()

    def of(self, route: Route) -> Spoken:
        """Tell what the database behind a route speaks, as far as that is known."""
        return self._known.get(route.upstreams, GUESS)

    async def learn(self, route: Route, connect_timeout: float) -> None:
        """See to it that it is known, if the database answers. Raises Refusal."""
        if route.upstreams in self._known:
            return self._known.move_to_end(route.upstreams)
        try:
            with time_limit(PATIENCE):
                spoken = await _ask(route, connect_timeout)
        except TooSlow:
            return None
        if spoken is not None:
            self._known[route.upstreams] = spoken
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return None

    def forget(self, route: Route) -> None:
        """Forget what is known of it: it was not so."""
        self._known.pop(route.upstreams, None)


async def _ask(route: Route, connect_timeout: float) -> Spoken | None:
    dialled = await dial(route, connect_timeout)
    with closed_on_error(dialled.socket):
        database = Database(dialled.socket, route.host, (0, 0))
        await database.send(bolt.propose(*_PROPOSALS))
        version = await database.look(bolt.parse_version)
        database.take(bolt.VERSION_SIZE)
        about: Mapping[str, Value] = {}
        if version is not None and version >= LOGON_MESSAGE:
            await database.send(bolt.message(HELLO, {"user_agent": _AGENT, "bolt_agent": {"product": _AGENT}}))
            message, _ = await database.message()
            if message.tag == SUCCESS and message.fields and isinstance(message.fields[0], dict):
                about = _remembered(message.fields[0])
            await database.send(bolt.message(GOODBYE))
        dialled.socket.close()
        return Spoken(version, {**GUESS.about, **about}) if version in bolt.KNOWN_VERSIONS and version else None


def _remembered(said: Mapping[str, Value]) -> Mapping[str, Value]:
    about: dict[str, Value] = {key: said[key] for key in _TOLD if key in said}
    return about if len(encode(about)) <= LARGEST_ABOUT else {}
