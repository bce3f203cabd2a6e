"""The relay with real sockets and real TLS: bytes and ends in both directions arrive whole, and as what they were."""

import hashlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import trustme

from certs.leaf import Leaf
from gateway.link import RECORD, Link
from gateway.relay import BATCH
from tests.gateway.links import VERSIONS, Rig, descriptors, relaying
from tests.peers import Ending, fill, pattern, read_exactly, read_to_end, reset

both_versions = pytest.mark.parametrize("version", VERSIONS, ids=["tls1.2", "tls1.3"])
both_upstreams = pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
sizes = pytest.mark.parametrize("size", [1, RECORD - 1, RECORD, RECORD + 1, 3 * BATCH + 5])


@pytest.fixture
def rig(ca: trustme.CA, leaf: Leaf) -> Iterator[Rig]:
    with relaying(ca, leaf) as running:
        yield running


# ---- bytes


@both_versions
@both_upstreams
def test_bytes_go_up_and_down(rig: Rig, version: ssl.TLSVersion, unix: bool) -> None:
    ends = rig.link(version, unix=unix)
    ends.ping(b"up, and down again")
    ends.ping(b"and once more")


@both_versions
def test_the_upstream_may_speak_first(rig: Rig, version: ssl.TLSVersion) -> None:
    ends = rig.prepare(version)
    ends.upstream.sendall(b"welcome")
    rig.loop.call(rig.relay.add, ends.link)
    assert ends.client.receive(7) == b"welcome"


def test_what_was_read_during_the_opening_goes_up_first(rig: Rig) -> None:
    ends = rig.prepare(first=b"GET / ")
    ends.client.send(b"HTTP/1.1")
    rig.loop.call(rig.relay.add, ends.link)
    assert read_exactly(ends.upstream, 14) == b"GET / HTTP/1.1"


def test_much_that_was_read_during_the_opening_waits_for_an_upstream_that_does_not_read(rig: Rig) -> None:
    ends = rig.prepare(first=pattern(8 * BATCH))
    ends.client.socket.sendall(ends.client.records(b"then this") + ends.client.goodbye())
    rig.loop.call(rig.relay.add, ends.link)
    rig.settle()
    assert read_to_end(ends.upstream) == (pattern(8 * BATCH) + b"then this", True)


def test_a_hundred_megabytes_in_each_direction_at_once(rig: Rig) -> None:
    ends = rig.link()
    block = hashlib.shake_128(b"podgate").digest(1_000_000)
    expected = hashlib.sha256(block * 100).hexdigest()

    def send(take: Callable[[bytes], None]) -> None:
        for _ in range(100):
            take(block)

    def read_up() -> str:
        digest = hashlib.sha256()
        for _ in range(100):
            digest.update(read_exactly(ends.upstream, len(block)))
        return digest.hexdigest()

    with ThreadPoolExecutor(4) as pool:
        sending = [pool.submit(send, ends.client.send), pool.submit(send, ends.upstream.sendall)]
        receiving = [pool.submit(read_up), pool.submit(ends.client.receive_digest, 100 * len(block))]
        assert [got.result() for got in receiving] == [expected, expected]
        assert [sent.result() for sent in sending] == [None, None]
    ends.client.end()
    assert read_to_end(ends.upstream) == (b"", True)


def test_many_links_do_not_mix(rig: Rig) -> None:
    every = [rig.link() for _ in range(100)]
    assert rig.relay.count() <= 100
    for number, ends in enumerate(every):
        ends.client.send(b"%04d" % number)
    for number, ends in enumerate(every):
        assert read_exactly(ends.upstream, 4) == b"%04d" % number
        ends.upstream.sendall(b"%04d" % -number)
    for number, ends in enumerate(every):
        assert ends.client.receive(4) == b"%04d" % -number
    assert rig.relay.count() == 100


# ---- ends


@both_versions
@both_upstreams
def test_after_the_clients_goodbye_the_answer_still_arrives(rig: Rig, version: ssl.TLSVersion, unix: bool) -> None:
    ends = rig.link(version, unix=unix)
    ends.client.send(b"question")
    ends.client.end()
    assert read_to_end(ends.upstream) == (b"question", True)
    ends.upstream.sendall(pattern(300_000))
    ends.upstream.close()
    assert ends.client.receive_to_end() == (pattern(300_000), Ending.GOODBYE)


