"""Link: one established connection, TLS to the client and plain bytes to the upstream, and what is known of it.

Here is what is true of a link by itself: its state, what follows from it, and what is done to one of its sockets. When
that is done is for `gateway.relay`, whose theory of operation names what is here.
"""

import contextlib
import logging
import math
import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import NamedTuple

from gateway import openssl
from gateway.openssl import Why
from gateway.proof import Proof
from gateway.tls import TlsClient
from gateway.transform import Transform
from gateway.waiting import READ, WRITE
from gateway.web.exchange import Exchange
from gateway.web.visit import Visit
from router.access import AccessLevel
from router.model import Route

log = logging.getLogger("podgate.link")

RECORD = 16 * 1024  # bytes: the largest TLS record (RFC 8446, section 5.1)
MORE = 4096  # bytes: a record as large as this is likely not the last of what the client is sending
OWN_KEEP_ALIVE = 5.0  # seconds between two requests to Podgate itself, whose connections all people share
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 seconds: close with RST (socket(7))


class Flow(Enum):
    """How far one direction of a link is."""

    OPEN = "open"
    ENDING = "ending"  # its source has ended; what was read, or the end itself, is still on its way
    ENDED = "ended"  # delivered and the end passed on, or nobody takes it any more


class Shown(NamedTuple):
    """What let somebody in, and the level it must go on holding for what they were given; None: nothing, and none."""

    proof: Proof | None = None
    least: AccessLevel | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a link may be silent, in seconds; each is kept to within half of the least of them."""

    idle: float = 24 * 3600.0  # both directions open; dead peers are found earlier, by TCP keep-alive
    linger: float = 60.0  # after one direction has ended
    stall: float = 600.0  # one side does not take what the other sent
    keep_alive: float = 75.0  # between two HTTP requests
    request_head: float = 15.0  # from the first to the last byte of a request's head, however it comes


class Link:
    """One established connection. The opening makes it, the relay owns it from then on.

    `up` and `down` hold what was read from one side and not yet taken by the other: one batch at the most.
    """

    __slots__ = (
        "active",
        "client",
        "client_fd",
        "client_lost",
        "client_mask",
        "client_open",
        "closed",
        "down",
        "down_flow",
        "due",
        "earlier",
        "ended",
        "ends_at",
        "handle",
        "is_fresh",
        "is_resting",
        "least",
        "opened",
        "proof",
        "received",
        "route",
        "sent",
        "streams_since",
        "tls",
        "transform",
        "up",
        "up_flow",
        "upstream",
        "upstream_ended",
        "upstream_fd",
        "upstream_lost",
        "upstream_mask",
        "visit",
        "web",
    )

    def __init__(
        self,
        client: socket.socket,
        handle: openssl.Handle,
        upstream: socket.socket,
        route: Route,
        visit: Visit,
        first: bytes = b"",
        *,
        proof: Proof | None = None,
        least: AccessLevel | None = None,
        web: Exchange | None = None,
        tls: TlsClient | None = None,
        transform: Transform | None = None,
    ) -> None:
        """Take over an open client and an open upstream; `first` is what the upstream is to get first.

        `proof` is what let the client in, and `least` the level it must go on holding for what it was given.

        Of pyOpenSSL's connection only the handle is kept, since the rest is a kilobyte for each idle link; but an HTTP
        link may go back to its opening, and so keeps `tls`.
        """
        self.client = client
        self.handle = handle
        self.upstream = upstream
        self.client_fd = client.fileno()
        self.upstream_fd = upstream.fileno()
        self.route = route
        self.visit = visit
        self.proof = proof
        self.least = least
        self.earlier: tuple[Shown, ...] = ()  # what must go on holding, too: some of what was given may come of it
        self.web = web  # of HTTP alone
        self.transform: Transform | None = web if web is not None else transform  # what its bytes pass through
        self.tls = tls
        self.up = first
        self.down = b""
        self.up_flow = self.down_flow = Flow.OPEN
        self.client_open = True  # more may come from the client
        self.is_fresh = True  # not read from yet: OpenSSL may hold bytes or an end that no epoll will report
        self.client_lost = False  # the client is gone without goodbye: nothing can be sent to it any more
        self.upstream_ended = False  # it sends no more, by its own will or because it failed
        self.upstream_lost = False  # the upstream failed: what it sent may be half of it
        self.client_mask = self.upstream_mask = 0  # what epoll watches; 0: not registered
        self.received = len(first)  # bytes from the client, decrypted
        self.sent = 0  # bytes taken by the client's TLS
        self.opened = self.active = 0.0  # of the relay's clock
        self.streams_since = 0.0  # the same, of an answer that comes in large pieces; 0: of none
        self.is_resting = False  # its upstream is not looked at for a moment (`gateway.resting`)
        self.due = 0  # its place on the wheel
        self.ends_at = 0.0  # closed then, whatever happens; 0: no such time
        self.closed = ""  # why, once it is
        self.ended: Callable[[], object] | None = None  # called once it is

    def interests(self) -> tuple[int, int]:
        """Tell what epoll is to look for, at the client and at the upstream: reading where there is room for it to go,
        writing where something is pending.
        """
        web = self.web
        client = READ if self.client_open and not self.up and (web is None or web.wants_more) else 0
        if self.down_flow is Flow.ENDING or self.down:
            client |= WRITE
        if self.down_flow is Flow.OPEN and not self.down and not self.is_resting and (web is None or not web.leaving):
            upstream = READ
        else:
            upstream = 0
        if self.up:
            upstream |= WRITE
        return client, upstream

    def silence(self, limits: Limits) -> tuple[float, str]:
        """Tell for how many seconds it may be silent as it is now, and what it is if it was longer."""
        if self.up or self.down:
            return limits.stall, "stalled"
        if self.up_flow is not Flow.OPEN or self.down_flow is not Flow.OPEN:
            return limits.linger, "silent after one side ended"
        if self.web is not None and self.web.is_idle:
            return min(limits.keep_alive, OWN_KEEP_ALIVE if self.route.own else math.inf), "idle between requests"
        if self.web is not None and self.web.route.web.idle_timeout:
            return self.web.route.web.idle_timeout, "silent while a request was under way"
        return limits.idle, "idle"

    def read_batch(self, pointer: openssl.Pointer, got: int, room: int) -> tuple[int, Why | None]:
        """Go on reading from the client, into `room` bytes, after a first read gave `got`.

        Gives the bytes read in all, and why there are not more.
        """
        size = max(got, 0)
        while got >= MORE and size <= room - RECORD:
            got = openssl.read(self.handle, pointer + size, RECORD)
            if got > 0:
                size += got
        return size, openssl.why(self.handle, got) if got <= 0 else None

    def write_batch(self, pointer: openssl.Pointer, size: int) -> tuple[int, Why | None]:
        """Write several records to the client, corked, so that they leave in full segments.

        Gives the bytes written, and why they are not all.
        """
        sent, why = 0, None
        self.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        while sent < size:
            done = openssl.write(self.handle, pointer + sent, min(RECORD, size - sent))
            if done <= 0:
                why = openssl.why(self.handle, done)
                break
            sent += done
        self.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        return sent, why

    def end_client(self) -> bool:
        """Tell the client that no more comes: close_notify if the upstream's end was a clean one, and FIN.

        Gives False where there is no room to say so yet.
        """
        if not self.upstream_lost:
            said = openssl.shutdown(self.handle)
            if said < 0 and openssl.why(self.handle, said) is Why.WANT_WRITE:
                return False
        if self.client_open or self.up_flow is not Flow.ENDED:  # otherwise it is closed next
            with contextlib.suppress(OSError):  # it has gone already; reading from it tells how
                self.client.shutdown(socket.SHUT_WR)
        return True

    def end_upstream(self) -> bool:
        """Tell the upstream that no more comes: FIN after a goodbye, otherwise RST once its kernel has all bytes.

        Gives False where that is not so yet.
        """
        if self.client_lost:
            if int.from_bytes(ioctl(self.upstream, TIOCOUTQ, bytes(4)), sys.byteorder):
                return False
            self.close_upstream_by_reset()
            return True
        with contextlib.suppress(OSError):  # it has gone already; reading from it will tell
            self.upstream.shutdown(socket.SHUT_WR)
        return True

    def log_end(self, now: float) -> None:
        """Log what has come of it."""
        log.info(
            "%s %s %s: %s after %.3f s, %d bytes up, %d bytes down",
            self.visit.client, self.route.protocol, self.route.host, self.closed,
            now - self.opened, self.received, self.sent,
        )  # fmt: skip

    def close_upstream_by_reset(self) -> None:
        """Make the coming close a reset; unix sockets know none."""
        if self.upstream.family != socket.AF_UNIX:
            self.upstream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
