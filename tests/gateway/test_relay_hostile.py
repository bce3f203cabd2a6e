"""Clients that do what no TLS library does, and ends that come at the worst moment."""

import itertools
import ssl
from pathlib import Path

import pytest
import trustme

from certs.leaf import Leaf
from gateway import openssl
from gateway.link import Link
from tests.gateway.links import Ends, Rig, relaying
from tests.gateway.tls13 import DATA, HANDSHAKE, KEY_UPDATE, Records, secret_of
from tests.peers import Ending, read_exactly

FLOOD = 2000


def by_hand(rig: Rig, keylog: Path) -> tuple[Ends, Records]:
    """Make a link whose client's records are made by the test."""
    ends = rig.prepare(ssl.TLSVersion.TLSv1_3, keylog=keylog)
    rig.loop.call(rig.relay.add, ends.link)
    return ends, Records(secret_of(keylog.read_text()))


def test_a_flood_of_key_updates_is_read_in_turns(
    ca: trustme.CA, leaf: Leaf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = itertools.count()
    read = openssl.read

    def counted(*arguments: object) -> int:
        next(calls)
        return int(read(*arguments))

    monkeypatch.setattr(openssl, "read", counted)
    with relaying(ca, leaf) as rig:
        ends, records = by_hand(rig, tmp_path / "keys")
        flood = b"".join(records.key_update() for _ in range(FLOOD))
        ends.client.socket.sendall(flood + records.record(DATA, b"done"))
        assert read_exactly(ends.upstream, 4) == b"done"
        assert next(calls) > FLOOD
        ends.close()


def test_half_a_key_update_does_not_make_the_loop_spin(ca: trustme.CA, leaf: Leaf, tmp_path: Path) -> None:
    with relaying(ca, leaf) as rig:
        ends, records = by_hand(rig, tmp_path / "keys")
        ends.client.socket.sendall(records.record(DATA, b"ping"))
        assert read_exactly(ends.upstream, 4) == b"ping"
        ends.client.socket.sendall(records.record(HANDSHAKE, KEY_UPDATE[:4]))
        rig.settle()
        ends.upstream.sendall(b"pong")
        with pytest.raises(ConnectionResetError):  # what its client said last may be half of something
            ends.upstream.recv(1)
        ends.close()


class Full(Link):
    """Finds no room for its close_notify at first."""

    asked = 0

    def end_client(self) -> bool:
        self.asked += 1
        return self.asked > 1 and super().end_client()


def test_a_goodbye_that_had_to_wait_is_still_a_goodbye(ca: trustme.CA, leaf: Leaf) -> None:
    with relaying(ca, leaf) as rig:
        ends = rig.prepare(kind=Full)
        rig.loop.call(rig.relay.add, ends.link)
        ends.upstream.sendall(b"all of it")
        ends.upstream.shutdown(1)
        assert ends.client.receive_to_end() == (b"all of it", Ending.GOODBYE)
        ends.client.send(b"more")
        assert read_exactly(ends.upstream, 4) == b"more"
        ends.close()
