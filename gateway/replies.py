"""Telling a client inside TLS why it does not reach its pod, in the protocol it speaks."""

from collections.abc import Awaitable, Callable

from gateway.errors import Abandoned, Reason, Refusal
from gateway.tls import TlsClient
from gateway.wire import bolt, httphead, httpreply, postgres
from gateway.wire.opening import Opening, recognise
from gateway.wire.verdict import Malformed, More
from router.model import Protocol

_SPOKEN = {
    Opening.POSTGRES_STARTUP: Protocol.POSTGRES,
    Opening.POSTGRES_CANCEL: Protocol.POSTGRES,
    Opening.BOLT: Protocol.BOLT,
    Opening.HTTP: Protocol.HTTP,
}


async def reply(client: TlsClient, protocol: Protocol | None, refusal: Refusal) -> None:
    """Answer in `protocol`, or in the one the client's first bytes show. Raises Abandoned if there is no answering."""
    try:
        if protocol is None:
            opening = await client.look(recognise)
            protocol = _SPOKEN.get(opening, Protocol.TCP) if isinstance(opening, Opening) else Protocol.TCP
        await _REPLIES[protocol](client, refusal)
    except Malformed as error:
        raise Abandoned(str(error)) from error


async def _reply_postgres(client: TlsClient, refusal: Refusal) -> None:
    if not client.is_heard:
        startup = await client.look(postgres.parse_startup)
        if isinstance(startup, postgres.CancelRequest):
            return  # the protocol has no answer to it
    await client.send(postgres_error(refusal))


async def _reply_bolt(client: TlsClient, refusal: Refusal) -> None:
    if client.words is not None:
        return await client.send(client.words(refusal))
    version = bolt.choose_version(await client.look(bolt.parse_handshake))
    await client.send(bolt.version_reply(version))
    if version is None:
        return None
    client.unread = client.unread[bolt.HANDSHAKE_SIZE :]
    hello = await client.look(bolt.read_message)  # drivers do not listen before they have said it
    if hello.tag == bolt.HELLO and version >= bolt.LOGON_MESSAGE:
        # The JavaScript driver takes a FAILURE now for one of the protocol itself, and forgets what it says.
        client.unread = client.unread[hello.size :]
        await client.send(bolt.message(bolt.SUCCESS, {"server": bolt.AGENT, "connection_id": "podgate-refused"}))
        await client.look(bolt.read_message)
    return await client.send(bolt_failure(refusal, version))


async def _reply_http(client: TlsClient, refusal: Refusal) -> None:
    if refusal.reason is Reason.TIMEOUT and _is_unfinished(client.unread):
        return await client.send(http_error(refusal, wants_html=False, head_only=False))
    try:
        head = await client.look(httphead.parse_head)
    except Malformed as error:
        malformed = Refusal(Reason.MALFORMED, f"the request cannot be read: {error}")
        return await client.send(http_error(malformed, wants_html=False, head_only=False))
    return await client.send(http_error(refusal, wants_html=head.wants_html, head_only=head.method == "HEAD"))


async def _reply_tcp(_client: TlsClient, _refusal: Refusal) -> None:
    """Say nothing: of a raw protocol we know no words. The reset that follows is not taken for a good end."""


_REPLIES: dict[Protocol, Callable[[TlsClient, Refusal], Awaitable[None]]] = {
    Protocol.POSTGRES: _reply_postgres,
    Protocol.BOLT: _reply_bolt,
    Protocol.HTTP: _reply_http,
    Protocol.TCP: _reply_tcp,
}


def postgres_error(refusal: Refusal) -> bytes:
    """Make the ErrorResponse that says it."""
    return postgres.error_response(refusal.words.sqlstate, refusal.message, refusal.hint)


def bolt_failure(refusal: Refusal, version: bolt.Version) -> bytes:
    """Make the FAILURE that says it."""
    text = f"{refusal.message}. {refusal.hint}" if refusal.hint else refusal.message
    return bolt.failure(refusal.words.bolt_code, text, version)


def http_error(refusal: Refusal, *, wants_html: bool, head_only: bool, headers: httpreply.Headers = ()) -> bytes:
    """Make the response that says it, for a person or for a program."""
    words = refusal.words
    return httpreply.refusal(
        words.http_status, words.title, refusal.message, refusal.hint, wants_html, head_only, headers
    )


def _is_unfinished(request: bytes) -> bool:
    """Tell whether a request's head has not come in time; there is no waiting for its rest then."""
    try:
        return isinstance(httphead.parse_head(request), More)
    except Malformed:
        return False
