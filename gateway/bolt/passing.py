"""A client's own login at a database: the gateway follows it until the database has let it in, and changes nothing.

Only that first login is looked at, for what is not the database's to know. Another one in the same session passes
unseen: the relay is fastest where it looks at nothing.
"""

from functools import partial

from gateway.bolt.identifying import shows_token
from gateway.bolt.versions import GUESS
from gateway.dialogue import Dialogue, Said
from gateway.errors import Answered, Reason, Refusal
from gateway.replies import bolt_failure
from gateway.tls import TlsClient
from gateway.web.engine import Engine
from gateway.wire import bolt
from gateway.wire.bolt import GOODBYE, HELLO, LOGON, LOGON_MESSAGE, SUCCESS, Message, Version
from gateway.wire.boltmanifest import MANIFEST, parse_choice, parse_manifest
from gateway.wire.verdict import Malformed


async def follow(client: TlsClient, database: Dialogue) -> Version:
    """Let client and database agree on a version. Raises Malformed, Refusal, and Answered if they do not."""
    await database.send(client.unread[: bolt.HANDSHAKE_SIZE])
    version = await database.look(bolt.parse_version)
    size = bolt.VERSION_SIZE if version != MANIFEST else await database.look(parse_manifest)
    client.unread = client.unread[bolt.HANDSHAKE_SIZE :]
    speak(client, version or GUESS.version)
    await client.send(database.take(size))
    if version is None:
        raise Answered("client and database speak no common version")
    if version == MANIFEST:
        choice = await client.look(parse_choice)
        await database.send(client.unread[: choice.size])
        client.unread = client.unread[choice.size :]
        version = choice.version
        speak(client, version)
    return version


async def greet(client: TlsClient, database: Dialogue, version: Version, engine: Engine) -> tuple[Message, bytes]:
    """Pass the login on; give the client's HELLO, and the words that the client is let in by. Raises Malformed, Refusal
    if a token is shown, and Said.
    """
    hello, words = await _pass(client, database, engine, HELLO)
    if version >= LOGON_MESSAGE:
        await client.send(words)
        _, words = await _pass(client, database, engine, LOGON)
    return hello, words


def speak(client: TlsClient, version: Version) -> None:
    """Have refusals told as a version knows them from now on."""
    client.words = partial(bolt_failure, version=version)


async def _pass(client: TlsClient, database: Dialogue, engine: Engine, tag: int) -> tuple[Message, bytes]:
    """Pass the message on that is due, and wait for its SUCCESS; give both. To others databases say that, too, without
    letting anybody in: ArcadeDB to RESET.
    """
    message: Message = await client.look(bolt.read_message)
    if message.tag not in (tag, GOODBYE):
        raise Malformed(f"bolt message: {message.tag:#04x}, expected {tag:#04x}")
    if shows_token(message.fields, engine.policy.credentials, engine.clock()):
        raise Refusal(
            Reason.WRONG_TOKEN,
            "this database asks for the password of a user of its own, and a token is not passed on to it",
            "Its owner sees those of a public endpoint by: podgate pod show NAME",
        )
    await database.send(client.unread[: message.size])
    client.unread = client.unread[message.size :]
    if message.tag == GOODBYE:
        raise Answered("the client said goodbye before it said who it is")
    answer: Message = await database.look(bolt.read_message)
    words = database.take(answer.size)
    if answer.tag != SUCCESS:
        raise Said(words)
    return message, words
