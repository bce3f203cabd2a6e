"""The relay: every established connection of a worker, in one epoll loop in one thread.

Theory of operation. A `Link` has two directions, up (client to upstream) and down. A direction moves one batch at a
time: a batch is read, offered to the other side, and what was not taken stays in the link; until it is taken nothing
more is read in that direction. That is all the back-pressure there is, and it bounds the memory of a link.

`_watch` derives what epoll looks for from that state. A descriptor with nothing to look for is unregistered, since
EPOLLHUP and EPOLLERR are reported even for an empty mask: a stalled client whose upstream has reset must not spin.

A direction ends in three steps (`Flow`): its source ends, what was read is delivered, the end is passed on as the
other side knows it: close_notify and FIN to a client, FIN to an upstream. A link closes when both directions ended.
A client that vanishes (a bare FIN may be a truncation, RFC 8446 section 6.1) has what it sent delivered, and then its
upstream is reset, so that the server does not take half a message for a whole one. An upstream that fails has what it
sent delivered, and then the client's TCP ends without close_notify, for the same reason. Where nobody takes what a
client still sends, it is read and dropped for a while, since closing over unread bytes would send a reset that
overtakes what the client has not read yet.

Each link has one place in `_due`, a dictionary of seconds, and is looked at when its turn comes, not at each message.

This file is written for speed: method calls and attribute reads are its cost.
"""

import collections
import logging
import os
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from fcntl import ioctl
from termios import TIOCOUTQ

from OpenSSL import SSL

from gateway.link import Flow, Link

log = logging.getLogger("podgate.link")

