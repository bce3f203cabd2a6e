"""Dialling a route's upstreams."""

import contextlib
import errno
import ipaddress
import os
import secrets
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import NamedTuple

from gateway.errors import Reason, Refusal
from gateway.tuning import tune
from gateway.waiting import TooSlow, in_thread, pause, time_limit, writable
from router.model import Address, Route, TcpAddress


class Dialled(NamedTuple):
    """An open connection, and to which of the upstreams."""

    socket: socket.socket
    address: Address


class Ahead:
    """A connection begun before anybody needs it: while the client shakes hands, a database makes a session ready."""

    def __init__(self) -> None:
        self._begun: Dialled | None = None

    def begin(self, route: Route) -> None:
        """Begin to connect to one of the upstreams. What cannot be begun at once is left for `dial`."""
        for address in _shuffled(route.upstreams)[:1]:
            with contextlib.suppress(OSError):
                begun = _begin_at_once(address)
                self._begun = Dialled(begun, address) if begun is not None else None

    def take(self, route: Route) -> Dialled | None:
        """Give what was begun, if the route still leads there; it may not be connected yet."""
        begun, self._begun = self._begun, None
        if begun is not None and begun.address not in route.upstreams:
            begun.socket.close()
            return None
        return begun

    def close(self) -> None:
        """Close what nobody has taken."""
        if self._begun is not None:
            self._begun.socket.close()


async def dial(route: Route, connect_timeout: float, ahead: Ahead | None = None) -> Dialled:
    """Connect to one of the upstreams, from a random one on, each given `connect_timeout` seconds; the one begun
    `ahead` comes first. Raises Refusal.
    """
    failures: list[str] = []
    begun = ahead.take(route) if ahead is not None else None
    if begun is not None:
        try:
            with time_limit(connect_timeout), closed_on_error(begun.socket):
                await _connected(begun.socket)
                return begun
        except (TooSlow, OSError):
            pass  # the same address is tried again below, and what comes of that is told
    for address in _shuffled(route.upstreams):
        try:
            with time_limit(connect_timeout):
                return Dialled(await connect(address), address)
        except TooSlow:
            failures.append(f"{address}: no answer in {connect_timeout:g} s")
        except OSError as error:
            failures.append(f"{address}: {error.strerror or error}")
    for_log = "; ".join(failures) or "route without upstreams"
    if route.own:
        raise Refusal(
            Reason.UNREACHABLE,
            f"Podgate's controller cannot be reached through this gateway, and {route.host} is on it",
            "Try again in a few seconds; a gateway on another machine than the controller never leads there: "
            "have this name lead to the one beside it.",
            for_log=for_log,
        )
    raise Refusal(
        Reason.UNREACHABLE,
        f"the pod behind {route.host} does not take connections at the moment",
        "Try again in a few seconds; if it stays so, restart the pod (podgate pod restart) and look at its logs.",
        for_log=for_log,
    )


@contextmanager
def closed_on_error(upstream: socket.socket) -> Iterator[None]:
    """Close an upstream that nobody will use."""
    try:
        yield
    except BaseException:
        upstream.close()
        raise


@contextmanager
def real_socket(path: str) -> Iterator[str]:
    """Give a name to connect to that is the very socket at `path`, never what a link there leads to. Raises OSError.

    A pod owns the directory of its socket: a link in its place would make the gateway, often root, connect anywhere.
    """
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise OSError(errno.ENOTSOCK, "not a socket, but a link or another file")
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _shuffled(addresses: tuple[Address, ...]) -> tuple[Address, ...]:
    """Start anywhere: balance without shared state."""
    start = secrets.randbelow(len(addresses)) if len(addresses) > 1 else 0
    return addresses[start:] + addresses[:start]


async def connect(address: Address) -> socket.socket:
    """Open a non-blocking connection. Raises OSError."""
    if not isinstance(address, TcpAddress):
        with real_socket(address.path) as place:
            return await _connect_socket(socket.AF_UNIX, place)
    failure: OSError | None = None
    for family, resolved in await _resolve(address):
        try:
            return await _connect_socket(family, resolved)
        except OSError as error:
            failure = error
    raise failure if failure is not None else OSError(f"{address.host} has no address")


async def _resolve(address: TcpAddress) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
    family = _family(address.host)
    if family is None:
        found = await in_thread(partial(socket.getaddrinfo, address.host, address.port, type=socket.SOCK_STREAM))
        return [(family, (str(place[0]), int(place[1]))) for family, _type, _proto, _name, place in found]
    return [(family, (address.host, address.port))]


@lru_cache(4096)
def _family(host: str) -> socket.AddressFamily | None:
    """Tell of which family an address is; None: it is a name."""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return None
    return socket.AF_INET if version == 4 else socket.AF_INET6


async def _connect_socket(family: socket.AddressFamily, place: str | tuple[str, int]) -> socket.socket:
    upstream, connected = _begin(family, place)
    if not connected:
        with closed_on_error(upstream):
            if family == socket.AF_UNIX:  # EAGAIN: its backlog is full, and no descriptor event tells when it is not
                await _connect_when_room(upstream, str(place))
            else:
                await _connected(upstream)
    return upstream


def _begin(family: socket.AddressFamily, place: str | tuple[str, int]) -> tuple[socket.socket, bool]:
    """Begin to connect; tell whether that was all. Raises OSError."""
    upstream = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        if family != socket.AF_UNIX:
            tune(upstream)
        upstream.connect(place)
    except BlockingIOError:
        return upstream, False
    except BaseException:
        upstream.close()
        raise
    return upstream, True


def _begin_at_once(address: Address) -> socket.socket | None:
    """Begin to connect, unless something would have to be waited for before. Raises OSError."""
    if isinstance(address, TcpAddress):
        family = _family(address.host)
        return _begin(family, (address.host, address.port))[0] if family is not None else None
    with real_socket(address.path) as place:
        upstream, connected = _begin(socket.AF_UNIX, place)
    if connected:
        return upstream
    upstream.close()
    return None


async def _connected(upstream: socket.socket) -> None:
    """Wait until a connection that was begun is there. Raises OSError."""
    try:
        peer = upstream.getpeername()
    except OSError:  # not yet, or never
        await writable(upstream)
        error = upstream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error)) from None
        peer = upstream.getpeername()
    if peer == upstream.getsockname() and upstream.family != socket.AF_UNIX:
        # A port nobody listens on, drawn as our own (TCP simultaneous open).
        raise OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))


async def _connect_when_room(upstream: socket.socket, path: str) -> None:
    """Retry a unix connect until the server has accepted some of its queue; the caller's deadline bounds it."""
    seconds = 0.001
    while True:
        await pause(seconds)
        try:
            return upstream.connect(path)
        except BlockingIOError:
            seconds = min(seconds * 2, 0.05)
