"""TLS towards clients: one OpenSSL context a certificate and protocol, the handshake, and talking during the opening.

A Context costs 0.2 ms and cannot be changed once used, so it is cached, and a new certificate means a new one;
connections keep the one they began with.
"""

import socket
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL, crypto

from certs.leaf import Leaf
from gateway import openssl
from gateway.errors import Abandoned, Refusal
from gateway.postgres.scram import end_point_hash
from gateway.waiting import readable, writable
from gateway.wire.verdict import More
from router.model import Protocol

RECORD = 16 * 1024  # bytes: the largest TLS record; reading less would leave decrypted bytes inside OpenSSL
LARGEST_LOOK = 64 * 1024  # bytes: no parser of an opening asks for more
SSL_MODE_RELEASE_BUFFERS = 0x10  # openssl/ssl.h: an idle connection keeps no buffers
SSL_OP_NO_RENEGOTIATION = 0x40000000  # openssl/ssl.h: TLS 1.2 clients cannot ask for new handshakes

SSL_OP_PRIORITIZE_CHACHA = 0x00200000  # openssl/ssl.h: where a client likes it best, having no AES in hardware

# AES-128 first, as the large sites have it: it is as far beyond reach as AES-256, and with SHA-256, which processors
# have in hardware, a handshake costs a tenth less. Of TLS 1.2 only what is forward secret and authenticated.
CIPHERS_13 = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
CIPHERS_12 = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    b"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)

ALPN = {
    Protocol.HTTP: (b"http/1.1",),
    Protocol.POSTGRES: (b"postgresql",),  # libpq 17 and later insists on it for direct TLS
    Protocol.BOLT: (b"http/1.1",),  # what browsers speak to the same server
    Protocol.TCP: (),
}
_ANY_ALPN = (b"postgresql", b"http/1.1")  # where no route tells: what the client offers tells how to refuse it

Parsed = TypeVar("Parsed")


@lru_cache(1024)
def _end_point(chain_pem: bytes) -> bytes | None:
    return end_point_hash(x509.load_pem_x509_certificate(chain_pem))


class Contexts:
    """OpenSSL server contexts by certificate, protocol, and whether clients are asked for a certificate."""

    def __init__(self, client_ca: str = "") -> None:
        """`client_ca`, in PEM, is the authority of client certificates; empty: none are asked for."""
        self._contexts: dict[tuple[bytes, Protocol | None, bool], SSL.Context] = {}
        self._client_ca = x509.load_pem_x509_certificate(client_ca.encode()) if client_ca else None

    def get(self, leaf: Leaf, protocol: Protocol | None, *, asks: bool = False) -> SSL.Context:
        """Give the context that presents `leaf` and selects the ALPN of `protocol` (None: not known yet)."""
        key = (leaf.chain_pem, protocol, asks)
        context = self._contexts.get(key)
        if context is None:
            context = self._contexts[key] = server_context(leaf, _ANY_ALPN if protocol is None else ALPN[protocol])
            if asks and self._client_ca is not None:
                ask_for_certificate(context, self._client_ca)
        return context

    def forget(self, leaf: Leaf) -> None:
        """Drop the contexts of a certificate that is no longer presented."""
        for protocol in (None, *Protocol):
            for asks in (False, True):
                self._contexts.pop((leaf.chain_pem, protocol, asks), None)


def ask_for_certificate(context: SSL.Context, authority: x509.Certificate) -> None:
    """Have clients asked for a certificate of `authority`. They may send none; what they send must hold, as OpenSSL
    judges it: chain, time, and being meant for clients.
    """
    store = context.get_cert_store()
    if store is None:
        raise AssertionError("a context without a store")
    store.add_cert(crypto.X509.from_cryptography(authority))
    context.add_client_ca(authority)
    context.set_verify(SSL.VERIFY_PEER)


