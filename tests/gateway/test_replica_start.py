"""Replicas as people start them: `podgate gateway --replica`, and what keeps one from starting."""

from pathlib import Path

import pytest
import trustme

from gateway.wire.pgmessage import cancel_request
from podgate import serving
from podgate.cli.failure import Failure
from podgate.serving import Replica
from tests.gateway.databases import cancel, database, log_in
from tests.gateway.process import GatewayProcess, Site
from tests.ports import free_port

HOST = "db.pods.test"
ROUTE = '[[route]]\nhost = "{}"\nprotocol = "postgres"\nupstreams = ["{}"]\naccess = "public"\n'


def start(place: Site, number: int, here: int, there: int, *more: str) -> GatewayProcess:
    return place.start(
        "--workers", "1", "--replica", str(number), "--peer-listen", f"127.0.0.1:{here}",
        "--peer", f"127.0.0.1:{there}", *more,
    )  # fmt: skip


def port_of(gateway: GatewayProcess) -> int:
    return int(gateway.wait_for(r"gateway is up on [^ ]*:(\d+)")[1])


def test_two_replicas_of_a_home_pass_on_each_others_cancels(place: Site, ca: trustme.CA) -> None:
    ports = (free_port(), free_port())
    with database() as real:
        place.write({}, ROUTE.format(HOST, real.address))
        one, two = start(place, 7, *ports), start(place, 63, ports[1], ports[0])
        try:
            session = log_in(port_of(one), ca, HOST)
            assert session.owner.replica == 7
            cancel(port_of(two), session.key)
            assert real.cancels.get_nowait() == cancel_request(real.key(1))
            one.wait_for("peers: 127.0.0.1 passed on a cancel$")
            session.client.close()
        finally:
            one.close()
            two.close()
    for gateway in (one, two):
        assert session.key.secret.hex() not in gateway.log


def test_a_replica_that_cannot_be_one_says_so_in_one_sentence(place: Site) -> None:
    gateway = place.start("--replica", "1", "--peer", "127.0.0.1:7001")
    assert gateway.wait() == 1
    gateway.close()
    assert len(gateway.lines) == 1
    assert "--peer and --peer-listen belong together" in gateway.lines[0]


def place_at(home: Path) -> serving.Place:
    return serving.Place(home, "pods.test", "127.0.0.1:0", None, 1, 0.0, None)


@pytest.mark.parametrize(
    ("replica", "told"),
    [
        (Replica(1, ("h:1",)), "give --peer HOST:PORT for each of the others, and --peer-listen HOST:PORT"),
        (Replica(1, (), "h:1"), "--peer and --peer-listen belong together"),
        (
            Replica(1, ("h:1",), "127.0.0.1:0", Path("c")),
            "--peer-certificate, --peer-key and --peer-ca belong together",
        ),
        (Replica(1, ("h:1",), "127.0.0.1:0", None, None, Path("ca")), "give all three"),
        (Replica(1, (), None, Path("c"), Path("k"), Path("ca")), "give --peer and --peer-listen"),
    ],
)
def test_what_is_needed_is_asked_for(tmp_path: Path, replica: Replica, told: str) -> None:
    with pytest.raises(Failure, match=told):
        serving._peers(place_at(tmp_path), replica)


@pytest.mark.parametrize("peer", ["", "db", "h:", "h:99999"])
def test_a_peer_is_a_host_and_a_port(tmp_path: Path, peer: str) -> None:
    with pytest.raises(ValueError, match="expected HOST:PORT"):
        serving._peers(place_at(tmp_path), Replica(1, (peer,), "127.0.0.1:0"))


def test_alone_there_is_no_port_for_peers(tmp_path: Path) -> None:
    assert serving._peers(place_at(tmp_path), Replica(3)) is None
