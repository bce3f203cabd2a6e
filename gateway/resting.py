"""How long a link that streams is let rest between two looks at its upstream.

An answer of many megabytes comes in the pieces its server writes, often a few hundred microseconds apart. Passed on one
by one, each piece wakes this process and then the client, and a client that shares its processor with the server
interrupts it: that costs more than the bytes do. So once a stream has gone on for a while its upstream is looked at
every other millisecond only, and what has come meanwhile goes down at once, as network cards moderate their interrupts.
Two thirds of what a gateway adds to the time of a large answer are saved, and a third of its own cpu (`podgate bench
paper`).

Nothing comes later by more than `SHARE` of the time the stream has taken already, nor by more than `REST`. Small
messages, the first pieces of an answer, and servers as quick as we are never wait; and a client that says something
ends the stream.
"""

from functools import partial
from typing import TYPE_CHECKING

from gateway.link import Link
from gateway.loop import Loop

if TYPE_CHECKING:
    from gateway.relay import Relay

REST = 0.002  # seconds: the longest
LEAST = 0.001  # seconds: what epoll can wait for; of anything between it makes the next whole number of these
SHARE = 1 / 32  # of the time since the stream began
APART = 0.005  # seconds between two pieces, from which on they are no stream
PIECE = 4096  # bytes: what is smaller is a message that somebody may be waiting for
QUICK = 128 * 1024  # bytes: where so much comes at once there is nothing to gain; half of what a kernel holds for us


def seconds_to_rest(lasted: float, size: int, room: int) -> float:
    """Give for how long to rest after a piece of `size` bytes of a stream that has lasted so many seconds, where
    there was `room` for more; 0.0: not at all.
    """
    if not PIECE <= size < min(QUICK, room):
        return 0.0
    return min(REST, lasted * SHARE // LEAST * LEAST)


class Resting:
    """Lets the links of a relay rest."""

    def __init__(self, relay: "Relay", loop: Loop) -> None:
        self._relay = relay
        self._loop = loop

    def take_piece(self, link: Link, size: int, room: int) -> None:
        """Take note of a large piece from the upstream, and let the link rest if it is time."""
        now = self._loop.now
        if not link.streams_since or now - link.active > APART:
            link.streams_since = now
        elif seconds := seconds_to_rest(now - link.streams_since, size, room):
            link.is_resting = True
            self._loop.after(seconds, partial(self._relay.guard, self.end, link))
            self._relay.watch(link)

    def end(self, link: Link) -> None:
        """Look at the upstream again."""
        link.is_resting = False
        self._relay.watch(link)
