"""Signals to a gateway: SIGTERM and SIGINT drain, a second one does not wait, SIGHUP reloads."""

import contextlib
import os
import signal

import pytest

from tests.gateway.process import Site, echo_once, until
from tests.peers import Ending, plain_to
from tests.upstreams import Upstream

HOST, OTHER = "echo.pods.test", "other.pods.test"


def refuse(port: int) -> None:
    """Connect until it is refused."""
    while True:
        try:
            with contextlib.suppress(ConnectionResetError):  # it was queued at the very moment of the close
                plain_to(port).close()
        except ConnectionRefusedError:
            return


def test_sigterm_takes_nothing_new_and_lets_links_end(place: Site, echoing: Upstream) -> None:
    place.write({HOST: echoing.address})
    with place.running("--drain", "20", workers=2) as gateway:
        client = place.connect(HOST)
        echo_once(client)
        gateway.signal(signal.SIGTERM)
        gateway.wait_for("draining")
        refuse(place.port)
        echo_once(client, b"the link goes on")
        client.end()
        assert client.receive_to_end() == (b"", Ending.GOODBYE)
        assert gateway.wait() == 0
        client.close()


def test_sigterm_waits_no_longer_than_its_grace(place: Site, echoing: Upstream) -> None:
    place.write({HOST: echoing.address})
    with place.running("--drain", "0.3") as gateway:
        client = place.connect(HOST)
        echo_once(client)
        gateway.signal(signal.SIGTERM)
        assert client.receive_to_end() == (b"", Ending.FIN)
        assert gateway.wait() == 0
        client.close()


def test_a_second_sigterm_does_not_wait(place: Site, echoing: Upstream) -> None:
    place.write({HOST: echoing.address})
    with place.running("--drain", "60") as gateway:
        client = place.connect(HOST)
        echo_once(client)
        gateway.signal(signal.SIGTERM)
        gateway.wait_for("draining")
        gateway.signal(signal.SIGTERM)
        gateway.wait()
        client.close()
        assert "Traceback" not in gateway.log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_of_the_group_drains_too(place: Site, echoing: Upstream, number: signal.Signals) -> None:
    """As a terminal sends SIGINT, and a service manager SIGTERM."""
    place.write({HOST: echoing.address})
    with place.running("--drain", "20", workers=2) as gateway:
        client = place.connect(HOST)
        echo_once(client)
        os.killpg(gateway.process.pid, number)
        gateway.wait_for("draining")
        echo_once(client, b"the link goes on")
        client.close()
        assert gateway.wait() == 0
        assert "Traceback" not in gateway.log


def test_sigterm_while_a_worker_is_being_replaced_ends_all(place: Site) -> None:
    with place.running("--drain", "60") as gateway:
        worker = gateway.workers[0]
        os.kill(worker, signal.SIGKILL)
        gateway.wait_for("replaced in")
        gateway.signal(signal.SIGTERM)
        assert gateway.wait() == 0
        assert "killing it" not in gateway.log


def test_sighup_reads_the_routes_again_even_if_the_file_looks_the_same(place: Site) -> None:
    place.write({HOST: "127.0.0.1:1"})
    with place.running() as gateway:
        gateway.wait_for("version 1 is live")
        seen = len(gateway.lines)
        gateway.signal(signal.SIGHUP)
        gateway.wait_for("version 2 is live", seen)
        assert gateway.process.poll() is None


def test_sighup_does_not_disturb_links(place: Site, echoing: Upstream) -> None:
    place.write({HOST: echoing.address})
    with place.running(workers=2) as gateway:
        client = place.connect(HOST)
        echo_once(client)
        place.write({HOST: echoing.address, OTHER: echoing.address})
        os.killpg(gateway.process.pid, signal.SIGHUP)
        until(lambda: place.echoes(OTHER))
        echo_once(client)
        client.close()
