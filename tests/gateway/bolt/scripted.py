"""A graph database as far as the gateway and a test need one, and a client whose messages are in the test's hand."""

import socket
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from gateway.wire import bolt
from gateway.wire.bolt import (
    FAILURE,
    GOODBYE,
    HELLO,
    LOGOFF,
    LOGON,
    LOGON_MESSAGE,
    RECORD,
    RESET,
    ROUTE,
    RUN,
    SUCCESS,
    Message,
    Proposal,
    Version,
    message,
)
from gateway.wire.packstream import Value
from gateway.wire.verdict import More
from tests.peers import TlsPeer, read_exactly

PULL = 0x3F
OFFER = (Proposal(255, 1, 0), Proposal(5, 8, 8), Proposal(4, 4, 4), Proposal(3, 0, 0))  # as drivers do, nearly
SERVERS: list[Value] = [{"addresses": ["inner:7687"], "role": role} for role in ("WRITE", "READ", "ROUTE")]
ABOUT: dict[str, Value] = {"server": "Neo4j/5.1.2", "connection_id": "bolt-1"}
WRONG: dict[str, Value] = {"code": "Neo.ClientError.Security.Unauthorized", "message": "the database says no"}
MANIFEST_OF_NEO4J = bytes.fromhex("000001ff 02 00080805 00020404 00")


@dataclass
class Graph:
    """A database that speaks `versions`, and lets in who has a password of `users`. It answers a query with its own
    text, and says who asked.
    """

    users: Mapping[str, str] = field(default_factory=lambda: {"reader": "r" * 9, "writer": "w" * 9, "owner": "o" * 9})
    versions: Collection[Version] = ((5, 4), (5, 3), (4, 4), (4, 0))
    manifest: bytes = b""  # what it says of its versions to those who understand that
    of_hello: bytes = b""  # its answer to it, in place of a SUCCESS
    fails_at: str = ""  # a query that makes it ignore all but RESET, as databases do after an error
    behind_record: bytes = b""  # sent behind each record
    talks_on: bool = False  # says more and more from its welcome on
    after_login: bytes = b""  # sent at once behind its welcome
    at_query: Callable[[str], object] = lambda _text: None  # called with each query, before it is answered
    at_login: Callable[[], object] = lambda: None  # called when somebody is about to be let in
    handshakes: list[bytes] = field(default_factory=list)
    seen: list[tuple[str, Message]] = field(default_factory=list)  # with the user who was logged in then

    def asked(self, tag: int) -> list[Mapping[str, Value]]:
        """Give what it was told by messages of a kind."""
        return [each.fields[0] for _, each in self.seen if each.tag == tag and isinstance(each.fields[0], dict)]

    def __call__(self, connection: socket.socket) -> None:
        """Serve one connection."""
        with suppress(EOFError, ConnectionError):
            version = self._negotiate(connection)
            if version is not None:
                _Session(self, connection, version).serve()

    def _negotiate(self, connection: socket.socket) -> Version | None:
        handshake = read_exactly(connection, bolt.HANDSHAKE_SIZE)
        self.handshakes.append(handshake)
        proposals = bolt.parse_handshake(handshake)
        assert not isinstance(proposals, More)
        if self.manifest and (255, 1) in [each[:2] for each in proposals]:
            connection.sendall(self.manifest)
            choice = read_exactly(connection, 5)
            return choice[3], choice[2]
        for major, minor, below in proposals:
            for version in self.versions:
                if version[0] == major and minor - below <= version[1] <= minor:
                    connection.sendall(bolt.version_reply(version))
                    return version
        connection.sendall(bolt.version_reply(None))
        return None


