"""A Postgres server of the test's own, in a thread: it lets clients of any kind log in by our SCRAM, and remembers what
they sent.
"""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from scramp import ScramMechanism  # type: ignore[import-untyped]

from certs.leaf import Leaf
from gateway.postgres.scram import Denied, ScramServer, end_point_hash
from gateway.wire.clienthello import parse as parse_hello
from gateway.wire.pgmessage import (
    LARGEST_SASL,
    Auth,
    Message,
    authentication,
    message,
    offer,
    parse_message,
    parse_sasl_initial,
)
from gateway.wire.postgres import SSL_REQUEST_SIZE, Startup, error_response, parse_startup
from gateway.wire.verdict import More
from router.credentials import Verifier
from tests.peers import DEADLINE, GSS_REQUEST, SSL_REQUEST, write_leaf

USER, DATABASE, TOKEN = "alice", "shop", "pgt-recorded"
SALT, ITERATIONS, NONCE = bytes(range(16)), 4096, "nonce+of/the+recording=="
READY = message(b"Z", b"I")

_Read = TypeVar("_Read")


@cache
def verifier(token: str, salt: bytes = SALT, iterations: int = ITERATIONS) -> Verifier:
    """Make what tells the bearer of a token."""
    made = ScramMechanism("SCRAM-SHA-256").make_auth_info(token, iteration_count=iterations, salt=salt)
    return Verifier(iterations, salt, made[1], made[2])


@dataclass
class Login:
    """What one client sent: `before` TLS, ClientHello included, and `inside` it, message by message."""

    before: list[bytes] = field(default_factory=list)
    inside: list[bytes] = field(default_factory=list)
    mechanism: str = ""
    token: str = ""  # the id of the one that was proved
    denied: str = ""


class Logins:
    """Lets every client in that knows one of `tokens`; of each there is a Login when it has gone."""

    def __init__(self, leaf: Leaf, directory: Path, tokens: Sequence[str] = (TOKEN,), *, binds: bool = True) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.logins: list[Login] = []
        self.binding = end_point_hash(x509.load_pem_x509_certificate(leaf.chain_pem)) if binds else None
        self._verifiers = [(token, verifier(token)) for token in tokens]
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*write_leaf(leaf, directory))
        self._context.set_alpn_protocols(["postgresql"])

    def serve(self) -> None:
        """Serve one client after the other, until the listener is shut down."""
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                connection.settimeout(DEADLINE)
                login = Login()
                with connection, suppress(ConnectionError, ssl.SSLError, EOFError):
                    self._secure(connection, login)
                self.logins.append(login)

    def _secure(self, connection: socket.socket, login: Login) -> None:
        while connection.recv(1, socket.MSG_PEEK) == b"\0":
            login.before.append(connection.recv(SSL_REQUEST_SIZE, socket.MSG_WAITALL))
            if login.before[-1] not in (GSS_REQUEST, SSL_REQUEST):
                return
            connection.sendall(b"N" if login.before[-1] == GSS_REQUEST else b"S")
        login.before.append(_hello(connection))
        with self._context.wrap_socket(connection, server_side=True) as tls:
            self._log_in(tls, login)
            while (data := tls.recv(4096)) and data[:1] != b"X":  # Terminate
                tls.sendall(error_response("0A000", "nothing is served here", severity="ERROR") + READY)

    def _log_in(self, tls: ssl.SSLSocket, login: Login) -> None:
        startup = _read(tls, parse_startup, login)
        assert isinstance(startup, Startup)
        server = ScramServer(self._verifiers, SALT, ITERATIONS, self.binding, NONCE)
        tls.sendall(offer(server.mechanisms))
        try:
            initial = parse_sasl_initial(_read(tls, _message, login).body)
            login.mechanism = initial.mechanism
            tls.sendall(authentication(Auth.SASL_CONTINUE, server.first(initial.mechanism, initial.data)))
            login.token, last = server.final(_read(tls, _message, login).body)
        except Denied as denied:
            login.denied = str(denied)
            return tls.sendall(error_response(denied.sqlstate, "denied"))
        told = b"".join(message(b"S", pair) for pair in (b"server_version\x0018.6\0", b"client_encoding\0UTF8\0"))
        tls.sendall(authentication(Auth.SASL_FINAL, last) + authentication(Auth.OK) + told + READY)
        return None


@contextmanager
def serving(leaf: Leaf, directory: Path, tokens: Sequence[str] = (TOKEN,), *, binds: bool = True) -> Iterator[Logins]:
    """Serve while the block runs; after it, all logins are there."""
    logins = Logins(leaf, directory, tokens, binds=binds)
    thread = threading.Thread(target=logins.serve)
    thread.start()
    try:
        yield logins
    finally:
        logins.listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        logins.listener.close()


def _message(data: bytes) -> Message | More:
    return parse_message(data, LARGEST_SASL)


def _read(tls: ssl.SSLSocket, parse: Callable[[bytes], _Read | More], login: Login) -> _Read:
    data = b""
    while isinstance(found := parse(data), More):
        piece = tls.recv(found.at_least - len(data))
        if not piece:
            raise EOFError
        data += piece
    login.inside.append(data)
    return found


def _hello(connection: socket.socket) -> bytes:
    """Look at the ClientHello without taking it."""
    wanted = 5
    while isinstance(found := parse_hello(data := connection.recv(wanted, socket.MSG_PEEK | socket.MSG_WAITALL)), More):
        wanted = found.at_least
    return data
