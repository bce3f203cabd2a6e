"""Pods over the API, from creation to the end."""

import json
from typing import Any

import pytest
import trio

from controller.api import server
from controller.runtimes import Stage
from router.model import Route
from tests.controller.api.conftest import Api
from tests.peers import DEADLINE


async def follow(api: Api, replica: str = "one", task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
    """A gateway that acknowledges whatever it gets."""
    async with api.lines(f"/v1/routes/stream?replica={replica}") as lines:
        while (line := await lines.next()) is not None:
            document = json.loads(line)
            if "version" in document:
                word = {"replica": replica, "epoch": document["epoch"], "version": document["version"]}
                assert (await api.gateway.post("/v1/routes/ack", json=word)).status_code == 204
                task_status.started()
                task_status = trio.TASK_STATUS_IGNORED


async def test_a_created_pod_tells_all_a_client_needs(api: Api) -> None:
    pod = await api.create("my-db")
    shown = (await api.admin.get("/v1/pods/my-db")).json()
    password = shown["credentials"]["owner"]["password"]
    assert len(password) >= 24
    assert password != shown["credentials"]["read"]["password"]
    assert shown["credentials"]["read"]["user"] == "reader"
    options = "?sslmode=verify-full&sslrootcert=/home%20of/ca.pem&hostaddr=127.0.0.1"
    assert shown["uris"]["postgres"] == f"postgresql://admin@my-db.pods.localhost:8443/my_db{options}"
    assert (await api.admin.patch("/v1/pods/my-db/endpoints/default", json={"access": "public"})).status_code == 200
    public = (await api.admin.get("/v1/pods/my-db")).json()["uris"]
    assert public["owner"] == f"postgresql://owner:{password}@my-db.pods.localhost:8443/my_db{options}"
    assert shown["uris"]["metrics:https"] == "https://my-db--metrics.pods.localhost:8443/"
    web: dict[str, object] = {"cors": [], "largest_body": None, "rate": 0.0, "burst": 0, "idle_timeout": 0.0}
    settings = {"port": 8443, "access": "owner", "ip_allow": [], "certificates": False, "web": web, "hosts": []}
    settings |= {"most_links": 0, "most_links_of_user": 0}
    assert shown["endpoints"] == [
        {"name": "", "host": "my-db.pods.localhost", "protocol": "postgres", "database": "my_db"} | settings,
        {"name": "metrics", "host": "my-db--metrics.pods.localhost", "protocol": "http"} | settings,
    ]
    assert (shown["owner"], shown["want"], shown["key"]) == ("admin", "on", pod["key"])
    assert shown["created_at"].endswith("Z")


async def test_a_list_tells_no_secrets(api: Api) -> None:
    await api.create()
    await api.create("page", "page")
    (first, second) = (await api.admin.get("/v1/pods")).json()["pods"]
    assert [first["name"], second["name"]] == ["mydb", "page"]
    assert not {"credentials", "uris", "env", "secrets"} & (first.keys() | second.keys())


async def test_passwords_are_told_to_the_owner_and_by_nothing_else(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    await api.create()
    credentials = (await api.admin.get("/v1/pods/mydb")).json()["credentials"]
    passwords = [each["password"] for each in credentials.values()]
    token = await api.user("mara")
    await api.share("user:mara", "manage")
    answers = [
        await api.admin.get("/v1/pods"),
        await api.admin.get("/v1/pods/mydb/events"),
        await api.admin.get("/v1/audit"),
        await api.admin.get("/v1/status"),
        await api.admin.patch("/v1/pods/mydb/endpoints/default", json={"most_links": 3}),
        await api.admin.patch("/v1/pods/mydb/endpoints/default", json={"most_links": "x"}),
        await api.admin.post("/v1/pods/mydb/rotate"),
    ]
    async with api.caller(token) as mara:
        answers += [await mara.get("/v1/pods/mydb"), await mara.post("/v1/pods/mydb/restart")]
    async with api.gateway_view() as view:
        found = (await view.read()).table.find("mydb.pods.localhost")
        assert isinstance(found, Route)
        database = found.database
        assert sorted(login.password for (login,) in database.logins.values()) == sorted(passwords)
    for text in [*(answer.text for answer in answers), caplog.text, repr(database)]:
        assert not any(password in text for password in passwords)


async def test_a_name_is_free_again_when_the_pod_is_gone(api: Api) -> None:
    first = await api.create()
    answer = await api.admin.post("/v1/pods", json={"name": "mydb", "template": "db"})
    assert (answer.status_code, answer.json()["errors"]) == (409, [{"field": "name", "reason": "taken"}])
    assert (await api.admin.delete("/v1/pods/mydb")).status_code == 202
    answer = await api.admin.get("/v1/pods/mydb/wait", params={"until": "gone", "timeout": 30})
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await api.admin.get("/v1/pods/mydb")).status_code == 404
    assert (await api.admin.get("/v1/pods/mydb/wait?until=gone")).status_code == 204
    assert (await api.create())["key"] != first["key"]


async def test_a_pod_that_is_being_deleted_cannot_be_started(api: Api) -> None:
    await api.create()
    api.runtime.refusals["remove"] = "directory busy"
    assert (await api.admin.delete("/v1/pods/mydb")).json()["want"] == "off"
    for action in ("start", "stop", "restart"):
        answer = await api.admin.post(f"/v1/pods/mydb/{action}")
        assert (answer.status_code, "being deleted" in answer.json()["detail"]) == (409, True)
    assert (await api.admin.delete("/v1/pods/mydb")).status_code == 202


async def test_stop_start_and_restart(api: Api) -> None:
    await api.create()
    for _ in range(2):
        assert (await api.admin.post("/v1/pods/mydb/stop")).status_code == 202
    assert (await api.admin.get("/v1/pods/mydb/wait?until=stopped&timeout=30")).json()["phase"] == "stopped"
    async with trio.open_nursery() as nursery:
        await nursery.start(follow, api)
        for action in ("start", "start", "restart"):
            assert (await api.admin.post(f"/v1/pods/mydb/{action}")).status_code == 202
            shown = (await api.admin.get("/v1/pods/mydb/wait?timeout=30")).json()
            assert (shown["phase"], shown["routed"]) == ("available", True)
        nursery.cancel_scope.cancel()
    kinds = [each["kind"] for each in (await api.admin.get("/v1/pods/mydb/events")).json()["events"]]
    assert kinds[0] == "created"
    assert [kind for kind in kinds if kind in ("stop", "start", "restart")] == ["stop", "start", "restart"]


async def test_waiting_for_routed_needs_the_word_of_every_gateway(api: Api) -> None:
    await api.create()
    answer = await api.admin.get("/v1/pods/mydb/wait?timeout=0.2")
    assert answer.status_code == 504
    assert answer.json()["detail"].startswith("pod 'mydb' is available, but not every gateway leads to it yet")
    async with trio.open_nursery() as nursery:
        await nursery.start(follow, api, "one")
        answer = await api.admin.get("/v1/pods/mydb/wait?timeout=30")
        assert (answer.status_code, answer.json()["routed"]) == (200, True)
        async with api.lines("/v1/routes/stream?replica=mute") as mute:
            await mute.next()
            assert (await api.admin.get("/v1/pods/mydb")).json()["routed"] is False
            assert (await api.admin.get("/v1/pods/mydb/wait?timeout=0")).status_code == 504
        with trio.fail_after(DEADLINE):
            assert (await api.admin.get("/v1/pods/mydb/wait?timeout=30")).status_code == 200
        nursery.cancel_scope.cancel()


async def test_waiting_ends_when_the_pod_fails(api: Api) -> None:
    api.runtime.refusals["launch"] = "no postgres here; install it"
    await api.create()
    answer = await api.admin.get("/v1/pods/mydb/wait?timeout=30")
    assert answer.status_code == 409
    assert "no postgres here; install it" in answer.json()["detail"]


async def test_waiting_in_vain_tells_how_the_pod_is(api: Api) -> None:
    api.runtime.launches, api.runtime.last_words = Stage.STARTING, "waits for postgres"
    await api.create()
    answer = await api.admin.get("/v1/pods/mydb/wait?timeout=0.1")
    assert answer.status_code == 504
    assert answer.json()["detail"] == "pod 'mydb' is starting: waits for postgres"


async def test_waiting_for_a_pod_that_is_deleted_ends(api: Api) -> None:
    api.runtime.launches = Stage.STARTING
    await api.create()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(api.admin.delete, "/v1/pods/mydb")
        with trio.fail_after(DEADLINE):
            assert (await api.admin.get("/v1/pods/mydb/wait?timeout=60")).status_code == 404


async def test_logs_end_with_their_reader(api: Api) -> None:
    api.runtime.lines = [b"one\n", b"two\n", b"three\n"]
    await api.create()
    answer = await api.admin.get("/v1/pods/mydb/logs?tail=2")
    api.runtime.reader_left = trio.Event()
    assert (answer.text, answer.headers["content-type"]) == ("two\nthree\n", "text/plain; charset=utf-8")
    async with api.lines("/v1/pods/mydb/logs?follow=true") as lines:
        assert [await lines.next() for _ in range(3)] == [b"one", b"two", b"three"]
        assert not api.runtime.reader_left.is_set()
    with trio.fail_after(DEADLINE):
        await api.runtime.reader_left.wait()


async def test_status_counts_pods_routes_and_gateways(api: Api) -> None:
    await api.create()
    async with trio.open_nursery() as nursery:
        await nursery.start(follow, api)
        await api.admin.get("/v1/pods/mydb/wait?timeout=30")
        status = (await api.admin.get("/v1/status")).json()
        nursery.cancel_scope.cancel()
    assert (status["pods"], status["domain"]) == ({"available": 1}, "pods.localhost")
    assert status["routes"]["count"] == 4, "two endpoints, the API's own and the console's"
    (gateway,) = status["gateways"]
    assert (gateway["replica"], gateway["current"], gateway["rejected"]) == ("one", True, [])
    assert gateway["version"] == status["routes"]["version"]


@pytest.mark.parametrize(
    ("asked", "guess"), [("neo4j", "; did you mean graph?"), ("Bolt", "; did you mean graph?"), ("x", "")]
)
async def test_a_template_that_is_called_otherwise_is_guessed(api: Api, asked: str, guess: str) -> None:
    answer = await api.admin.post("/v1/pods", json={"name": "films", "template": asked})
    assert answer.status_code == 422
    assert answer.json()["detail"].endswith(f"there are db, graph, page{guess}")


async def test_templates_and_the_description(api: Api) -> None:
    templates = (await api.admin.get("/v1/templates")).json()["templates"]
    assert [each["name"] for each in templates] == ["db", "graph", "page"]
    assert templates[2]["parameters"][0] == {
        "name": "directory",
        "help": "what to show",
        "default": "",
        "required": True,
    }
    description = (await api.admin.get("/v1/openapi.json")).json()
    create = description["paths"]["/v1/pods"]["post"]
    assert create["security"] == [{"HTTPBearer": []}]
    assert "application/problem+json" in create["responses"]["422"]["content"]


async def test_the_end_ends_streams_and_waits_at_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "END_LIMIT", 60.0)  # seconds, which none of them takes
    await api.create()
    answers: list[int] = []

    async def wait() -> None:
        answers.append((await api.admin.get("/v1/pods/mydb/wait?timeout=60")).status_code)

    async with trio.open_nursery() as nursery:
        await nursery.start(follow, api, "one")
        async with api.lines("/v1/routes/stream?replica=mute") as mute:
            await mute.next()
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked(0.05)
            api.ending.set()
            with trio.fail_after(DEADLINE):
                await api.ended.wait()
    assert answers == [503]
    assert not api.settings.socket.exists()


