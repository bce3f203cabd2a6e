"""Whatever is wrong with a call: a problem document that names it, and nothing half-created."""

import json
from typing import Any

import httpx
import pytest
import trio

from controller.api.gate import LONGEST_BODY
from controller.api.poddocuments import LONGEST_VALUE, MOST_ENV, MOST_ENV_BYTES
from tests.controller.api.conftest import Api
from tests.peers import DEADLINE

GOOD = {"name": "mydb", "template": "db"}
PAGE = {"name": "mypage", "template": "page", "parameters": {"directory": "/srv"}}


def problem_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    assert document["title"]
    assert document["type"] == "about:blank"
    assert document["detail"]
    return document


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"name": "a"}, "name", "3 to 40 characters"),
        ({"name": "a" * 41}, "name", "3 to 40 characters"),
        ({"name": "a" * 101}, "name", "at most 100"),
        ({"name": "My-DB"}, "name", "lower-case"),
        ({"name": "my--db"}, "name", "single '-'"),
        ({"name": "../etc"}, "name", "cannot name a pod"),
        ({"name": "api"}, "name", "reserved"),
        ({"name": 7}, "name", "string"),
        ({"name": None}, "name", "string"),
        ({"template": "oracle"}, "template", "there are db, graph, page"),
        ({"template": ["db"]}, "template", "string"),
        ({"access": "everybody"}, "access", "public, read, write, manage, owner"),
        ({"access": 0}, "access", "string"),
        ({"parameters": {"colour": "red"}}, "parameters.colour", "no such parameter"),
        ({"parameters": {"directory": 7}}, "parameters.directory", "string"),
        ({"template": "page"}, "parameters.directory", "needs it"),
        ({"env": {"1A": "x"}}, "env", "'1A' cannot name a variable"),
        ({"env": {"A=B": "x"}}, "env", "cannot name a variable"),
        ({"env": {"": "x"}}, "env", "cannot name a variable"),
        ({"env": {"A\n": "x"}}, "env", "cannot name a variable"),
        ({"env": {"A": "x\0y"}}, "env", "NUL"),
        ({"name": "db\ud800"}, "name", "unicode"),
        ({"env": {"A": "\ud800"}}, "env.A", "unicode"),
        ({"parameters": {"A": "\ud800"}}, "parameters.A", "unicode"),
        ({"parameters": {"\ud800": "x"}}, "parameters.\ufffd\ufffd\ufffd.[key]", "unicode"),
        ({"env": {"A": "x" * (LONGEST_VALUE + 1)}}, "env.A", f"at most {LONGEST_VALUE}"),
        ({"env": {f"A{number}": "x" for number in range(MOST_ENV + 1)}}, "env", f"at most {MOST_ENV}"),
        ({"env": {f"A{n}": "x" * LONGEST_VALUE for n in range(5)}}, "env", f"longer than {MOST_ENV_BYTES}"),
        ({"env": ["A=x"]}, "env", "an object"),
        ({"endpoints": []}, "endpoints", "an object"),
        ({"endpoints": {"web": {}}}, "endpoints.web", "there are: default, metrics"),
        ({"endpoints": {"": {}}}, "endpoints.", "there are: default, metrics"),
        ({"endpoints": {"default": {"access": "all"}}}, "endpoints.default.access", "public, read, write"),
        ({"endpoints": {"default": {"ip_allow": ["10.0.0.1/8"]}}}, "endpoints.default.ip_allow", "host bits"),
        ({"endpoints": {"default": {"ip_allow": ["x"]}}}, "endpoints.default.ip_allow", "IPv4 or IPv6"),
        ({"endpoints": {"default": {"certificates": "yes"}}}, "endpoints.default.certificates", "boolean"),
        ({"endpoints": {"default": {"web": {"rate": 5}}}}, "endpoints.default.web", "for http"),
        ({"endpoints": {"metrics": {"most_links": 5}}}, "endpoints.metrics.most_links", "databases"),
        (
            {"endpoints": {"metrics": {"most_links_of_user": 5}}},
            "endpoints.metrics.most_links_of_user",
            "for databases",
        ),
        ({"endpoints": {"default": {"most_links": -1}}}, "endpoints.default.most_links", "at least 0"),
        ({"endpoints": {"default": {"most_links": 1000001}}}, "endpoints.default.most_links", "at most 1000000"),
        ({"endpoints": {"default": {"most_links": True}}}, "endpoints.default.most_links", ""),
        ({"endpoints": {"metrics": {"web": {"rate": -5}}}}, "endpoints.metrics.web", "from 0 on"),
        ({"endpoints": {"metrics": {"web": {"cors": ["null"]}}}}, "endpoints.metrics.web", "origins such as"),
        ({"endpoints": {"metrics": {"colour": "red"}}}, "endpoints.metrics.colour", "no such field"),
        ({"owner": "alice"}, "owner", "no such field"),
    ],
)
async def test_a_pod_that_cannot_be(api: Api, change: dict[str, object], field: str, reason: str) -> None:
    content = json.dumps(GOOD | change)
    answer = await api.admin.post("/v1/pods", content=content, headers={"content-type": "application/json"})
    document = problem_of(answer, 422)
    assert field in [each["field"] for each in document["errors"]]
    assert any(reason in each["reason"] for each in document["errors"]), document
    assert field in document["detail"]
    assert f"{field}: {field}:" not in document["detail"]
    assert "Value error" not in answer.text
    assert (await api.admin.get("/v1/pods")).json() == {"pods": []}
    assert api.runtime.calls == []


