"""Real peers for tests: TLS clients whose records are in the test's hand, and bare sockets; `tests.upstreams` serves.

Every socket has a deadline, so that what never comes fails the test instead of hanging it.
"""

import contextlib
import hashlib
import select
import socket
import ssl
import struct
import threading
from enum import Enum
from pathlib import Path

import trustme

from certs.leaf import Leaf

DEADLINE = 30.0  # seconds: no step of a test takes so long on a busy machine
SSL_REQUEST = bytes.fromhex("0000000804d2162f")
GSS_REQUEST = bytes.fromhex("0000000804d21630")
CHUNK = 65536


class Ending(Enum):
    """How the other side of a TLS connection ended it."""

    GOODBYE = "close_notify"
    FIN = "FIN without close_notify: may be a truncation"
    RESET = "reset"


def leaf_of(ca: trustme.CA, *hosts: str) -> Leaf:
    """Issue a certificate as the gateway takes it."""
    issued = ca.issue_cert(*hosts, key_type=trustme.KeyType.ECDSA)
    chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
    return Leaf.from_pem(chain, issued.private_key_pem.bytes())


def write_leaf(leaf: Leaf, directory: Path) -> tuple[Path, Path]:
    """Put a certificate and its key into files, as people bring them."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    key.touch(mode=0o600)
    key.write_bytes(leaf.key_pem)
    certificate.write_bytes(leaf.chain_pem)
    return certificate, key


def trusting(
    ca: trustme.CA, version: ssl.TLSVersion | None = None, alpn: tuple[str, ...] = (), *, check: bool = True
) -> ssl.SSLContext:
    """Make a client's context that trusts `ca` alone and speaks `version` only, if one is given."""
    context = ssl.create_default_context(cadata=ca.cert_pem.bytes().decode())  # the system's take 40 ms to load
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if not check:
        context.check_hostname = False
    return context


class TlsPeer:
    """A TLS client over a blocking socket. What it would send can be taken as bytes and sent at any moment."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext, server_name: str | None) -> None:
        self.socket = connection
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self._lock = threading.Lock()  # one thread may send while another receives
        self._unread = bytearray()
        self._ending: Ending | None = None
        connection.settimeout(DEADLINE)

    def hello(self) -> bytes:
        """Give the ClientHello."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self._outgoing.read()

    def handshake(self) -> None:
        """Finish the handshake."""
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.socket.sendall(self._outgoing.read())
                self._feed(self.socket.recv(CHUNK))
            except ssl.SSLError:
                with contextlib.suppress(OSError):
                    self.socket.sendall(self._outgoing.read())
                raise
        self.socket.sendall(self._outgoing.read())

    def records(self, data: bytes) -> bytes:
        """Give the records that carry `data`."""
        view = memoryview(data)
        with self._lock:
            while view:
                view = view[self.tls.write(view) :]
            return self._outgoing.read()

    def goodbye(self) -> bytes:
        """Give the close_notify."""
        with self._lock:
            self._decrypt()  # OpenSSL takes what is unread when it says goodbye for an error
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.unwrap()
            return self._outgoing.read()

    def send(self, data: bytes) -> None:
        for start in range(0, len(data), CHUNK):
            self.socket.sendall(self.records(data[start : start + CHUNK]))

    def end(self) -> None:
        """Half-close as TLS has it: close_notify, and go on reading."""
        self.socket.sendall(self.goodbye())

    def receive(self, size: int) -> bytes:
        """Receive exactly `size` bytes."""
        parts = bytearray()
        while len(parts) < size:
            part = self._receive_some(size - len(parts))
            if isinstance(part, Ending):
                raise EOFError(f"{part} after {len(parts)} of {size} bytes")
            parts += part
        return bytes(parts)

    def receive_to_end(self) -> tuple[bytes, Ending]:
        """Receive all there is, and tell how it ended."""
        parts = bytearray()
        while not isinstance(part := self._receive_some(CHUNK), Ending):
            parts += part
        return bytes(parts), part

    def receive_digest(self, size: int) -> str:
        """Receive `size` bytes and give their SHA-256."""
        digest = hashlib.sha256()
        while size:
            part = self.receive(min(size, CHUNK))
            digest.update(part)
            size -= len(part)
        return digest.hexdigest()

    def reset(self) -> None:
        reset(self.socket)

    def close(self) -> None:
        self.socket.close()

    def _receive_some(self, size: int) -> bytes | Ending:
        with self._lock:
            self._decrypt()
        while not self._unread:
            if self._ending is not None:
                return self._ending
            self._take_in()
        part = bytes(self._unread[:size])
        del self._unread[:size]
        return part

    def _take_in(self) -> None:
        try:
            data = self.socket.recv(CHUNK)
        except ConnectionResetError:
            self._ending = Ending.RESET
            return
        with self._lock:
            self._feed(data)
            self._decrypt()

    def _feed(self, data: bytes) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _decrypt(self) -> None:
        try:
            while self._ending is None:
                data = self.tls.read(CHUNK)
                self._unread += data
                if not data:
                    self._ending = Ending.GOODBYE
        except ssl.SSLWantReadError:
            return
        except ssl.SSLZeroReturnError:
            self._ending = Ending.GOODBYE
        except ssl.SSLEOFError:
            self._ending = Ending.FIN


