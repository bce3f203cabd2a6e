"""How the directions of a link end, and the link itself.

Theory of operation. A direction ends in three steps (`Flow`): its source ends, what was read is delivered, the end is
passed on as the other side knows it: close_notify and FIN to a client, FIN to an upstream. A link closes when both
directions ended. A client that vanishes (a bare FIN may be a truncation, RFC 8446 section 6.1) has what it sent
delivered, and then its upstream is reset, so that the server does not take half a message for a whole one. An upstream
that fails has what it sent delivered, and then the client's TCP ends without close_notify, for the same reason. Where
nobody takes what a client still sends, it is read and dropped for a while, since closing over unread bytes would send a
reset that overtakes what the client has not read yet.
"""

from functools import partial
from typing import TYPE_CHECKING

from gateway.link import Flow, Link
from gateway.loop import Loop

if TYPE_CHECKING:
    from gateway.relay import Relay

SOON = 0.05  # seconds: a kernel's word that it has what was sent may take 40 ms (tcp(7): delayed acknowledgements)
OPEN, ENDING, ENDED = Flow.OPEN, Flow.ENDING, Flow.ENDED


class Ending:
    """Ends the links of a relay."""

    def __init__(self, relay: "Relay", loop: Loop, links: set[Link]) -> None:
        """`links` are the relay's own; those that end are taken out."""
        self._relay = relay
        self._loop = loop
        self._links = links

    # ---- one direction

    def client_ended(self, link: Link, *, clean: bool) -> None:
        """Take note that no more comes from the client; not `clean`: it is gone without goodbye."""
        link.client_open = False
        if not clean:
            link.client_lost = True
            link.down, link.down_flow = b"", ENDED
        if link.up_flow is OPEN:
            link.up_flow = ENDING
            if not link.up:
                self.finish_up(link)
        self._relay.watch(link)

    def finish_up(self, link: Link, *, again: bool = False) -> None:
        """Pass the client's end on; as long as that cannot be done it is tried again."""
        if link.end_upstream():
            link.up_flow = ENDED
        elif again:
            self._relay.upkeep.look_at(link, self._loop.now + 1)
        else:
            self._loop.after(SOON, partial(self._relay.guard, self._relay.upkeep.finish_up, link))

    def finish_down(self, link: Link) -> None:
        """Pass the upstream's end on."""
        if link.end_client():  # otherwise tried again when the client's socket has room
            link.down_flow = ENDED
            if link.upstream_lost:
                link.up, link.up_flow = b"", ENDED
        self._relay.watch(link)

    # ---- the link

    def close(self, link: Link, why: str) -> None:
        """Close both sides at once; `why` is for the log."""
        if link.closed:
            return
        self._let_go(link, why)
        link.client.close()
        if link.up_flow is not ENDED:  # the client had not ended: what came from it may be half of a message
            link.close_upstream_by_reset()
        link.upstream.close()
        link.log_end(self._loop.now)

    def give_back(self, link: Link) -> None:
        """Let go of a link whose client goes back to its opening; its upstream is closed."""
        self._loop.watch(link.client_fd, 0)
        self._let_go(link, "given back")
        link.close_upstream_by_reset()
        link.upstream.close()
        self._relay.returned(link)

    def _let_go(self, link: Link, why: str) -> None:
        link.closed = why
        self._links.discard(link)
        self._relay.upkeep.end(link)
        if link.ended is not None:
            link.ended()
        self._loop.forget(link.client_fd)
        self._loop.forget(link.upstream_fd)
