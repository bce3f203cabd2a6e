"""Replicas as people start them: `podgate gateway --replica`, and what keeps one from starting."""

from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from gateway.enrolment import Enrolment
from gateway.identity import SignedIdentity
from gateway.wire.pgmessage import cancel_request
from podgate import serving
from podgate.cli.failure import Failure
from podgate.following import OWN, Follow
from podgate.serving import Replica
from tests.gateway.databases import cancel, database, log_in
from tests.gateway.process import GatewayProcess, Site
from tests.peers import free_port

HOST = "db.pods.test"
AMONG = Replica(1, ("127.0.0.1:7001",), "127.0.0.1:0")  # two
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


# ---- following a controller elsewhere, which is not asked for anything here


@pytest.fixture
def follow(tmp_path: Path) -> Follow:
    return Follow("https://api.pods.test", token=tmp_path / "no token, so nobody could be asked")


def own_pair(home: Path) -> serving.Place:
    return replace(place_at(home), certificate=home / "own.pem", key=home / "own.key")


def test_who_brings_a_pair_for_clients_is_known_to_peers_by_what_the_controller_signs(
    tmp_path: Path, follow: Follow
) -> None:
    place, told = serving._enrolled(own_pair(tmp_path), AMONG, follow)
    assert place == own_pair(tmp_path)
    enrolment = Enrolment(tmp_path / "gateway" / "signed")
    assert told == replace(follow, enrolment=enrolment)  # nor is anybody's certificate asked for without being told
    assert isinstance(serving._identity(place, AMONG, enrolment), SignedIdentity)


@pytest.mark.parametrize("replica", [Replica(), replace(AMONG, certificate=Path("c"), key=Path("k"), ca=Path("ca"))])
def test_who_needs_nothing_signed_asks_for_nothing(tmp_path: Path, follow: Follow, replica: Replica) -> None:
    assert serving._enrolled(own_pair(tmp_path), replica, follow) == (own_pair(tmp_path), follow)


def test_the_controller_of_the_same_home_signs_nothing_for_a_gateway(tmp_path: Path) -> None:
    assert serving._enrolled(place_at(tmp_path), AMONG, OWN) == (place_at(tmp_path), OWN)


@pytest.mark.parametrize("half", [{"certificate": Path("own.pem")}, {"key": Path("own.key")}])
def test_half_a_pair_is_told_before_anything_is_signed(tmp_path: Path, half: dict[str, Path]) -> None:
    with pytest.raises(Failure, match="--certificate and --key belong together"):
        serving._prepared(replace(place_at(tmp_path), **half))  # type: ignore[arg-type]
