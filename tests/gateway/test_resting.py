"""A link whose upstream streams is let rest between two looks, and only such a one."""

import time
from collections.abc import Iterator

import pytest
import trustme

from certs.leaf import Leaf
from gateway.link import RECORD
from gateway.resting import LEAST, PIECE, QUICK, REST, SHARE, seconds_to_rest
from tests.gateway.links import Ends, Rig, relaying
from tests.peers import DEADLINE, Ending

ROOM = 2 * QUICK


@pytest.fixture
def rig(ca: trustme.CA, leaf: Leaf) -> Iterator[Rig]:
    with relaying(ca, leaf) as running:
        yield running


@pytest.mark.parametrize(
    ("lasted", "size", "room", "rest"),
    [
        (0.0, RECORD, ROOM, 0.0),
        (LEAST / SHARE - 0.0001, RECORD, ROOM, 0.0),
        (LEAST / SHARE + 0.0001, RECORD, ROOM, LEAST),
        (1.99 * LEAST / SHARE, RECORD, ROOM, LEAST),
        (REST / SHARE + 0.0001, RECORD, ROOM, REST),
        (3600.0, RECORD, ROOM, REST),
        (3600.0, PIECE, ROOM, REST),
        (3600.0, PIECE - 1, ROOM, 0.0),
        (3600.0, QUICK - 1, ROOM, REST),
        (3600.0, QUICK, ROOM, 0.0),
        (3600.0, RECORD, RECORD + 1, REST),
        (3600.0, RECORD, RECORD, 0.0),  # more may be there already
    ],
    ids=str,
)
def test_the_longer_a_stream_goes_on_the_longer_it_rests(lasted: float, size: int, room: int, rest: float) -> None:
    assert seconds_to_rest(lasted, size, room) == pytest.approx(rest, abs=1e-9)


def stream_until_it_rests(ends: Ends) -> None:
    """Send pieces from the upstream, each when the client has the one before, until the link rests."""
    deadline = time.monotonic() + DEADLINE
    while not ends.link.is_resting:  # it does for a millisecond at least after the client has got the piece
        assert time.monotonic() < deadline, "the link was never let rest"
        ends.upstream.sendall(bytes(RECORD))
        ends.client.receive(RECORD)


def test_a_stream_is_let_rest_and_nothing_of_it_is_lost(rig: Rig) -> None:
    ends = rig.link()
    stream_until_it_rests(ends)
    ends.upstream.sendall(b"the last of it")
    ends.upstream.close()
    assert ends.client.receive_to_end() == (b"the last of it", Ending.GOODBYE)


def test_a_client_that_speaks_ends_the_rest(rig: Rig) -> None:
    ends = rig.link()
    stream_until_it_rests(ends)
    ends.client.send(b"enough")
    assert ends.upstream.recv(6) == b"enough"
    assert not ends.link.is_resting
    assert ends.link.streams_since == 0.0


def test_small_messages_are_no_stream(rig: Rig) -> None:
    ends = rig.link()
    stream_until_it_rests(ends)
    for _ in range(3):
        ends.upstream.sendall(bytes(PIECE - 1))
        ends.client.receive(PIECE - 1)
        assert ends.link.streams_since == 0.0