async def test_a_peer_that_takes_nothing_does_not_hold_up_the_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "END_LIMIT", 0.3)
    api.runtime.lines = [b"x" * 65536] * 100
    await api.create()
    token = (api.settings.home / "admin.token").read_text().strip()
    stream = await trio.open_unix_socket(api.settings.socket)
    async with stream:
        head = f"GET /v1/pods/mydb/logs HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n"
        await stream.send_all(head.encode())
        await stream.receive_some(1)
        await trio.testing.wait_all_tasks_blocked(0.05)
        api.ending.set()
        with trio.fail_after(DEADLINE):
            await api.ended.wait()


async def test_nothing_secret_is_logged(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    await api.admin.post("/v1/pods", json={"name": "mydb", "template": "db", "env": {"KEY": "hunter2"}})
    shown = (await api.admin.get("/v1/pods/mydb")).json()
    secrets = ["hunter2", *(each["password"] for each in shown["credentials"].values())]
    secrets += [(api.settings.home / name).read_text().strip() for name in ("admin.token", "gateway.token")]
    assert caplog.records
    assert not [secret for secret in secrets if secret in caplog.text]


async def test_the_socket_is_for_its_owner_alone(api: Api) -> None:
    assert api.settings.socket.stat().st_mode & 0o777 == 0o600
    assert api.settings.socket.parent.stat().st_mode & 0o777 == 0o700
