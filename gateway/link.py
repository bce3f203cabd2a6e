"""Link: one established connection, TLS to the client and plain bytes to the upstream, and what is known of it."""

import socket
from enum import Enum

from OpenSSL import SSL

from gateway.openssl import handle_of
from router.model import Route


class Flow(Enum):
    """How far one direction of a link is."""

    OPEN = "open"
    ENDING = "ending"  # its source has ended; what was read, or the end itself, is still on its way
    ENDED = "ended"  # delivered and the end passed on, or nobody takes it any more


class Link:
    """One established connection. The opening makes it, the relay owns it from then on.

    `up` and `down` hold what was read from one side and not yet taken by the other: one batch at the most.
    """

    __slots__ = (
        "active",
        "client",
        "client_address",
        "client_fd",
        "client_lost",
        "client_mask",
        "client_open",
        "closed",
        "down",
        "down_flow",
        "due",
        "ends_at",
        "handle",
        "opened",
        "received",
        "route",
        "sent",
        "tls",
        "up",
        "up_flow",
        "upstream",
        "upstream_fd",
        "upstream_lost",
        "upstream_mask",
    )

    def __init__(
        self,
        client: socket.socket,
        tls: SSL.Connection,
        upstream: socket.socket,
        route: Route,
        client_address: str,
        first: bytes = b"",
    ) -> None:
        """Take over an open client and an open upstream; `first` was read from the client during the opening."""
        self.client = client
        self.tls = tls
        self.handle = handle_of(tls)
        self.upstream = upstream
        self.client_fd = client.fileno()
        self.upstream_fd = upstream.fileno()
        self.route = route
        self.client_address = client_address
        self.up = first
        self.down = b""
        self.up_flow = self.down_flow = Flow.OPEN
        self.client_open = True  # more may come from the client
        self.client_lost = False  # the client is gone without goodbye: nothing can be sent to it any more
        self.upstream_lost = False  # the upstream failed: what it sent may be half of it
        self.client_mask = self.upstream_mask = 0  # what epoll watches; 0: not registered
        self.received = len(first)  # bytes from the client, decrypted
        self.sent = 0  # bytes taken by the client's TLS
        self.opened = self.active = 0.0  # of the relay's clock
        self.due = 0  # its place on the wheel
        self.ends_at = 0.0  # closed then, whatever happens; 0: no such time
        self.closed = ""  # why, once it is
