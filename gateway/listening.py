"""Sockets that a supervisor binds and holds for its workers: one per worker and address, by SO_REUSEPORT.

The kernel spreads connections over them. Because the supervisor holds them, a worker that dies takes no queued
connection with it: its successor inherits the socket with its queue.
"""

import socket
import time

from gateway.tuning import tune

BACKLOG = 4096  # connections queued per socket; the kernel's net.core.somaxconn may be lower
BIND_PATIENCE = 3.0  # seconds for a predecessor that is going


SPARE = 200  # descriptors kept for what is not a connection


class CannotListen(Exception):
    """An address cannot be had; the text says why and what to do."""


def most_links(descriptors: int) -> int:
    """Give how many links a process may hold that may have so many descriptors. Raises CannotListen if none."""
    most = (descriptors - SPARE) // 2
    if most < 1:
        raise CannotListen(
            f"with a limit of {descriptors} open files, of which {SPARE} are kept for other things, no connection "
            "could be taken; raise it: ulimit -n 20000"
        )
    return most


def parse_listen(text: str) -> tuple[str, int]:
    """Read `HOST:PORT`, `[v6]:PORT` or `:PORT`. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r}: expected HOST:PORT, such as 127.0.0.1:8443 or [::]:443")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    return host or "0.0.0.0", int(port)  # noqa: S104  # asked for by leaving the host out


def listen(host: str, port: int, count: int) -> list[socket.socket]:
    """Bind `count` sockets to one address and listen on them; port 0 means any one. Raises CannotListen."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    except OSError as error:
        raise CannotListen(f"cannot listen on {host}: {error.strerror}; use an address of this machine") from error
    try:
        _check_free(family, host, port)
        sockets: list[socket.socket] = []
        for _ in range(count):
            bound = _bind(family, host, port, share=True)
            port = bound.getsockname()[1]
            sockets.append(bound)
        for bound in sockets:
            bound.listen(BACKLOG)
    except PermissionError as error:
        hint = "run as root, or choose a port from 1024 on"
        raise CannotListen(f"cannot listen on {host}:{port}: {error.strerror}; {hint}") from error
    except OSError as error:
        hint = "stop what holds it (ss -ltnp shows it), or choose another with --listen"
        raise CannotListen(f"cannot listen on {host}:{port}: {error.strerror}; {hint}") from error
    return sockets


def _check_free(family: int, host: str, port: int) -> None:
    """SO_REUSEPORT would let us share a port with another gateway of ours unnoticed: bind once without it first."""
    deadline = time.monotonic() + BIND_PATIENCE
    while True:
        try:
            probe = _bind(family, host, port, share=False)
            try:
                probe.listen(1)
            finally:
                probe.close()
            return
        except PermissionError:
            raise
        except OSError:
            if port == 0 or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _bind(family: int, host: str, port: int, *, share: bool) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.setblocking(False)
        tune(bound)  # accepted connections inherit it
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
