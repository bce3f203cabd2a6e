"""What keeps a gateway from starting is told in one sentence."""

import socket

from tests.gateway.process import Site
from tests.upstreams import Upstream


def test_a_port_in_use_is_told_in_one_sentence(place: Site) -> None:
    with socket.socket() as holder, socket.socket() as sharing:
        sharing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as another gateway of ours would
        starting = []
        for held in (holder, sharing):
            held.bind(("127.0.0.1", 0))
            held.listen()
            port = held.getsockname()[1]
            starting.append((port, place.start("--workers", "1", port=port)))
        for port, gateway in starting:
            assert gateway.wait() == 1
            gateway.close()
            assert "Traceback" not in gateway.log
            assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in gateway.lines[-1]


def test_a_certificate_that_cannot_be_used_is_told_in_one_sentence(place: Site) -> None:
    place.key.chmod(0o644)
    gateway = place.start("--workers", "1")
    assert gateway.wait() == 1
    gateway.close()
    assert len(gateway.lines) == 1
    assert "chmod 600" in gateway.lines[0]


def test_a_start_without_a_readable_routes_file_serves_what_was_known_last(place: Site, echoing: Upstream) -> None:
    host = "echo.pods.test"
    place.write({host: echoing.address})
    with place.running() as gateway:
        gateway.wait_for("version 1 is live")
        while not list((place.home / "gateway").glob("*.json")):
            place.echoes(host)  # until it has been saved
    place.routes.write_text("[[[")
    with place.running():
        place.echoes(host)
