"""The relay: every established connection of a worker, as handlers of its loop.

Theory of operation. A `Link` has two directions, up (client to upstream) and down. A direction moves one batch at a
time: a batch is read, offered to the other side, and what was not taken stays in the link; until it is taken nothing
more is read in that direction. That is all the back-pressure there is, and it bounds the memory of a link.

Small messages take two passes of a turn: all handlers read, one behind the other into the scratch buffer, and then
`_deliver` sends. Doing the same thing to many links at once keeps its code in the processor's caches, and whoever
listens at the other end is woken once for many messages: a tenth less cpu for each. What is larger is sent at once.

`watch` derives what epoll looks for from that state. A descriptor with nothing to look for is unregistered, since
EPOLLHUP and EPOLLERR are reported even for an empty mask: a stalled client whose upstream has reset must not spin.

How a direction ends, and a link, is for `gateway.ending`. What no event tells is for `gateway.upkeep`, and what differs
for HTTP for `gateway.web.relaying`.
"""

import logging
from collections.abc import Callable, Iterable
from functools import partial

from gateway import openssl
from gateway.ending import Ending
from gateway.link import MORE, RECORD, Flow, Limits, Link
from gateway.loop import Loop
from gateway.resting import PIECE, Resting
from gateway.upkeep import Upkeep
from gateway.waiting import READ, TROUBLE, WRITE
from gateway.web.relaying import Passing

log = logging.getLogger("podgate.link")

BATCH = 64 * RECORD  # bytes one turn moves in one direction: enough for bulk, about 1 ms of a neighbour's time
LEAVE = 5.0  # seconds: how long a client may go on sending what nobody takes before it is cut
FULL = BATCH // 2  # bytes that wait in the scratch buffer, from which on they are sent before more is read
READABLE, WRITABLE = READ | TROUBLE, WRITE | TROUBLE  # what calls for an attempt
OPEN, ENDING, ENDED = Flow.OPEN, Flow.ENDING, Flow.ENDED


