"""From a client's first bytes to its ClientHello, by way of Postgres' StartTLS if need be.

The hello is only looked at: it stays in the socket for OpenSSL. What begins otherwise is answered here, and ends.
"""

import socket
from typing import Literal, NoReturn

from gateway.errors import Abandoned, Answered
from gateway.parting import refuse_plaintext
from gateway.services import Services
from gateway.sniffing import peek, peek_now
from gateway.wire import clienthello, postgres
from gateway.wire.clienthello import ClientHello
from gateway.wire.opening import Opening, recognise
from gateway.wire.verdict import More, Verdict
from router.model import Protocol


async def reach_hello(client: socket.socket, ip: str, services: Services) -> tuple[ClientHello, Protocol | None]:
    """Give the ClientHello, and the protocol if the way to it has told. Raises Abandoned, Answered and Malformed."""
    protocol = None
    opening = await peek(client, _recognise)
    if opening is Opening.POSTGRES_GSS:
        _answer_request(client, b"N")
        opening = await peek(client, _recognise)
    if opening is Opening.POSTGRES_SSL:
        protocol = Protocol.POSTGRES
        _answer_request(client, b"S")
        opening = await peek(client, _recognise)
    if isinstance(opening, ClientHello):
        return opening, protocol
    if opening is Opening.POSTGRES_CANCEL:
        await _cancel(client, ip, services)
    return await refuse_plaintext(client, opening, services.options.public_port)


def _recognise(head: bytes) -> Opening | ClientHello | More | Literal[Verdict.NOT_THIS]:
    """Tell what a client begins with; of TLS, its hello."""
    opening = recognise(head)
    return clienthello.parse(head) if opening is Opening.TLS else opening


def _answer_request(client: socket.socket, answer: bytes) -> None:
    """Answer an SSLRequest or GSSENCRequest; bytes that follow it unasked are an attack (CVE-2021-23214)."""
    client.recv(postgres.SSL_REQUEST_SIZE)
    if peek_now(client):
        raise Abandoned("bytes after the SSL request, sent before it was answered")
    client.send(answer)


async def _cancel(client: socket.socket, ip: str, services: Services) -> NoReturn:
    """Take a wish to cancel a query, which most clients send without TLS. Raises Answered: it gets no answer."""
    request = await peek(client, postgres.parse_startup)
    if isinstance(request, postgres.CancelRequest):
        await services.sessions.cancel(request, ip, None)
    raise Answered("cancel request without tls")
