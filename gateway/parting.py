"""Parting from a client that does not come in: its last words, and time to read them."""

import socket
from typing import NoReturn

from gateway.errors import Abandoned, Reason, Refusal
from gateway.replies import http_error, postgres_error
from gateway.sniffing import peek
from gateway.waiting import TooSlow, readable, time_limit
from gateway.wire import httphead
from gateway.wire.opening import Opening

PARTING = 1.0  # seconds to let a refused client read its answer before its connection is closed


async def part(client: socket.socket) -> None:
    """Let the client read its answer: a close over bytes we have not read would overtake it with a reset."""
    try:
        client.shutdown(socket.SHUT_WR)
        with time_limit(PARTING):
            while await _discard(client):
                pass
    except (OSError, TooSlow):
        return  # it has left by itself, or had its time


async def refuse_plaintext(client: socket.socket, opening: object, public_port: int) -> NoReturn:
    """End a connection that does not begin with TLS, with the words it understands. Raises Abandoned."""
    if opening is Opening.HTTP:
        head = await peek(client, httphead.parse_head)
        if head.host is not None and head.target.startswith("/"):
            place = f"{head.host}{'' if public_port == 443 else f':{public_port}'}"
            client.send(httphead.redirect(308, f"https://{place}{head.target}"))
        else:
            refusal = Refusal(Reason.TLS_REQUIRED, "this server takes encrypted connections only", "Use https.")
            client.send(http_error(refusal, wants_html=head.wants_html, head_only=head.method == "HEAD"))
        await part(client)
        raise Abandoned("plain http: sent to https")
    if opening is Opening.POSTGRES_STARTUP:
        refusal = Refusal(
            Reason.TLS_REQUIRED, "this server takes encrypted connections only", "Connect with sslmode=verify-full."
        )
        client.send(postgres_error(refusal))
        await part(client)
        raise Abandoned(str(refusal))
    name = opening.value if isinstance(opening, Opening) else "no protocol known here"
    raise Abandoned(f"first bytes: {name}, expected TLS")


async def _discard(client: socket.socket) -> bool:
    await readable(client)
    return bool(client.recv(65536))