RECORD = 16 * 1024  # bytes: the largest TLS record (RFC 8446, section 5.1)
BATCH = 64 * RECORD  # bytes one turn moves in one direction: enough for bulk, about 1 ms of a neighbour's time
EVENTS = 256  # taken from the kernel at once
LEAVE = 5.0  # seconds: how long a client may go on sending what nobody takes before it is cut
WANT = (SSL.WantReadError, SSL.WantWriteError)
READ, WRITE = select.EPOLLIN, select.EPOLLOUT
TROUBLE = select.EPOLLHUP | select.EPOLLERR
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 seconds: close with RST (socket(7))
OPEN, ENDING, ENDED = Flow.OPEN, Flow.ENDING, Flow.ENDED


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a link may be silent, in seconds; each is kept to within half of the least of them."""

    idle: float = 24 * 3600.0  # both directions open; dead peers are found earlier, by TCP keep-alive
    linger: float = 60.0  # after one direction has ended
    stall: float = 600.0  # one side does not take what the other sent


class Relay:
    """All established connections of a worker. `add`, `stop` and `count` may be called from any thread."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits if limits is not None else Limits()
        self._look = max(1.0, min(self._limits.idle, self._limits.linger, self._limits.stall) / 2)
        self._epoll = select.epoll()
        self._links: dict[int, Link] = {}  # by both descriptors
        self._due: dict[int, list[Link]] = {}  # by the second of the loop's clock
        self._now = time.monotonic()
        self._swept = int(self._now)
        self._calls: collections.deque[Callable[[], None]] = collections.deque()
        self._calling = threading.Lock()  # between `_call` and the end of the loop
        self._wakeup = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wakeup, READ)
        self._stopped = False
        # One scratch buffer for all links: the loop serves one at a time, and a large buffer allocated for each read
        # would be faulted in anew for every small message.
        self._scratch = memoryview(bytearray(BATCH))

    # ---- from any thread

    def add(self, link: Link) -> None:
        """Take over an established connection; from now on only the relay touches its sockets."""
        self._call(lambda: self._guard(self._open, link))

    def stop(self) -> None:
        """End the loop; links that are still open are closed."""
        self._call(self._stop)

    def count(self) -> int:
        """Count the links that are open or about to be."""
        return len(self._links) // 2 + len(self._calls)

    def start(self) -> threading.Thread:
        """Run the loop in a thread of its own."""
        thread = threading.Thread(target=self._run_or_end, name="relay")
        thread.start()
        return thread

    def _run_or_end(self) -> None:
        try:
            self.run()
        except BaseException:
            log.exception("relay: ended by a fault; this worker ends, and its supervisor makes another")
            os._exit(70)  # EX_SOFTWARE: without a relay the other thread would only collect connections

    def _call(self, call: Callable[[], None]) -> None:
        with self._calling:
            if not self._stopped:
                self._calls.append(call)
                os.eventfd_write(self._wakeup, 1)

    # ---- the loop

    def run(self) -> None:
        """Relay until `stop`."""
        poll, links = self._epoll.poll, self._links
        while not self._stopped:
            events = poll(1.0 if links else -1, EVENTS)
            self._now = now = time.monotonic()
            for fd, event in events:
                link = links.get(fd)
                if link is None:
                    if fd == self._wakeup:
                        os.eventfd_read(fd)
                    continue
                link.active = now
                try:
                    self._serve(link, fd, event)
                except Exception:  # a fault of ours with one link must not take the others down
                    log.exception("relay: fault with a link of %s", link.route.host)
                    self._close(link, "fault of the gateway")
            # Only now: a new link may reuse the descriptor number of one that was closed above.
            while self._calls:
                self._calls[0]()
                self._calls.popleft()  # after the call: `count` must not miss a link that is being taken over
            if int(now) > self._swept:
                self._sweep(int(now))
        with self._calling:
            self._epoll.close()
            os.close(self._wakeup)

    def _serve(self, link: Link, fd: int, event: int) -> None:
        if fd == link.client_fd:
            if event & (WRITE | TROUBLE) and link.client_mask & WRITE:
                self._to_client(link, link.down)
            if event & ~WRITE and link.client_mask & READ and not link.closed:
                self._from_client(link)
        else:
            if event & (WRITE | TROUBLE) and link.up:
                self._to_upstream(link, link.up)
            if event & ~WRITE and link.upstream_mask & READ and not link.closed:
                self._from_upstream(link)

    def _guard(self, step: Callable[[Link], None], link: Link) -> None:
        """Take a step that no event caused; a fault of ours with one link must not take the others down."""
        try:
            step(link)
        except Exception:
            log.exception("relay: fault with a link of %s", link.route.host)
            self._close(link, "fault of the gateway")

    def _open(self, link: Link) -> None:
        self._links[link.client_fd] = self._links[link.upstream_fd] = link
        link.opened = link.active = self._now
        self._put(link, self._now + self._look)
        if link.up:
            self._to_upstream(link, link.up)
        self._watch(link)
        if link.client_mask & READ:
            self._from_client(link)  # OpenSSL may already hold decrypted bytes that no epoll will report

    def _stop(self) -> None:
        for link in list(self._links.values()):
            self._close(link, "gateway stopped")
        self._stopped = True

    # ---- up

    def _from_client(self, link: Link) -> None:
        data, end = b"", None
        try:
            data = link.tls.recv(RECORD)
            if len(data) == RECORD:
                data, end = self._more_from_client(link, data)
        except WANT:
            return
        except SSL.Error as error:
            end = error
        if data:
            link.received += len(data)
            if link.up_flow is OPEN:
                self._to_upstream(link, data)
        if end is not None and not link.closed:
            self._client_ended(link, clean=isinstance(end, SSL.ZeroReturnError))

    def _more_from_client(self, link: Link, data: bytes) -> tuple[bytes, SSL.Error | None]:
        """Read on after a full record, up to a batch; data that came before an end counts before the end."""
        parts, size, recv = [data], RECORD, link.tls.recv
        try:
            while size < BATCH:
                data = recv(RECORD)
                parts.append(data)
                size += len(data)
        except WANT:
            return b"".join(parts), None
        except SSL.Error as error:
            return b"".join(parts), error
        return b"".join(parts), None

    def _to_upstream(self, link: Link, data: bytes) -> None:
        try:
            sent = link.upstream.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:  # it takes no more; what it still has to say is relayed all the same
            # A send that meets a reset takes the error off the socket: reading would then end like after a FIN.
            link.upstream_lost = not isinstance(error, BrokenPipeError)
            link.up, link.up_flow = b"", ENDED
            return self._watch(link)
        if sent < len(data) or link.up:
            link.up = data[sent:]
            if not link.up and link.up_flow is ENDING:
                self._finish_up(link)
            self._watch(link)
        return None

    def _client_ended(self, link: Link, *, clean: bool) -> None:
        link.client_open = False
        if not clean:
            link.client_lost = True
            link.down, link.down_flow = b"", ENDED
        if link.up_flow is OPEN:
            link.up_flow = ENDING
            if not link.up:
                self._finish_up(link)
        self._watch(link)

    def _finish_up(self, link: Link) -> None:
        """Pass the client's end on: FIN after a goodbye, otherwise RST once the upstream's kernel has all bytes."""
        if not link.client_lost:
            link.up_flow = ENDED
            try:
                link.upstream.shutdown(socket.SHUT_WR)
            except OSError:  # it has gone already; reading from it will tell
                return
        elif int.from_bytes(ioctl(link.upstream, TIOCOUTQ, bytes(4)), sys.byteorder):
            self._put(link, self._now + 1)  # then looked at again
        else:
            link.up_flow = ENDED
            _close_by_reset(link.upstream)

    # ---- down

    def _from_upstream(self, link: Link) -> None:
        try:
            size = link.upstream.recv_into(self._scratch)
        except BlockingIOError:
            return
        except OSError:
            link.upstream_lost = True
            size = 0
        if size:
            self._to_client(link, self._scratch[:size])
        else:
            link.down_flow = ENDING
            self._finish_down(link)
            self._watch(link)

    def _to_client(self, link: Link, data: bytes | memoryview) -> None:
        sent, size, view = 0, len(data), memoryview(data)
        bulk = size > RECORD
        try:
            if bulk:  # let the records of one batch leave in full segments
                link.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            while sent < size:
                sent += link.tls.send(view[sent : sent + RECORD])
        except WANT:
            pass
        except (SSL.Error, OSError):  # after a failed write OpenSSL reads no more either
            return self._client_ended(link, clean=False)
        if bulk:
            link.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        link.sent += sent
        if sent < size or link.down_flow is ENDING or link.down:
            link.down = bytes(view[sent:])
            if not link.down and link.down_flow is ENDING:
                self._finish_down(link)
            self._watch(link)
        return None

    def _finish_down(self, link: Link) -> None:
        """Pass the upstream's end on: close_notify if it was a clean one, and FIN."""
        try:
            if not link.upstream_lost:
                link.tls.shutdown()
            link.client.shutdown(socket.SHUT_WR)
        except SSL.WantWriteError:
            return  # tried again when the client's socket has room
        except (SSL.Error, OSError):
            pass  # it has gone already; reading from it tells how, unless it had said goodbye before
        link.down_flow = ENDED
        if link.upstream_lost:
            link.up, link.up_flow = b"", ENDED

    # ---- what a link waits for, and its end

    def _watch(self, link: Link) -> None:
        """Make epoll look for what can be done next: read where there is room to go, write what is pending."""
        if link.closed:
            return None
        if link.up_flow is ENDED and link.down_flow is ENDED:
            if not link.client_open:
                return self._close(link, "client went away" if link.client_lost else "both sides ended")
            if not link.ends_at:
                link.ends_at = self._now + LEAVE
                self._put(link, link.ends_at)
        client = READ if link.client_open and not link.up else 0
        if link.down_flow is ENDING or link.down:
            client |= WRITE
        upstream = READ if link.down_flow is OPEN and not link.down else 0
        if link.up:
            upstream |= WRITE
        if client != link.client_mask:
            self._register(link.client_fd, link.client_mask, client)
            link.client_mask = client
        if upstream != link.upstream_mask:
            self._register(link.upstream_fd, link.upstream_mask, upstream)
            link.upstream_mask = upstream
        return None

    def _register(self, fd: int, old: int, new: int) -> None:
        if not old:
            self._epoll.register(fd, new)
        elif new:
            self._epoll.modify(fd, new)
        else:
            self._epoll.unregister(fd)

    def _close(self, link: Link, why: str) -> None:
        if link.closed:
            return
        link.closed = why
        del self._links[link.client_fd], self._links[link.upstream_fd]
        link.client.close()
        if link.up_flow is not ENDED:  # the client had not ended: what came from it may be half of a message
            _close_by_reset(link.upstream)
        link.upstream.close()
        log.info(
            "%s %s %s: %s after %.3f s, %d bytes up, %d bytes down",
            link.client_address, link.route.protocol, link.route.host, why,
            self._now - link.opened, link.received, link.sent,
        )  # fmt: skip

    def _put(self, link: Link, when: float) -> None:
        link.due = max(int(when), self._swept) + 1
        self._due.setdefault(link.due, []).append(link)

    def _sweep(self, second: int) -> None:
        """Look at the links whose turn has come."""
        for due in range(self._swept + 1, second + 1):
            for link in self._due.pop(due, ()):
                if link.due == due and not link.closed:  # otherwise it was put elsewhere since
                    self._guard(self._look_at, link)
        self._swept = second

    def _look_at(self, link: Link) -> None:
        if link.client_lost and link.up_flow is ENDING and not link.up:
            self._finish_up(link)
            self._watch(link)
        if link.ends_at and self._now >= link.ends_at:
            self._close(link, "client sent on after the end")
        limit, why = self._limits.idle, "idle"
        if link.up or link.down:
            limit, why = self._limits.stall, "stalled"
        elif link.up_flow is not OPEN or link.down_flow is not OPEN:
            limit, why = self._limits.linger, "silent after one side ended"
        if self._now - link.active >= limit:
            self._close(link, why)
        elif not link.closed:
            soon = link.client_lost or link.ends_at
            self._put(link, self._now + (1 if soon else self._look))


def _close_by_reset(upstream: socket.socket) -> None:
    """Make the coming close a reset; unix sockets know none."""
    if upstream.family != socket.AF_UNIX:
        upstream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
