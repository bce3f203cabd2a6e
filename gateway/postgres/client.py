"""The client's side of an opening: what it says, piece by piece."""

import re
from functools import partial

from gateway.errors import Reason, Refusal
from gateway.tls import TlsClient
from gateway.wire.pgmessage import Message, parse_message
from gateway.wire.postgres import CancelRequest, Startup, parse_startup
from gateway.wire.verdict import Malformed

_LOGGED = ("user", "database")  # what servers write into their logs as it is
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


async def read_startup(client: TlsClient) -> Startup | CancelRequest:
    """Read the packet that a client begins with. Raises Refusal."""
    try:
        startup: Startup | CancelRequest = await client.look(parse_startup)
    except Malformed as error:
        client.is_heard = True
        raise misunderstood(error) from error
    client.unread = client.unread[startup.size :]
    client.is_heard = True
    if isinstance(startup, Startup) and any(_CONTROL.search(startup.parameters.get(name, "")) for name in _LOGGED):
        raise Refusal(Reason.MALFORMED, "the name of the user or of the database holds a control character")
    return startup


async def read_message(client: TlsClient, largest: int) -> Message:
    """Read the next message, of at most `largest` bytes. Raises Refusal."""
    try:
        message = await client.look(partial(parse_message, largest=largest))
    except Malformed as error:
        raise misunderstood(error) from error
    client.unread = client.unread[message.size :]
    return message


def misunderstood(error: Malformed) -> Refusal:
    """Refuse a client for what it said."""
    return Refusal(Reason.MALFORMED, f"your client cannot be understood: {error}")