def tls_to(port: int, context: ssl.SSLContext, server_name: str | None, *, before: tuple[bytes, ...] = ()) -> TlsPeer:
    """Connect to a port of loopback and shake hands; of the requests in `before` each is answered by one byte."""
    connection = socket.create_connection(("127.0.0.1", port), DEADLINE)
    try:
        for request in before:
            connection.sendall(request)
            assert connection.recv(1) in (b"S", b"N")
        peer = TlsPeer(connection, context, server_name)
        peer.handshake()
    except BaseException:
        connection.close()
        raise
    return peer


def plain_to(port: int) -> socket.socket:
    """Connect to a port of loopback without TLS."""
    return socket.create_connection(("127.0.0.1", port), DEADLINE)


def reset(connection: socket.socket) -> None:
    """Close with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def read_to_end(connection: socket.socket) -> tuple[bytes, bool]:
    """Read all there is; True when it ended by FIN, False when by a reset."""
    parts = bytearray()
    while True:
        try:
            part = connection.recv(CHUNK)
        except ConnectionResetError:
            return bytes(parts), False
        if not part:
            return bytes(parts), True
        parts += part


def read_exactly(connection: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise EOFError(f"end after {len(parts)} of {size} bytes")
        parts += part
    return bytes(parts)


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Make two ends of one TCP connection over loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname(), DEADLINE)
        other, _ = listener.accept()
    for end in (one, other):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.settimeout(DEADLINE)
    return one, other


def unix_pair() -> tuple[socket.socket, socket.socket]:
    one, other = socket.socketpair()
    one.settimeout(DEADLINE)
    other.settimeout(DEADLINE)
    return one, other


def fill(connection: socket.socket, quiet: float = 0.3) -> int:
    """Send until nobody takes any more for `quiet` seconds, a measuring window; give the bytes sent."""
    timeout = connection.gettimeout()
    connection.setblocking(False)
    sent, full = 0, False
    while True:
        try:
            sent += connection.send(pattern(CHUNK, sent))
            full = False
        except BlockingIOError:
            if full:
                break
            # Not writable means that a third is not free: what that leaves is filled, too.
            full = not select.select((), (connection,), (), quiet)[1]
    connection.settimeout(timeout)
    return sent


def pattern(size: int, start: int = 0) -> bytes:
    """Give bytes that tell where they belong: those from `start` on of one endless sequence."""
    shift = start % 251
    return (_SEQUENCE * (size // len(_SEQUENCE) + 2))[shift : shift + size]


_SEQUENCE = bytes(range(251)) * 1024