async def test_what_a_caller_sent_is_not_shown_back(api: Api) -> None:
    answer = await api.admin.post("/v1/pods", json=GOOD | {"env": {"PASSWORD": "hunter2\0"}})
    assert "hunter2" not in answer.text
    answer = await api.admin.post("/v1/pods", json=GOOD | {"env": {"PASSWORD": ["hunter2"]}})
    assert "hunter2" not in answer.text


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"{", "not JSON"), (b"", "required"), (b"[]", "an object"), (b'"x"', "an object"), (b"\xff\xfe", "")],
)
async def test_a_body_that_is_no_document(api: Api, body: bytes, reason: str) -> None:
    answer = await api.admin.post("/v1/pods", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    document = problem_of(answer, answer.status_code)
    assert reason.lower() in document["detail"].lower()


async def test_a_body_that_is_not_said_to_be_json(api: Api) -> None:
    for headers in ({}, {"content-type": "application/x-www-form-urlencoded"}):
        answer = await api.admin.post("/v1/pods", content=json.dumps(GOOD), headers=headers)
        assert "send Content-Type: application/json" in problem_of(answer, 415)["detail"]


def of_length(length: int) -> bytes:
    empty = json.dumps(GOOD | {"env": {"A": ""}}).encode()
    return empty[:-3] + b"x" * (length - len(empty)) + empty[-3:]


async def test_the_longest_body_and_one_byte_more(api: Api) -> None:
    fits = await api.admin.post(
        "/v1/pods", content=of_length(LONGEST_BODY), headers={"content-type": "application/json"}
    )
    problem_of(fits, 422)
    too_long = await api.admin.post("/v1/pods", content=of_length(LONGEST_BODY + 1))
    assert f"longer than {LONGEST_BODY} bytes" in problem_of(too_long, 413)["detail"]


async def test_a_long_body_without_a_length_is_refused_and_the_next_call_answered(api: Api) -> None:
    async def pieces() -> Any:
        for _ in range(40):
            yield b" " * 65536

    problem_of(await api.admin.post("/v1/pods", content=pieces()), 413)
    assert (await api.admin.get("/v1/pods")).status_code == 200


NOWHERE = [
    ("GET", "/", 404),
    ("GET", "/v1/nothing", 404),
    ("GET", "/v1/pods/", 404),
    ("GET", "/v1/pods/nobody", 404),
    ("GET", "/v1/pods/nobody/events", 404),
    ("GET", "/v1/pods/nobody/logs", 404),
    ("GET", "/v1/pods/nobody/wait", 404),
    ("GET", "/v1/pods/..%2f..%2fetc", 404),
    ("POST", "/v1/pods/nobody/start", 404),
    ("DELETE", "/v1/pods/nobody", 404),
    ("PUT", "/v1/pods", 405),
    ("DELETE", "/v1/status", 405),
    ("GET", "/v1/pods/nobody/wait?until=rich", 422),
    ("GET", "/v1/pods/nobody/wait?timeout=-1", 422),
    ("GET", "/v1/pods/nobody/wait?timeout=nan", 422),
    ("GET", "/v1/pods/nobody/wait?timeout=1e9", 422),
    ("GET", "/v1/pods/nobody/logs?tail=-1", 422),
    ("GET", "/v1/pods/nobody/logs?follow=maybe", 422),
    ("GET", "/v1/routes/stream", 422),
    ("GET", "/v1/routes/stream?replica=", 422),
    ("GET", "/v1/routes/stream?replica=one&workers=0", 422),
]


async def test_a_call_that_leads_nowhere(api: Api) -> None:
    for method, path, status in NOWHERE:
        problem_of(await api.admin.request(method, path), status)


WRONG_TOKENS = ["", "Bearer", "Bearer wrong", "Basic YWRtaW46YWRtaW4=", "bearer\twrong", "Bearer " + "x" * 10_000]


@pytest.mark.parametrize("path", ["/v1/pods", "/v1/nothing", "/v1/openapi.json", "/v1/routes/stream?replica=x"])
async def test_nobody_gets_in(api: Api, path: str) -> None:
    for authorization in WRONG_TOKENS:
        answer = await api.nobody.get(path, headers={"authorization": authorization} if authorization else {})
        problem_of(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_health_needs_no_token(api: Api) -> None:
    answer = await api.nobody.get("/v1/healthz", headers={"host": "whatever.example"})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/v1/pods", "/v1/status", "/v1/routes", "/v1/openapi.json"])
async def test_a_gateway_gets_at_routes_only(api: Api, path: str) -> None:
    problem_of(await api.gateway.get(path), 403)


async def test_an_unexpected_failure_shows_a_number_and_logs_the_rest(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("controller.api.podview.credentials_of", lambda *_: 1 / 0)
    document = problem_of(await api.admin.post("/v1/pods", json=GOOD), 500)
    assert "ZeroDivision" not in json.dumps(document)
    number = document["detail"].rsplit(" ", 1)[1]
    (record,) = [each for each in caplog.records if number in each.getMessage()]
    assert record.exc_info


async def test_a_full_disk_creates_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from controller.store.database import StoreFailure
    from controller.store.store import Store

    with monkeypatch.context() as patch:
        for full, status in ((True, 507), (False, 503)):

            def refuse(*_: object, full: bool = full) -> None:
                raise StoreFailure("store: no space left; free some", full=full)

            patch.setattr(Store, "create", refuse)
            assert "free some" in problem_of(await api.admin.post("/v1/pods", json=GOOD), status)["detail"]
    assert (await api.admin.get("/v1/pods")).json() == {"pods": []}
    await api.create("mydb")


IMPOSSIBLE_WORDS: list[dict[str, object]] = [
    {"version": -1},
    {"version": "1"},
    {"version": 1.5},
    {"version": True},
    {"epoch": None},
    {"replica": ""},
    {"rejected": [{"host": "x"}]},
    {"rejected": [{"host": "x", "reason": "y", "more": "z"}]},
    {"more": 1},
]


async def test_an_acknowledgement_that_cannot_be(api: Api) -> None:
    good = {"replica": "one", "epoch": "e", "version": 1, "rejected": []}
    for change in IMPOSSIBLE_WORDS:
        problem_of(await api.gateway.post("/v1/routes/ack", json=good | change), 422)
    problem_of(await api.gateway.post("/v1/routes/ack", json=good), 409)


async def test_garbage_on_the_socket_harms_nobody(api: Api) -> None:
    for garbage in (b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nA: " + b"x" * 70_000 + b"\r\n\r\n"):
        with trio.fail_after(DEADLINE):
            stream = await trio.open_unix_socket(api.settings.socket)
            async with stream:
                await stream.send_all(garbage)
                await stream.send_eof()
                answer = await stream.receive_some()
        assert not answer or answer.startswith(b"HTTP/1.1 4")
    assert (await api.admin.get("/v1/status")).status_code == 200
