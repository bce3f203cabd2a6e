"""The relay when one side does not keep up or goes away: memory stays bounded, nothing spins, limits hold."""

import socket
import ssl
from collections.abc import Iterator

import pytest
import trustme

from certs.leaf import Leaf
from gateway.link import Limits
from gateway.relay import BATCH
from tests.gateway.links import VERSIONS, Rig, relaying
from tests.peers import CHUNK, Ending, fill, pattern, read_to_end, reset

both_versions = pytest.mark.parametrize("version", VERSIONS, ids=["tls1.2", "tls1.3"])


@pytest.fixture
def rig(ca: trustme.CA, leaf: Leaf) -> Iterator[Rig]:
    with relaying(ca, leaf) as running:
        yield running


def test_a_stalled_client_stalls_its_upstream_and_no_memory_grows(rig: Rig) -> None:
    ends = rig.link()
    sent = fill(ends.upstream)
    assert sent > BATCH
    assert 0 < len(ends.link.down) <= BATCH
    ends.upstream.shutdown(socket.SHUT_WR)
    assert ends.client.receive_to_end() == (pattern(sent), Ending.GOODBYE)


def test_a_stalled_upstream_stalls_its_client_and_no_memory_grows(rig: Rig) -> None:
    ends = rig.link()
    sent = 0

    def send_on() -> None:
        nonlocal sent
        while True:
            ends.client.send(pattern(CHUNK, sent))
            sent += CHUNK

    ends.client.socket.settimeout(0.5)  # a measuring window: nothing more is taken for so long
    with pytest.raises(TimeoutError):
        send_on()
    assert 0 < len(ends.link.up) <= BATCH
    got = bytearray()
    while len(got) < sent:
        got += ends.upstream.recv(CHUNK)
    assert pattern(sent + CHUNK).startswith(bytes(got))


@both_versions
def test_a_stalled_client_whose_upstream_resets_costs_no_cpu(rig: Rig, version: ssl.TLSVersion) -> None:
    ends = rig.link(version)
    sent = fill(ends.upstream)
    reset(ends.upstream)
    rig.settle()
    assert rig.cpu(0.5) < 0.05
    got, ending = ends.client.receive_to_end()
    assert pattern(sent).startswith(got)
    assert len(got) > BATCH
    assert ending is Ending.FIN


@both_versions
def test_a_client_that_vanishes_while_its_upstream_does_not_read_costs_no_cpu(
    rig: Rig, version: ssl.TLSVersion
) -> None:
    ends = rig.prepare(version)
    fill(ends.link.upstream)
    rig.loop.call(rig.relay.add, ends.link)
    ends.client.send(pattern(48 * 1024))
    rig.settle()
    assert ends.link.up
    ends.client.reset()
    rig.settle()
    assert rig.cpu(0.5) < 0.05


def test_an_idle_link_ends_and_its_upstream_does_not_take_it_for_a_goodbye(ca: trustme.CA, leaf: Leaf) -> None:
    with relaying(ca, leaf, Limits(idle=1)) as rig:
        ends = rig.link()
        ends.ping()
        assert ends.client.receive_to_end() == (b"", Ending.FIN)
        assert read_to_end(ends.upstream) == (b"", False)
        assert ends.link.closed == "idle"


def test_a_link_with_one_end_lingers_no_longer_than_allowed(ca: trustme.CA, leaf: Leaf) -> None:
    with relaying(ca, leaf, Limits(linger=1)) as rig:
        ended, whole = rig.link(), rig.link()
        ended.client.end()
        assert read_to_end(ended.upstream) == (b"", True)
        assert ended.client.receive_to_end() == (b"", Ending.FIN)
        assert ended.link.closed == "silent after one side ended"
        whole.ping()


def test_a_link_that_stalls_ends_and_half_a_message_is_not_taken_for_a_whole(ca: trustme.CA, leaf: Leaf) -> None:
    with relaying(ca, leaf, Limits(stall=1)) as rig:
        stalled, quiet = rig.prepare(), rig.link()
        sent = fill(stalled.link.upstream)
        rig.loop.call(rig.relay.add, stalled.link)
        stalled.client.send(pattern(48 * 1024, sent))
        assert stalled.client.receive_to_end()[1] in (Ending.FIN, Ending.RESET)
        assert stalled.link.closed == "stalled"
        data, clean = read_to_end(stalled.upstream)
        assert (pattern(sent + 48 * 1024).startswith(data), clean) == (True, False)
        quiet.ping()
