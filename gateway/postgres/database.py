"""The database's side of an opening: the gateway logs in there for a client, or passes the client's own login on.

Logging in alternates strictly: the server goes on until it asks something, and then waits for one answer. So either
side is read only when it is its turn, and nothing is read from it that the relay would miss: what comes after the key
for cancelling goes on as it is.

Source: PostgreSQL, "Message Flow", "Start-up".
"""

import socket
from collections.abc import Callable
from functools import partial

from gateway.dialogue import Dialogue, NotTaken, Said
from gateway.errors import Reason, Refusal
from gateway.postgres.client import read_message
from gateway.postgres.scram import Denied, ScramClient
from gateway.proof import TOKEN_PREFIX
from gateway.tls import TlsClient
from gateway.wire import pgmessage
from gateway.wire.pgmessage import Auth, CancelKey, Message
from router.database import Login

LARGEST_MESSAGE = 64 * 1024  # bytes of one message while somebody logs in: tickets of Kerberos may be that long
LARGEST_LOGIN = 256 * 1024  # bytes of all its messages during one login
MOST_MESSAGES = 1000  # from the server during one login: parameters and notices
SQLSTATE = 5  # characters (PostgreSQL, appendix A)
_ASKS = frozenset((Auth.CLEARTEXT, Auth.MD5, Auth.SASL, Auth.SASL_CONTINUE))  # the client is to answer
_OPAQUE = frozenset((7, 8, 9))  # GSS and SSPI: nobody but the two can tell whose turn it is

_WELCOME = frozenset((b"S", b"N", b"K", b"Z"))  # what a server may say between letting in and being ready

Rewrite = Callable[[CancelKey], CancelKey]


def whole(message: Message) -> bytes:
    """Give a message as it came."""
    return pgmessage.message(message.kind, message.body)


class Server(Dialogue):
    """A database that a connection was just opened to."""

    def __init__(self, upstream: socket.socket, host: str, minor: int) -> None:
        """`host` names it in refusals; `minor` is the version of protocol 3 that the client has asked for."""
        super().__init__(upstream, host)
        self.minor = minor  # the version that is spoken
        self._count = self._size = 0  # of its messages, and their bytes

    async def message(self) -> Message:
        """Receive the next message. Raises Refusal."""
        message: Message = await self.look(partial(pgmessage.parse_message, largest=LARGEST_MESSAGE))
        self.take(message.size)
        self._count_more(1, message.size)
        return message

    async def messages(self) -> list[tuple[bytes, bytes]]:
        """Receive the next messages, one at least: the kind of each, and the whole of it. Raises Refusal."""
        split = partial(pgmessage.split_messages, largest=LARGEST_MESSAGE)
        messages: list[tuple[bytes, bytes]] = await self.look(split)
        size = sum(len(message) for _kind, message in messages)
        self.take(size)
        self._count_more(len(messages), size)
        return messages

    def _count_more(self, count: int, size: int) -> None:
        self._count += count
        self._size += size
        if self._count > MOST_MESSAGES:
            raise self.broke_off(f"more than {MOST_MESSAGES} messages at a login")
        if self._size > LARGEST_LOGIN:
            raise self.broke_off(f"more than {LARGEST_LOGIN} bytes at a login")

    def negotiate(self, message: Message) -> None:
        """Take note of the version that it speaks. Raises Refusal."""
        self.minor = min(self.minor, self.read(pgmessage.negotiated_minor, message.body))


async def log_in(server: Server, login: Login, startup: bytes) -> bytes:
    """Log in with a login of ours, by this startup message; give what the client is to be told before
    AuthenticationOk. A database that asks for nothing (`trust`) is as good as one that does: who reaches it may use it.

    Raises NotTaken, Said and Refusal.
    """
    await server.ask(startup)
    scram: ScramClient | None = None
    told = b""
    while True:
        message = await server.message()
        if message.kind == b"E":
            fields = server.read(pgmessage.parse_error, message.body)
            if fields.sqlstate[:2] == "28":  # PostgreSQL, appendix A: invalid authorization
                raise NotTaken(f"sqlstate {fields.sqlstate[:SQLSTATE]}")
            raise Said(whole(message))
        if message.kind == b"v":
            server.negotiate(message)
            told += whole(message)
        elif message.kind == b"R":
            kind, data = server.read(pgmessage.parse_authentication, message.body)
            if kind == Auth.OK:
                if scram is not None and not scram.done:
                    raise NotTaken("it lets us in without having proved that it knows the password")
                return told
            try:
                scram = await _answer(server, scram, login, kind, data)
            except Denied as denied:
                raise NotTaken(str(denied)) from denied


async def _answer(server: Server, scram: ScramClient | None, login: Login, kind: int, data: bytes) -> ScramClient:
    """Answer one question of a server that we log in to. Raises NotTaken, Denied and Refusal."""
    if kind == Auth.SASL and scram is None:
        scram = ScramClient(login.password, server.read(pgmessage.parse_offer, data))
        await server.ask(pgmessage.sasl_initial(scram.mechanism, scram.first()))
    elif kind == Auth.SASL_CONTINUE and scram is not None:
        await server.ask(pgmessage.sasl_response(scram.final(data)))
    elif kind == Auth.SASL_FINAL and scram is not None:
        scram.verify(data)
    else:
        raise NotTaken(f"it asks for a login of kind {kind}, not by SCRAM")
    return scram


async def pass_login(server: Server, client: TlsClient, startup: bytes, rewrite: Rewrite) -> bytes:
    """Pass a client's own login on, from its startup message on; give what the client is still to be sent.

    Raises Said when the database refuses, and Refusal.
    """
    await server.ask(startup)
    down = b""
    while True:
        message = await server.message()
        if message.kind == b"E":
            raise Said(down + whole(message))
        down += whole(message)
        if message.kind == b"v":
            server.negotiate(message)
        if message.kind != b"R":
            continue
        kind, _ = server.read(pgmessage.parse_authentication, message.body)
        if kind == Auth.OK:
            return down + await settle(server, rewrite)
        if kind in _OPAQUE:
            return down + server.rest()
        if kind in _ASKS:
            await client.ask(down)
            down = b""
            answer = await read_message(client, LARGEST_MESSAGE)
            if kind == Auth.CLEARTEXT and answer.body.startswith(TOKEN_PREFIX.encode()):
                raise Refusal(
                    Reason.WRONG_TOKEN,
                    "this database asks for the password of a user of its own, and an API token is not passed on to it",
                    "Its owner sees those of a public endpoint by: podgate pod show NAME",
                )
            await server.ask(whole(answer))


async def settle(server: Server, rewrite: Rewrite) -> bytes:
    """Give what the server tells a client that is let in, until it is ready for queries, with the key for cancelling
    that is ours. A server that asks for a password now would get one that is not meant for it.

    Raises Said, if the client is not let in after all, and Refusal.
    """
    down: list[bytes] = []
    while True:
        messages = iter(await server.messages())
        for kind, message in messages:
            if kind == b"E":
                raise Said(b"".join([*down, message]))
            if kind not in _WELCOME:
                raise server.broke_off(f"message of kind {kind!r} after the login")
            if kind == b"K":
                key = server.read(pgmessage.parse_key, message[pgmessage.HEADER :])
                message = pgmessage.backend_key(rewrite(key))
            down.append(message)
            if kind == b"Z":
                return b"".join([*down, *(later for _kind, later in messages), server.rest()])
