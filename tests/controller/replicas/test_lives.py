"""Two replicas as processes over one PostgreSQL and one home, with real processes as pods: one is killed, put to sleep
or cut off from the database, and what should be once is there once.
"""

import json
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import URL

from tests.controller.replicas.living import PATIENCE, Replica, until
from tests.controller.runtimes.homes import a_mark, new_home, processes_with
from tests.databases import PASSWORD, server

PODS = 4


@pytest.fixture
def home() -> Iterator[Path]:
    with new_home() as made:
        yield made


@contextmanager
def two(home: Path, url: URL) -> Iterator[tuple[Replica, Replica]]:
    """Run two replicas, the first of which leads, and end all pods in the end."""
    with ExitStack() as running:
        one = running.enter_context(Replica(home, url, "one"))
        one.leads()
        other = running.enter_context(Replica(home, url, "other"))
        try:
            yield one, other
        finally:
            (one if one.process.poll() is None else other).end_all()


def test_a_leader_killed_while_it_starts_pods_leaves_none_twice(home: Path, database: URL) -> None:
    mark = a_mark()
    names = [f"pod-{number}" for number in range(PODS)]
    with two(home, database) as (one, other):
        for name in names:
            assert other.create(name, mark).status_code == 201
        one.process.kill()
        other.leads()
        for name in names:
            other.available(name)
            assert len(processes_with(f"{mark}-{name}")) == 1, other.log
        assert {path.name for path in (home / "pods").iterdir()} == {
            pod["key"] for pod in other.get("/v1/pods")["pods"]
        }
        status = other.get("/v1/status")
        assert (status["replica"], status["leader"]) == ("other", "other")
        assert (home / "run" / "api.sock").resolve().name == "api-other.sock"
    assert PASSWORD not in other.log + one.log


def test_a_leader_that_slept_does_and_writes_nothing_when_it_wakes(home: Path, database: URL) -> None:
    mark = a_mark()
    with two(home, database) as (one, other):
        assert other.create("page", mark).status_code == 201
        other.available("page")
        one.process.send_signal(signal.SIGSTOP)
        other.leads()
        assert other.http.post("/v1/pods/page/stop").status_code == 202
        answer = other.http.get(f"/v1/pods/page/wait?until=stopped&timeout={PATIENCE}")
        assert answer.json()["phase"] == "stopped", answer.text
        one.process.send_signal(signal.SIGCONT)
        one.until("does not lead any more")
        assert one.http.get(f"/v1/pods/page/wait?until=stopped&timeout={PATIENCE}").json()["phase"] == "stopped"
        kinds = [event["kind"] for event in one.get("/v1/pods/page/events")["events"]]
        assert kinds[kinds.index("available") :] == ["available", "stop", "stopping", "stopped"]
        assert processes_with(f"{mark}-page") == []
        assert one.http.post("/v1/pods/page/start").status_code == 202, "which it asks of the leader now"
        other.available("page")
        assert len(processes_with(f"{mark}-page")) == 1


def test_changes_of_one_pod_at_two_replicas_at_once_are_all_made(home: Path, database: URL) -> None:
    users = [f"user-{number}" for number in range(12)]
    with two(home, database) as (one, other):
        for user in users:
            assert one.http.post("/v1/users", json={"name": user}).status_code == 201
        assert one.create("page", a_mark()).status_code == 201
        until(lambda: other.http.get("/v1/pods/page").status_code == 200)  # what one made, the other learns soon

        def share(by: Replica, with_whom: list[str]) -> list[int]:
            paths = [f"/v1/pods/page/grants/user:{user}" for user in with_whom]
            return [by.http.put(path, json={"level": "read"}).status_code for path in paths]

        with ThreadPoolExecutor(2) as threads:
            given = [threads.submit(share, one, users[::2]), threads.submit(share, other, users[1::2])]
        assert {status for each in given for status in each.result()} == {200}
        for replica in (one, other):
            replica.http.post("/v1/pods/page/start")  # whoever changes a pod has learned all that others changed
            grants = replica.get("/v1/pods/page/grants")
            assert {grant["to"] for grant in grants["grants"]} == {f"user:{user}" for user in users}


