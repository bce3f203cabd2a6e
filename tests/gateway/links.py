"""Links for tests of the relay: a real TLS client, a real relay, and the upstream's end of the connection in hand."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import trustme
from OpenSSL import SSL

from certs.leaf import Leaf
from gateway.link import Limits, Link
from gateway.loop import Loop
from gateway.openssl import handle_of
from gateway.relay import Relay
from gateway.tls import server_context, server_side
from gateway.web.visit import Visit
from router.access import AccessLevel
from router.model import Protocol, Route, TcpAddress
from tests.peers import DEADLINE, TlsPeer, tcp_pair, trusting, unix_pair

ROUTE = Route("echo.pods.test", Protocol.TCP, (TcpAddress("127.0.0.1", 1),), AccessLevel.PUBLIC)
VISIT = Visit(ROUTE.host, "192.0.2.1", "test")
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


@dataclass
class Ends:
    """The two ends a test holds of one link."""

    client: TlsPeer
    upstream: socket.socket
    link: Link

    def ping(self, text: bytes = b"ping") -> None:
        """Send up and back down by hand; the relay has then been through its loop."""
        self.client.send(text)
        assert self.upstream.recv(len(text)) == text
        self.upstream.sendall(text)
        assert self.client.receive(len(text)) == text

    def close(self) -> None:
        self.client.close()
        self.upstream.close()


@dataclass
class Rig:
    """A running relay, and what it takes to make links for it."""

    loop: Loop
    relay: Relay
    thread: threading.Thread
    ca: trustme.CA
    context: SSL.Context
    made: list[Ends] = field(default_factory=list, repr=False)

    def prepare(
        self,
        version: ssl.TLSVersion | None = None,
        *,
        unix: bool = False,
        first: bytes = b"",
        kind: type[Link] = Link,
        keylog: Path | None = None,
    ) -> Ends:
        """Make a link with its handshake done; the relay does not have it yet. The client may log its keys."""
        ours, theirs = tcp_pair()
        context = trusting(self.ca, version)
        if keylog is not None:
            context.keylog_filename = str(keylog)
        client = TlsPeer(theirs, context, ROUTE.host)
        connection = server_side(ours, self.context)
        ours.setblocking(True)
        accepting = threading.Thread(target=connection.do_handshake)
        accepting.start()
        client.handshake()
        accepting.join(DEADLINE)
        near, far = unix_pair() if unix else tcp_pair()
        ours.setblocking(False)
        near.setblocking(False)
        ends = Ends(client, far, kind(ours, handle_of(connection), near, ROUTE, VISIT, first))
        self.made.append(ends)
        return ends

    def link(self, version: ssl.TLSVersion | None = None, *, unix: bool = False, first: bytes = b"") -> Ends:
        """Make a link and hand it to the relay."""
        ends = self.prepare(version, unix=unix, first=first)
        self.loop.call(self.relay.add, ends.link)
        return ends

    def settle(self, times: int = 3) -> None:
        """Let the relay go through its loop: what had been there before is dealt with when this returns."""
        neighbour = self.link()
        for _ in range(times):
            neighbour.ping()
        neighbour.close()

    def cpu(self, window: float) -> float:
        """Measure the seconds of processor time the relay's thread takes in `window` seconds."""
        assert self.thread.ident is not None
        clock = time.pthread_getcpuclockid(self.thread.ident)
        before = time.clock_gettime(clock)
        threading.Event().wait(window)  # the measuring window
        return time.clock_gettime(clock) - before


@contextlib.contextmanager
def relaying(ca: trustme.CA, leaf: Leaf, limits: Limits | None = None) -> Iterator[Rig]:
    """Run a relay; at the end it must have survived, and closed every descriptor."""
    loop = Loop()
    relay = Relay(loop, limits)
    rig = Rig(loop, relay, loop.start(), ca, server_context(leaf, ()))
    try:
        yield rig
        assert rig.thread.is_alive()
    finally:
        loop.stop(relay.close)
        rig.thread.join(DEADLINE)
        for ends in rig.made:
            ends.close()


def descriptors() -> int:
    """Count the open descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))