def server_context(leaf: Leaf, alpn: tuple[bytes, ...]) -> SSL.Context:
    """Make a context: TLS 1.2 and 1.3, no session cache, no tickets (their keys could not be shared or rotated)."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    chain = x509.load_pem_x509_certificates(leaf.chain_pem)
    key = serialization.load_pem_private_key(leaf.key_pem, password=None)
    context.use_certificate(chain[0])
    for issuer in chain[1:]:
        context.add_extra_chain_cert(issuer)
    context.use_privatekey(key)  # type: ignore[arg-type]  # any private key; OpenSSL itself judges the kind
    context.set_tls13_ciphersuites(CIPHERS_13)
    context.set_cipher_list(CIPHERS_12)
    context.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(SSL_MODE_RELEASE_BUFFERS)
    if alpn:
        context.set_alpn_select_callback(lambda _connection, offered: _select(alpn, offered))
    return context


def _select(ours: tuple[bytes, ...], offered: list[bytes]) -> bytes:
    """Select in our order; where nothing fits go on without ALPN: refusing would break clients that do not insist."""
    for name in ours:
        if name in offered:
            return name
    return SSL.NO_OVERLAPPING_PROTOCOLS  # type: ignore[return-value]  # a marker, as its documentation has it


def alert(client: socket.socket, description: int) -> None:
    """Refuse before the handshake: a fatal alert in plaintext, which clients show (RFC 8446, sections 5.1 and 6)."""
    try:
        client.send(bytes((21, 3, 3, 0, 2, 2, description)))
    except OSError:
        return  # it has left: there is nobody to tell


class TlsClient:
    """A client inside TLS during its opening; `unread` holds what was looked at, for whoever takes over."""

    def __init__(self, client: socket.socket, connection: SSL.Connection) -> None:
        self.client = client
        self.connection = connection
        self.unread = b""
        self.leaf: Leaf | None = None  # the one presented
        self.is_heard = False  # it has said what it wants, and waits for an answer
        self.words: Callable[[Refusal], bytes] | None = None  # how it is told, once its first bytes are gone

    def certificate(self) -> x509.Certificate | None:
        """Give the certificate the client has sent, which OpenSSL has verified."""
        return self.connection.get_peer_certificate(as_cryptography=True)

    def binding(self) -> bytes | None:
        """Give what stands for this channel in SCRAM: `tls-server-end-point` (RFC 5929)."""
        return _end_point(self.leaf.chain_pem) if self.leaf is not None else None

    async def look(self, parse: Callable[[bytes], Parsed | More]) -> Parsed:
        """Read until `parse` has an answer about the bytes from the first on; all of them stay in `unread`.

        Raises Abandoned when the client ends first, and what `parse` raises.
        """
        waiting_for = 1
        while True:
            if len(self.unread) >= waiting_for:
                answer = parse(self.unread)
                if not isinstance(answer, More):
                    return answer
                waiting_for = answer.at_least
                if waiting_for > LARGEST_LOOK:
                    raise AssertionError(f"a parser asked for {waiting_for} bytes, limit {LARGEST_LOOK}")
            self.unread += await self.receive()

    async def send(self, data: bytes) -> None:
        """Send all of `data`. Raises Abandoned when the client is gone."""
        view = memoryview(data)
        while view:
            try:
                view = view[self.connection.send(view[:RECORD]) :]
            except SSL.WantWriteError:
                await writable(self.client)
            except SSL.WantReadError:
                await readable(self.client)
            except SSL.Error as error:
                raise Abandoned("client left before its answer was sent") from error

    async def ask(self, data: bytes) -> None:
        """Send all of `data`, and wait until something is said to it: to look at once would be in vain. Raises
        Abandoned.
        """
        await self.send(data)
        if not self.unread and not self.connection.pending():
            await readable(self.client)

    def goodbye(self) -> None:
        """Send close_notify, if there is room for it."""
        try:
            self.connection.shutdown()
        except SSL.Error:
            return  # the client has left, or does not take what it was sent: the close that follows tells it

    async def receive(self) -> bytes:
        """Receive what is there, a record at least: a parser is not made to look at each of a thousand small ones."""
        data = await self._receive_record()
        try:
            while len(data) < RECORD:
                data += self.connection.recv(RECORD)
        except SSL.Error:
            pass  # there is no more now, or an end, which the next call will meet again
        return data

    async def _receive_record(self) -> bytes:
        while True:
            try:
                return self.connection.recv(RECORD)
            except SSL.WantReadError:
                await readable(self.client)
            except SSL.WantWriteError:
                await writable(self.client)
            except SSL.Error as error:
                raise Abandoned("client left after the handshake") from error


def server_side(client: socket.socket, context: SSL.Context) -> SSL.Connection:
    """Make the server's side of a connection, before its handshake."""
    connection = SSL.Connection(context, client)
    connection.set_accept_state()
    openssl.read_record_by_record(openssl.handle_of(connection))
    return connection


async def handshake(client: socket.socket, context: SSL.Context) -> TlsClient:
    """Do the server's side of the handshake. Raises Abandoned with OpenSSL's reason when it fails."""
    connection = server_side(client, context)
    while True:
        try:
            connection.do_handshake()
        except SSL.WantReadError:
            await readable(client)
        except SSL.WantWriteError:
            await writable(client)
        except SSL.SysCallError as error:
            raise Abandoned("client left during the TLS handshake") from error
        except SSL.Error as error:
            raise Abandoned(f"TLS handshake failed: {_reason(error)}") from error
        else:
            return TlsClient(client, connection)


def _reason(error: SSL.Error) -> str:
    """Give OpenSSL's own words, such as "sslv3 alert bad certificate"."""
    queue = error.args[0] if error.args else None
    return "; ".join(entry[-1] for entry in queue) if isinstance(queue, list) and queue else "no reason given"
