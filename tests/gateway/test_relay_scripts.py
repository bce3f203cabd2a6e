"""Random scripts of what the two ends of a link do, checked to the byte against what must hold for any of them."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certs.leaf import Leaf
from tests.gateway.links import VERSIONS, Ends, Rig, relaying
from tests.peers import Ending, pattern, read_to_end, reset

Step = tuple[Literal["up", "down", "read up", "read down", "goodbye", "vanish", "end", "close"], int]

sizes = st.sampled_from([1, 100, 16 * 1024, 16 * 1024 + 1, 70_000, 200_000])
steps = st.tuples(
    st.sampled_from(["up", "up", "down", "down", "read up", "read down", "goodbye", "vanish", "end", "close"]), sizes
)


@pytest.fixture(scope="module")
def rig(ca: trustme.CA, leaf: Leaf) -> Iterator[Rig]:
    with relaying(ca, leaf) as running:
        yield running


@dataclass
class Play:
    """One script played on one link, and what has been sent and read by now."""

    ends: Ends
    up: int = 0
    down: int = 0
    read_up: bytearray = field(default_factory=bytearray)
    read_down: bytearray = field(default_factory=bytearray)
    client_ended: str = ""
    upstream_ended: str = ""

    def step(self, what: str, size: int) -> None:
        client, upstream = self.ends.client, self.ends.upstream
        if what == "up" and not self.client_ended and self.up - len(self.read_up) < 300_000:
            client.send(pattern(size, self.up))
            self.up += size
        elif what == "down" and not self.upstream_ended and self.down - len(self.read_down) < 300_000:
            upstream.sendall(pattern(size, self.down))
            self.down += size
        elif what == "read up" and self.upstream_ended != "close":
            self.read_up += self._exactly(upstream, min(size, self.up - len(self.read_up)))
        elif what == "read down" and self.client_ended != "vanish":
            self.read_down += client.receive(min(size, self.down - len(self.read_down)))
        elif what in ("goodbye", "vanish") and not self.client_ended:
            self.client_ended = what
            client.end() if what == "goodbye" else client.socket.shutdown(socket.SHUT_WR)
        elif what in ("end", "close") and not self.upstream_ended:
            self.upstream_ended = what
            with contextlib.suppress(OSError):  # a vanished client may have had it reset by now
                upstream.shutdown(socket.SHUT_WR) if what == "end" else upstream.close()

    @staticmethod
    def _exactly(upstream: socket.socket, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            part = upstream.recv(size - len(parts))
            assert part, f"ended after {len(parts)} of {size} bytes"
            parts += part
        return bytes(parts)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(version=st.sampled_from(VERSIONS), unix=st.booleans(), script=st.lists(steps, max_size=14))
def test_whatever_the_ends_do_bytes_arrive_whole_and_ends_as_what_they_were(
    rig: Rig, version: ssl.TLSVersion, unix: bool, script: list[Step]
) -> None:
    play = Play(rig.link(version, unix=unix))
    for what, size in script:
        # After a vanished client or a closed upstream what is on its way to them is lost, and nobody can read it.
        if (what == "read down" and play.client_ended == "vanish") or (
            what in ("read up", "up") and play.upstream_ended == "close"
        ):
            continue
        if what in ("read down", "down") and play.client_ended == "vanish":
            continue
        play.step(what, size)
    finish(play)


def finish(play: Play) -> None:
    """End both sides, read what is left, and compare."""
    ends = play.ends
    if not play.client_ended:
        play.step("goodbye", 0)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_to_end, ends.upstream) if play.upstream_ended != "close" else None
        if play.upstream_ended != "close" and play.client_ended == "goodbye" and not play.upstream_ended:
            ends.upstream.shutdown(socket.SHUT_WR)
        if play.client_ended == "goodbye":
            rest, ending = ends.client.receive_to_end()
            unread = play.upstream_ended == "close" and play.up > len(play.read_up)
            if not unread:  # a close over unread bytes is a reset, and may take with it what was sent before
                assert bytes(play.read_down) + rest == pattern(play.down)
                assert ending is Ending.GOODBYE
            else:
                assert pattern(play.down).startswith(bytes(play.read_down) + rest)
        if reading is not None:
            rest, clean = reading.result()
            assert bytes(play.read_up) + rest == pattern(play.up)
            assert clean or play.client_ended == "vanish"
    with contextlib.suppress(OSError):
        reset(ends.client.socket)
    ends.upstream.close()