@both_versions
@both_upstreams
def test_after_the_upstreams_end_the_client_goes_on(rig: Rig, version: ssl.TLSVersion, unix: bool) -> None:
    ends = rig.link(version, unix=unix)
    ends.upstream.sendall(b"that is all from me")
    ends.upstream.shutdown(socket.SHUT_WR)
    assert ends.client.receive_to_end() == (b"that is all from me", Ending.GOODBYE)
    ends.client.send(pattern(300_000))
    ends.client.end()
    assert read_to_end(ends.upstream) == (pattern(300_000), True)


@both_versions
@sizes
def test_data_in_one_flight_with_a_goodbye_goes_up_whole(rig: Rig, version: ssl.TLSVersion, size: int) -> None:
    ends = rig.prepare(version)
    flight = ends.client.records(pattern(size)) + ends.client.goodbye()
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(ends.client.socket.sendall, flight)
        rig.loop.call(rig.relay.add, ends.link)
        assert read_to_end(ends.upstream) == (pattern(size), True)
        sending.result()


@both_versions
@sizes
def test_data_in_one_flight_with_a_bare_fin_goes_up_whole_and_then_a_reset(
    rig: Rig, version: ssl.TLSVersion, size: int
) -> None:
    ends = rig.prepare(version)

    def send() -> None:
        ends.client.socket.sendall(ends.client.records(pattern(size)))
        ends.client.socket.shutdown(socket.SHUT_WR)

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send)
        rig.loop.call(rig.relay.add, ends.link)
        assert read_to_end(ends.upstream) == (pattern(size), False)
        sending.result()


def test_a_lost_client_is_passed_on_as_soon_as_the_upstream_has_what_it_sent(rig: Rig) -> None:
    took = []
    for _ in range(5):  # the slow way, by a look at all links, takes more than a second each time
        ends = rig.link()
        ends.ping()
        began = time.monotonic()
        ends.client.send(b"the last of it")
        ends.client.socket.close()
        assert read_to_end(ends.upstream) == (b"the last of it", False)
        took.append(time.monotonic() - began)
    assert min(took) < 1.0


@both_versions
@both_upstreams
@sizes
def test_data_in_one_flight_with_the_upstreams_fin_comes_down_whole(
    rig: Rig, version: ssl.TLSVersion, unix: bool, size: int
) -> None:
    ends = rig.prepare(version, unix=unix)

    def send() -> None:
        ends.upstream.sendall(pattern(size))
        ends.upstream.close()

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send)
        rig.loop.call(rig.relay.add, ends.link)
        assert ends.client.receive_to_end() == (pattern(size), Ending.GOODBYE)
        sending.result()


def test_a_client_that_vanishes_has_its_bytes_delivered_to_a_slow_upstream(rig: Rig) -> None:
    ends = rig.link()
    ends.client.send(pattern(2 * BATCH))
    ends.client.socket.shutdown(socket.SHUT_WR)
    rig.settle()
    first = read_exactly(ends.upstream, 10)  # and only now begins to read
    rest, clean = read_to_end(ends.upstream)
    assert (first + rest == pattern(2 * BATCH), clean) == (True, False)


@both_versions
def test_an_upstreams_reset_is_not_taken_for_an_end(rig: Rig, version: ssl.TLSVersion) -> None:
    ends = rig.prepare(version)
    ends.upstream.sendall(pattern(50_000))
    reset(ends.upstream)
    rig.loop.call(rig.relay.add, ends.link)
    assert ends.client.receive_to_end() == (pattern(50_000), Ending.FIN)


@both_versions
def test_an_upstreams_reset_met_while_sending_to_it_is_not_taken_for_an_end(rig: Rig, version: ssl.TLSVersion) -> None:
    ends = rig.prepare(version, first=b"the send that meets the reset takes the socket's error with it")
    ends.upstream.sendall(pattern(50_000))
    reset(ends.upstream)
    rig.loop.call(rig.relay.add, ends.link)
    assert ends.client.receive_to_end() == (pattern(50_000), Ending.FIN)