class Relay:
    """All established connections of a worker, on its loop; everything but `count` is for the loop's thread."""

    def __init__(self, loop: Loop, limits: Limits | None = None) -> None:
        self._loop = loop
        self._links: set[Link] = set()
        self.upkeep = Upkeep(self, loop, limits if limits is not None else Limits())
        # One for all links, which are served one at a time: allocated for each read it would be faulted in anew.
        self._scratch = memoryview(bytearray(BATCH))
        self._pointer = openssl.pointer_to(self._scratch)
        self._used = 0  # bytes at its beginning that wait for `_deliver`, for these:
        self._ups: list[tuple[Link, int, int]] = []  # link, first byte, end
        self._downs: list[tuple[Link, int, int]] = []  # link, first byte, size
        self.web = Passing(self)
        self.ending = Ending(self, loop, self._links)
        self._resting = Resting(self, loop)
        self.returned: Callable[[Link], object] = lambda link: link.client.close()  # told of one that was given back
        loop.after_handlers(self._deliver)

    def count(self) -> int:
        """Count the open links. May be called from any thread."""
        return len(self._links)

    def add(self, link: Link) -> None:
        """Take over an established connection; from now on only the relay touches its sockets."""
        self.guard(self._open, link)

    @property
    def links(self) -> Iterable[Link]:
        """The open links, for the loop's thread."""
        return self._links

    def end_idle(self) -> None:
        """Say goodbye to the clients that have nothing under way, as far as that can be known: of HTTP."""
        for link in tuple(self._links):
            self.guard(self.web.end_idle, link)

    def close(self) -> None:
        """Close the links that are still open."""
        for link in tuple(self._links):
            self.ending.close(link, "gateway stopped")

    # ---- what the loop calls

    def _client_ready(self, link: Link, events: int) -> None:
        try:
            if events & WRITABLE and link.client_mask & WRITE:
                if link.down:
                    self.to_client(link, openssl.pointer_to(link.down), len(link.down))
                else:
                    self.ending.finish_down(link)
                if link.transform is not None:
                    self.web.settle(link)
            if events & READABLE and link.client_mask & READ and not link.closed:
                self._from_client(link)
        except Exception as fault:  # noqa: BLE001  # of ours, with one link: it must not take the others down
            self.fault(link, fault)

    def _upstream_ready(self, link: Link, events: int) -> None:
        try:
            if events & WRITABLE and link.up:
                self.to_upstream(link, link.up)
                if link.transform is not None:
                    self.web.settle(link)
            if events & READABLE and link.upstream_mask & READ and not link.closed:
                self._from_upstream(link)
        except Exception as fault:  # noqa: BLE001  # of ours, with one link: it must not take the others down
            self.fault(link, fault)

    def guard(self, step: Callable[[Link], object], link: Link) -> None:
        """Take a step with a link; a fault of ours must not take the others down."""
        try:
            step(link)
        except Exception as fault:  # noqa: BLE001  # of ours, with one link: it must not take the others down
            self.fault(link, fault)

    def fault(self, link: Link, fault: Exception) -> None:
        """End a link because of a fault of ours: it must not take the others down."""
        log.error("relay: fault with a link of %s", link.route.host, exc_info=fault)
        self.ending.close(link, "fault of the gateway")

    def _open(self, link: Link) -> None:
        self._links.add(link)
        link.opened = link.active = self._loop.now
        self.upkeep.begin(link)
        self._loop.handle(link.client_fd, partial(self._client_ready, link))
        self._loop.handle(link.upstream_fd, partial(self._upstream_ready, link))
        if link.up:
            self.to_upstream(link, link.up)
        if link.transform is not None:
            self.web.settle(link)
        self.watch(link)

    def _read_first(self, link: Link) -> None:
        """Take what OpenSSL may hold since the opening; epoll reports only what the socket has."""
        self._client_ready(link, READ)
        self._deliver()

    def _deliver(self) -> None:
        """Send what this turn has read. Up comes first: a client found dead must not take what it sent with it."""
        ups, downs = self._ups, self._downs
        if not self._used:
            return
        self._ups, self._downs, self._used = [], [], 0
        for link, begin, end in ups:
            if link.up_flow is OPEN and not link.closed:
                try:
                    self.to_upstream(link, self._scratch[begin:end])
                except Exception as fault:  # noqa: BLE001  # as in `_guard`, which would cost a call for each message
                    self.fault(link, fault)
        for link, begin, size in downs:
            if link.down_flow is OPEN and not link.closed:
                try:
                    self.to_client(link, self._pointer + begin, size)
                except Exception as fault:  # noqa: BLE001
                    self.fault(link, fault)
        self.web.deliver()

    # ---- up

    def _from_client(self, link: Link) -> None:
        if self._used > FULL:
            self._deliver()
        exchange, begin = link.transform, self._used
        link.streams_since = 0.0
        if link.is_resting:
            self._resting.end(link)
        got = openssl.read(link.handle, self._pointer + begin, RECORD)
        if 0 < got < MORE and link.up_flow is OPEN:
            link.received += got
            self._used = begin + got
            if exchange is None:
                self._ups.append((link, begin, self._used))
            else:
                self.web.take_up(link, exchange, self._scratch[begin : self._used])
            return
        room = BATCH - begin if exchange is None else min(BATCH - begin, exchange.up_bite)
        size, why = link.read_batch(self._pointer + begin, got, room)
        if size:
            link.received += size
            if link.up_flow is OPEN and exchange is None:
                self.to_upstream(link, self._scratch[begin : begin + size])
            elif link.up_flow is OPEN and exchange is not None:
                self.web.take_up(link, exchange, self._scratch[begin : begin + size])
                self.web.deliver()
        if (why is openssl.Why.GOODBYE or why is openssl.Why.LOST) and not link.closed:
            self.ending.client_ended(link, clean=why is openssl.Why.GOODBYE)

    def to_upstream(self, link: Link, data: bytes | memoryview) -> None:
        try:
            sent = link.upstream.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:  # it takes no more; what it still has to say is relayed all the same
            # A send that meets a reset takes the error off the socket: reading would then end like after a FIN.
            link.upstream_lost = not isinstance(error, BrokenPipeError)
            link.up, link.up_flow = b"", ENDED
            return self.watch(link)
        if sent:
            link.active = self._loop.now
        if sent < len(data) or link.up:
            link.up = bytes(data[sent:])
            if not link.up and link.up_flow is ENDING:
                self.ending.finish_up(link)
            self.watch(link)
        return None

    # ---- down

    def _from_upstream(self, link: Link) -> None:
        if self._used > FULL:
            self._deliver()
        exchange, begin = link.transform, self._used
        room = BATCH if exchange is None else begin + exchange.bite
        try:
            size = link.upstream.recv_into(self._scratch[begin:room])
        except BlockingIOError:
            return
        except OSError:
            link.upstream_lost = True
            size = 0
        link.upstream_ended = not size
        if size < PIECE:
            link.streams_since = 0.0
        else:
            self._resting.take_piece(link, size, room - begin)
        if size > RECORD and exchange is None:
            self.to_client(link, self._pointer + begin, size)
        elif size and exchange is None:
            self._used = begin + size
            self._downs.append((link, begin, size))
        elif size and exchange is not None:
            self._used = begin + size
            self.web.take_down(link, exchange, self._scratch[begin : self._used])
        elif exchange is None or self.web.upstream_ended(link):
            link.down_flow = ENDING
            self.ending.finish_down(link)

    def to_client(self, link: Link, pointer: openssl.Pointer, size: int) -> None:
        if size <= RECORD:
            sent, why = openssl.write(link.handle, pointer, size), None
            if sent <= 0:
                sent, why = 0, openssl.why(link.handle, sent)
        else:
            sent, why = link.write_batch(pointer, size)
        if why is not None and why is not openssl.Why.WANT_WRITE:
            # Lost: then OpenSSL reads no more either. Or it waits for the rest of a KeyUpdate, which is of five bytes
            # (RFC 8446, section 4.6.3): no honest client sends it in pieces, and we would ask in every turn.
            return self.ending.client_ended(link, clean=False)
        if sent:
            link.active = self._loop.now
        link.sent += sent
        if sent < size or link.down or link.down_flow is ENDING:
            link.down = openssl.bytes_at(pointer + sent, size - sent)
            if not link.down and link.down_flow is ENDING:
                return self.ending.finish_down(link)
            self.watch(link)
        return None

    # ---- what a link waits for

    def watch(self, link: Link) -> None:
        """Make epoll look for what can be done next: read where there is room to go, write what is pending."""
        if link.closed:
            return None
        if link.up_flow is ENDED and link.down_flow is ENDED:
            if not link.client_open:
                return self.ending.close(link, "client went away" if link.client_lost else "both sides ended")
            if not link.ends_at:
                link.ends_at = self._loop.now + LEAVE
                self.upkeep.look_at(link, link.ends_at)
        client, upstream = link.interests()
        if client != link.client_mask:
            link.client_mask = client
            self._loop.watch(link.client_fd, client)
            if link.is_fresh and client & READ:
                link.is_fresh = False
                self._loop.call(self._read_first, link)
        if upstream != link.upstream_mask:
            link.upstream_mask = upstream
            self._loop.watch(link.upstream_fd, upstream)
        return None