class _Session:
    def __init__(self, graph: Graph, connection: socket.socket, version: Version) -> None:
        self._graph = graph
        self._connection = connection
        self._version = version
        self._user = ""
        self._query = ""
        self._failed = False

    def serve(self) -> None:
        while True:
            asked = self._read()
            self._graph.seen.append((self._user, asked))
            if asked.tag == GOODBYE:
                return
            self._connection.sendall(self._answer(asked))
            while self._graph.talks_on and self._user:
                self._connection.sendall(b"\0\0" * 65536)

    def _answer(self, asked: Message) -> bytes:
        if asked.tag == RESET:
            self._failed = False
        if self._failed:
            return message(bolt.IGNORED)
        if asked.tag == HELLO and self._version >= LOGON_MESSAGE:
            return self._graph.of_hello or message(SUCCESS, ABOUT)
        if asked.tag in (HELLO, LOGON):
            return self._log_in(asked.fields[0], ABOUT if asked.tag == HELLO else {})
        if asked.tag == LOGOFF:
            self._user = ""
        if asked.tag == ROUTE:
            return message(SUCCESS, {"rt": {"ttl": 300, "db": "graph", "servers": SERVERS}})
        if asked.tag == RUN:
            self._query = str(asked.fields[0])
            self._graph.at_query(self._query)
            self._failed = bool(self._query) and self._query == self._graph.fails_at
            if self._failed:
                return message(FAILURE, WRONG)
            return message(SUCCESS, {"fields": ["text", "user"]})
        if asked.tag == PULL:
            first: list[Value] = [300, SERVERS] if "getRoutingTable" in self._query else [self._query, self._user]
            return message(RECORD, first) + self._graph.behind_record + message(SUCCESS, {"has_more": False})
        return message(SUCCESS, {})

    def _log_in(self, shown: Value, answer: dict[str, Value]) -> bytes:
        assert isinstance(shown, dict)
        user = str(shown.get("principal"))
        if shown.get("scheme") != "basic" or self._graph.users.get(user) != shown.get("credentials"):
            self._failed = True
            return message(FAILURE, WRONG)
        self._user = user
        self._graph.at_login()
        return message(SUCCESS, answer) + self._graph.after_login

    def _read(self) -> Message:
        data = b""
        while isinstance(found := bolt.read_message(data), More):
            data += read_exactly(self._connection, found.at_least - len(data))
        return found


class Client:
    """A client inside TLS, or inside whatever `send` and `receive` reach."""

    def __init__(self, peer: TlsPeer) -> None:
        self.peer = peer

    def greet(self, *proposals: Proposal) -> Version | None:
        """Shake hands; give the version."""
        self.send(bolt.propose(*proposals or OFFER))
        found = bolt.parse_version(self.receive(bolt.VERSION_SIZE))
        assert not isinstance(found, More)
        return found

    def log_in(self, version: Version, shown: Mapping[str, Value], **hello: Value) -> Message:
        """Say HELLO, and LOGON where there is one; give the last answer."""
        extra: dict[str, Value] = {"user_agent": "test/1", **hello}
        if version < LOGON_MESSAGE:
            return self.ask(HELLO, {**extra, **shown})
        self.send(message(HELLO, extra) + message(LOGON, dict(shown)))
        first = self.answer()
        return self.answer() if first.tag == SUCCESS else first

    def ask(self, tag: int, *fields: Value) -> Message:
        self.send(message(tag, *fields))
        return self.answer()

    def answer(self) -> Message:
        data = b""
        while isinstance(found := bolt.read_message(data), More):
            data += self.receive(found.at_least - len(data))
        return found

    def query(self, text: str) -> Message:
        """Run a query and give its first record."""
        self.send(message(RUN, text, {}, {}) + message(PULL, {"n": -1}))
        assert self.answer().tag == SUCCESS
        record = self.answer()
        assert (record.tag, self.answer().tag) == (RECORD, SUCCESS)
        return record

    def send(self, data: bytes) -> None:
        self.peer.send(data)

    def receive(self, size: int) -> bytes:
        return self.peer.receive(size)


def basic(user: str, secret: str) -> dict[str, Value]:
    return {"scheme": "basic", "principal": user, "credentials": secret}
