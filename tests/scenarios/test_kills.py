"""kill -9, in turn, of everything that runs: what must go on goes on, and what must come back comes back."""

import os
import select
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.running import Pod, Podgate, running_podgate
from tests.scenarios.replicas import eventually


@pytest.fixture(scope="module")
def podgate() -> Iterator[Podgate]:
    with running_podgate("--workers", "2") as running:
        yield running


@pytest.fixture(scope="module")
def database(podgate: Podgate) -> Pod:
    pod = podgate.create("mydb", "postgres")
    with psycopg.connect(pod["uris"]["owner"]) as connection:
        connection.execute("create table kept as select 42 as n")
    return pod


def postmaster(podgate: Podgate) -> int:
    (path,) = (podgate.home / "pods").glob("mydb-*/data/**/postmaster.pid")
    return int(path.read_text().splitlines()[0])


def read_kept(pod: Pod) -> object:
    with psycopg.connect(pod["uris"]["read"]) as connection:
        return connection.execute("select n from kept").fetchone()


def kill(pid: int) -> None:
    """Kill a process that is not ours to reap, and wait until it is gone."""
    descriptor = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    await_end(descriptor)


def await_end(descriptor: int) -> None:
    """Wait for the process behind a pidfd."""
    ended, _, _ = select.select([descriptor], [], [], 60)
    os.close(descriptor)
    assert ended, "it should have ended"


def kill_the_postmaster_with_a_live_query(podgate: Podgate, pod: Pod) -> None:
    restarts = podgate.show("mydb")["restarts"]
    with psycopg.connect(pod["uris"]["owner"]) as connection:
        started = threading.Event()

        def ask() -> None:
            started.set()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("select pg_sleep(600)")

        query = threading.Thread(target=ask)
        query.start()
        started.wait()
        kill(postmaster(podgate))
        query.join(30)
        assert not query.is_alive()
    eventually(lambda: podgate.call("GET", "pods/mydb")["restarts"] > restarts)  # until then it looks as before
    podgate.run("pod", "start", "mydb", "--wait")
    assert read_kept(pod) == (42,)
    assert podgate.show("mydb")["restarts"] == restarts + 1


def test_a_postmaster(podgate: Podgate, database: Pod) -> None:
    kill_the_postmaster_with_a_live_query(podgate, database)


def test_the_controller_and_then_an_adopted_postmaster(podgate: Podgate, database: Pod) -> None:
    before = postmaster(podgate)
    restarts = podgate.show("mydb")["restarts"]
    (controller,) = podgate.children("controller")
    with psycopg.connect(database["uris"]["owner"]) as connection:
        kill(controller)
        assert connection.execute("select 1").fetchone() == (1,), "a link goes on without a controller"
        assert read_kept(database) == (42,), "a new connection is made without a controller"
        podgate.run("status", "--wait", "60")
        assert connection.execute("select 2").fetchone() == (2,), "and when it has come back"
    assert (postmaster(podgate), podgate.show("mydb")["restarts"]) == (before, restarts), "the pod was adopted"
    assert podgate.children("controller") != [controller]
    kill_the_postmaster_with_a_live_query(podgate, database)


def test_a_worker(podgate: Podgate, database: Pod) -> None:
    victim, other = podgate.children("gateway.worker")
    kill(victim)
    assert [read_kept(database) for _ in range(20)] == [(42,)] * 20
    assert other in podgate.children("gateway.worker")


def test_podgate_itself(podgate: Podgate, database: Pod) -> None:
    before = postmaster(podgate)
    children = podgate.children("gateway.worker") + podgate.children("controller")
    ends = [os.pidfd_open(child) for child in children]
    podgate.serve.kill()
    podgate.serve.wait()
    for end in ends:
        await_end(end)
    assert postmaster(podgate) == before, "pods outlive it"
    podgate.start()
    podgate.run("pod", "start", "mydb", "--wait")
    assert postmaster(podgate) == before, "and are adopted"
    assert read_kept(database) == (42,)


def test_nothing_is_left_in_the_open(podgate: Podgate, database: Pod) -> None:
    """No secret of a pod is in any process's arguments or in our logs."""
    secrets = [credential["password"] for credential in database["credentials"].values()]
    secrets += [(podgate.home / name).read_text().strip() for name in ("admin.token", "gateway.token")]
    arguments = subprocess.run(["ps", "axww", "-o", "args"], check=True, capture_output=True, text=True).stdout
    logs = "".join(path.read_text(errors="replace") for path in podgate.home.rglob("*log*") if path.is_file())
    for secret in secrets:
        assert secret not in arguments
        assert secret not in logs
    assert Path(podgate.home / "admin.token").stat().st_mode & 0o777 == 0o600