def test_a_pod_is_routed_at_one_replica_by_the_gateways_of_another(home: Path, database: URL) -> None:
    with two(home, database) as (one, other), one.http.stream("GET", "/v1/routes/stream?replica=g") as stream:
        assert other.create("page", a_mark()).status_code == 201
        version: dict[str, Any] = {}
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(other.http.get, f"/v1/pods/page/wait?until=routed&timeout={PATIENCE}")
            for line in stream.iter_lines():
                document = json.loads(line)
                if document["kind"] != "ping":
                    version = {"epoch": document["epoch"], "version": document["version"], "rejected": []}
                    acknowledge = partial(other.http.post, "/v1/routes/ack", json={"replica": "g", **version})
                    until(partial(takes, acknowledge))  # also where its stream is not
                if waiting.done():
                    break
        assert waiting.result().json()["routed"] is True
        assert [gateway["replica"] for gateway in other.get("/v1/status")["gateways"]] == ["g"]
        ran = f"epoch={version['epoch']}&version={version['version']}"
        with other.http.stream("GET", f"/v1/routes/stream?replica=g&{ran}") as again:
            snapshot = json.loads(next(again.iter_lines()))
        assert snapshot["epoch"] == version["epoch"]
        assert snapshot["version"] >= version["version"]


def test_a_gateways_token_is_known_and_its_name_its_own_at_every_replica(home: Path, database: URL) -> None:
    def stream(by: Replica, instance: str) -> AbstractContextManager[httpx.Response]:
        path = f"/v1/routes/stream?replica=berlin&instance={instance}&workers=3"
        return by.http.stream("GET", path, headers={"authorization": f"Bearer {token}"})

    with two(home, database) as (one, other):
        refused = other.http.get("/v1/orphans")  # only who leads looks at the runtime
        assert (refused.status_code, "does not lead" in refused.json()["detail"]) == (409, True)
        assert one.get("/v1/orphans") == {"orphans": []}
        token = other.http.post("/v1/gateway-tokens", json={"name": "berlin"}).json()["token"]
        one.http.post("/v1/users", json={"name": "alice"})  # whoever changes something has learned what others did
        with stream(one, "first") as following:
            assert following.status_code == 200
            other.http.post("/v1/users", json={"name": "bob"})
            (known,) = until(lambda: other.get("/v1/gateways")["gateways"])
            assert (known["replica"], known["workers"]) == ("berlin", 3)
            with stream(other, "second") as refused:
                assert refused.status_code == 409
            assert other.http.delete("/v1/gateway-tokens/berlin").status_code == 204
            for _ in following.iter_raw():  # until it ends, as it does for who is let in no more
                pass
        with stream(one, "first") as refused:
            assert refused.status_code == 401


def takes(call: Callable[[], httpx.Response]) -> bool:
    return call().status_code == 204


def test_a_database_that_restarts_is_used_again_and_pods_go_on(home: Path) -> None:
    mark = a_mark()
    with server() as own, two(home, own.database()) as (one, other):
        assert other.create("page", mark).status_code == 201
        other.available("page")  # which it is in the store, then
        (running,) = processes_with(f"{mark}-page")
        own.stop()
        for replica in (one, other):
            assert replica.get("/v1/pods/page")["phase"] == "available"
            refused = replica.http.post("/v1/pods/page/stop")
            assert (refused.status_code, "does not answer" in refused.text) == (503, True)
        one.until("does not lead any more")
        for replica in (one, other):
            status = until(partial(status_with, "database", replica))
            assert "leader" not in status
            assert "does not answer" in status["database"]
            assert status["database"].endswith("; it is used again when it is back: try again then")
        own.start()
        assert replica_that_writes(one, other).http.post("/v1/pods/page/restart").status_code == 202
        until(lambda: processes_with(f"{mark}-page") not in ([], [running]))
        assert other.available("page")["want"] == "on"
        for replica in (one, other):
            assert "database" not in until(partial(status_with, "leader", replica))


def status_with(field: str, replica: Replica) -> Any:
    """What a replica tells of itself, once that has a field."""
    status = replica.get("/v1/status")
    return status if field in status else None


def replica_that_writes(*replicas: Replica) -> Replica:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for replica in replicas:
            try:
                if replica.http.post("/v1/pods/page/start").status_code == 202:
                    return replica
            except httpx.TransportError:
                continue
    raise AssertionError("the database is not used again")
