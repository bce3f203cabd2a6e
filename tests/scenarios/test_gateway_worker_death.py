"""A worker that is killed loses its own links and nothing else: its successor inherits its socket and its queue."""

import os
import select
import signal
import time
from pathlib import Path

from tests.gateway.process import Site, echo_once
from tests.peers import DEADLINE, Ending, TlsPeer, plain_to, trusting
from tests.upstreams import Upstream

HOST = "echo.pods.test"
LINKS, QUEUED = 40, 60


def wait_until_stopped(pid: int) -> None:
    """Wait until no thread of a process runs: the signal alone only asks for that."""
    deadline = time.monotonic() + DEADLINE
    threads = list(Path(f"/proc/{pid}/task").iterdir())
    while any((thread / "stat").read_text().rpartition(")")[2].split()[0] != "T" for thread in threads):
        assert time.monotonic() < deadline, "it was not stopped"


def test_a_killed_worker_loses_its_own_links_and_no_queued_connection(place: Site, echoing: Upstream) -> None:
    place.write({HOST: echoing.address})
    with place.running(workers=2) as gateway:
        victim, other = gateway.workers
        links = [place.connect(HOST) for _ in range(LINKS)]
        for client in links:
            echo_once(client)
        os.kill(victim, signal.SIGSTOP)  # what comes to its socket now waits in the kernel's queue
        wait_until_stopped(victim)
        waiting = [TlsPeer(plain_to(place.port), trusting(place.ca), HOST) for _ in range(QUEUED)]
        for client in waiting:
            client.socket.sendall(client.hello())
        os.kill(victim, signal.SIGKILL)
        for client in waiting:
            client.handshake()
            echo_once(client)
        lost = 0
        for client in links:
            try:
                echo_once(client)
            except (EOFError, OSError):
                lost += 1
        # The kernel spreads connections evenly: 40 leave less than 8 to one of two in one of 100,000 runs.
        assert 8 <= lost <= LINKS - 8
        assert other in gateway.workers
        gateway.wait_for("worker 0 ended .killed by SIGKILL.; replaced|worker 1 ended .killed by SIGKILL.; replaced")
        for client in [*links, *waiting]:
            client.close()


def test_workers_drain_when_their_supervisor_is_killed_and_another_takes_over(place: Site, echoing: Upstream) -> None:
    place.write({HOST: echoing.address})
    with place.running(workers=2) as gateway:
        client = place.connect(HOST)
        echo_once(client)
        workers = [os.pidfd_open(pid) for pid in gateway.workers]
        gateway.signal(signal.SIGKILL)
        gateway.wait()
        with place.running(port=place.port):
            place.echoes(HOST)
            echo_once(client, b"the old link goes on")
        client.end()
        assert client.receive_to_end() == (b"", Ending.GOODBYE)
        client.close()
        for worker in workers:
            assert select.select((worker,), (), (), DEADLINE)[0], "a worker did not end"
            os.close(worker)
