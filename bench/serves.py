"""Whether a peer serves: its whole way is asked, since a listening socket alone proves nothing."""

import socket
import ssl
import struct

from bench.peers.peer import HOST, Mode
from bench.peers.podgate import session_cookie

PATIENCE = 2.0  # seconds
SSL_REQUEST = struct.pack("!II", 8, 80877103)  # PostgreSQL documentation, 55.7: SSLRequest
ASK = struct.pack("=QQ", 0, 16)  # load.h: struct ask
BOLT = bytes.fromhex("6060b017 00000404") + bytes(12)  # its handshake: only version 4.4 is proposed
COOKIE_LASTS = 60.0  # seconds


def serves(port: int, mode: Mode, direct_tls: bool) -> bool:
    """Tell whether one connection through the proxy on `port` is answered."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is our own, made a moment ago
    if mode is Mode.POSTGRES:
        context.set_alpn_protocols(["postgresql"])
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain:
            if mode is Mode.POSTGRES and not direct_tls:
                plain.sendall(SSL_REQUEST)
                if plain.recv(1) != b"S":
                    return False
            with context.wrap_socket(plain, server_hostname=HOST) as tls:
                if mode is Mode.POSTGRES:
                    return True
                if mode is Mode.BOLT:
                    tls.sendall(BOLT)
                    return len(tls.recv(4)) == 4
                tls.sendall(ASK if mode is Mode.TCP else _get())
                answer = tls.recv(16)
                return len(answer) == 16 if mode is Mode.TCP else b" 200" in answer
    except OSError:
        return False


def _get() -> bytes:
    """Ask as the load does: with the cookie that Podgate checks."""
    cookie = session_cookie(COOKIE_LASTS)
    return f"GET / HTTP/1.1\r\nHost: {HOST}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n".encode()


def listens(port: int) -> bool:
    """Tell whether somebody listens on `port`."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
    except OSError:
        return False
    return True