@both_versions
def test_an_upstream_that_takes_no_more_is_heard_to_its_end(rig: Rig, version: ssl.TLSVersion) -> None:
    ends = rig.link(version, unix=True)
    ends.upstream.shutdown(socket.SHUT_RD)
    ends.client.send(b"nobody reads this")
    rig.settle()
    ends.client.send(pattern(BATCH))
    ends.upstream.sendall(pattern(300_000))
    ends.upstream.close()
    assert ends.client.receive_to_end() == (pattern(300_000), Ending.GOODBYE)


def test_a_client_that_resets_has_its_upstream_reset(rig: Rig) -> None:
    ends = rig.link()
    ends.client.send(b"half a mess")
    assert read_exactly(ends.upstream, 11) == b"half a mess"
    ends.client.reset()
    assert read_to_end(ends.upstream) == (b"", False)
    rig.settle()
    assert ends.link.closed == "client went away"


def test_what_was_read_of_a_client_that_resets_is_delivered_to_a_slow_upstream(rig: Rig) -> None:
    ends = rig.prepare()
    pending = fill(ends.link.upstream)
    rig.loop.call(rig.relay.add, ends.link)
    ends.client.send(pattern(48 * 1024))
    rig.settle()
    assert ends.link.up
    ends.client.reset()
    ends.upstream.sendall(b"nobody takes this answer")  # by this write the relay learns of the reset
    rig.settle()
    data, clean = read_to_end(ends.upstream)
    assert data[pending:] == pattern(48 * 1024)
    assert not clean


def test_what_a_client_sends_after_all_is_over_is_dropped_and_then_the_link_ends(rig: Rig) -> None:
    ends = rig.link(unix=True)
    ends.upstream.sendall(b"bye")
    ends.upstream.close()
    assert ends.client.receive_to_end() == (b"bye", Ending.GOODBYE)
    ends.client.send(b"still talking")
    rig.settle()
    ends.client.end()
    ends.client.close()
    rig.settle()
    assert ends.link.closed == "both sides ended"


# ---- the relay itself


def test_no_descriptor_is_left_behind(ca: trustme.CA, leaf: Leaf) -> None:
    before = descriptors()
    with relaying(ca, leaf) as rig:
        for number in range(20):
            ends = rig.link()
            ends.ping()
            (ends.client.close, ends.client.reset, ends.upstream.close, lambda ends=ends: reset(ends.upstream))[
                number % 4
            ]()
        open_links = [rig.link() for _ in range(3)]
        open_links[0].ping()
    assert [ends.link.closed for ends in open_links] == ["gateway stopped"] * 3
    assert descriptors() == before


class Faulty(Link):
    """A link that makes the relay stumble, once, when its first bytes have come."""

    stumbled = False

    @property
    def received(self) -> int:
        if not self.stumbled:
            self.stumbled = True
            raise RuntimeError("a fault on purpose")
        return 0

    @received.setter
    def received(self, _value: int) -> None:
        return


def test_a_fault_with_one_link_ends_that_link_alone(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    neighbour = rig.link()
    faulty = rig.prepare(kind=Faulty)
    rig.loop.call(rig.relay.add, faulty.link)
    faulty.client.send(b"stumble")
    assert faulty.client.receive_to_end()[0] == b""
    neighbour.ping()
    assert "a fault on purpose" in caplog.text


def test_a_fault_while_a_link_is_taken_over_ends_that_link_alone(rig: Rig) -> None:
    neighbour = rig.link()
    faulty = rig.prepare(kind=Faulty)
    faulty.client.send(b"stumble at once")
    rig.loop.call(rig.relay.add, faulty.link)
    assert faulty.client.receive_to_end()[0] == b""
    neighbour.ping()


def test_stop_closes_what_is_open(ca: trustme.CA, leaf: Leaf) -> None:
    with relaying(ca, leaf) as rig:
        ends = rig.link()
        ends.ping()
    assert rig.relay.count() == 0
    assert ends.link.closed == "gateway stopped"
