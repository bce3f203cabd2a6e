"""Looking at a client's first bytes without taking them, so that OpenSSL finds all of its handshake in the socket."""

import select
import socket
from collections.abc import Callable
from typing import TypeVar

from gateway.errors import Abandoned
from gateway.waiting import readable
from gateway.wire.verdict import More

LARGEST_PEEK = 32 * 1024  # bytes: no parser of an opening asks for more (gateway.wire names each one's limit)

Parsed = TypeVar("Parsed")


async def peek(client: socket.socket, parse: Callable[[bytes], Parsed | More]) -> Parsed:
    """Wait until `parse` has an answer about the bytes at hand, and give it; they stay in the socket.

    Raises Abandoned when the client ends first, and what `parse` raises.
    """
    waiting_for = 1
    try:
        while True:
            head = peek_now(client)
            if head is not None:
                if len(head) >= waiting_for:
                    answer = parse(head)
                    if not isinstance(answer, More):
                        return answer
                    waiting_for = answer.at_least
                if has_ended(client) and len(peek_now(client) or b"") < waiting_for:
                    raise Abandoned(f"client left after {len(head)} bytes")
                # The kernel wakes us when so many bytes are there, or the end: no spinning on a partial message.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, waiting_for)
            await readable(client)
    except OSError as error:
        raise Abandoned(f"client left: {error.strerror}") from error
    finally:
        if waiting_for > 1:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)


def peek_now(client: socket.socket) -> bytes | None:
    """Give the bytes at hand, b"" at the end, and None if there is nothing yet."""
    try:
        return client.recv(LARGEST_PEEK, socket.MSG_PEEK)
    except BlockingIOError:
        return None


def has_ended(client: socket.socket) -> bool:
    """Tell whether the client has sent its FIN, or reset the connection; there may still be bytes before that."""
    poll = select.poll()
    poll.register(client, select.POLLRDHUP)
    return bool(poll.poll(0))
