"""`podgate pod …` against a small controller."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers import DEADLINE
from tests.podgate.cli.conftest import Run
from tests.podgate.cli.controller import SINCE, Controller, pod, problem

STARTING = problem(504, "mydb is starting: waiting for Postgres")


def test_a_pod_is_created_as_told(
    run: Run, controller: Controller, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.chdir(home)
    (home / "site").mkdir()
    told = ("--parameter", "a=b=c", "--env", "X=", "--env", "Y=1 2", "--directory", "site", "--command", "run $PORT")
    run("pod", "create", "mydb", "--template", "web", "--access", "read", "--no-wait", *told)
    parameters = {"a": "b=c", "directory": str(home / "site"), "command": "run $PORT"}
    body = {"name": "mydb", "template": "web", "access": "read", "parameters": parameters, "env": {"X": "", "Y": "1 2"}}
    assert controller.calls == [("POST /v1/pods", body)]


def test_creating_waits_until_every_gateway_routes_it(run: Run, controller: Controller) -> None:
    controller.answers["GET /v1/pods/mydb/wait"] = [STARTING, STARTING, (200, pod("mydb"))]
    created = run("pod", "create", "mydb", "--template", "postgres", "--json").json()
    assert (created["phase"], created["routed"]) == ("available", True)
    assert created["credentials"]["owner"] == {"user": "owner", "password": "o@ w"}
    assert {"name", "phase", "endpoints", "credentials", "uris"} <= created.keys()
    assert [call.partition("?")[0] for call, _ in controller.calls][1:] == ["GET /v1/pods/mydb/wait"] * 3
    assert all("until=routed" in call for call, _ in controller.calls[1:])


def test_creating_without_waiting_returns_at_once(run: Run, controller: Controller) -> None:
    outcome = run("pod", "create", "mydb", "--template", "postgres", "--no-wait", "--json").json()
    assert outcome["phase"] == "requested"
    assert len(controller.calls) == 1


def test_a_pod_that_fails_while_waiting_is_a_failure(run: Run, controller: Controller) -> None:
    controller.answers["GET /v1/pods/mydb/wait"] = [STARTING, problem(409, "mydb failed: exit status 1: no space.")]
    outcome = run("pod", "create", "mydb", "--template", "postgres")
    cure = "it stays, see: podgate pod logs mydb; remove it with: podgate pod delete mydb"
    assert outcome.failed_with(f"mydb failed: exit status 1: no space; {cure}")


def test_a_pod_that_is_deleted_while_waiting_is_a_failure(run: Run, controller: Controller) -> None:
    controller.answers["GET /v1/pods/mydb/wait"] = [STARTING, problem(404, "there is no pod named 'mydb'")]
    assert run("pod", "create", "mydb", "--template", "postgres").failed_with("mydb was deleted meanwhile")


def test_ctrl_c_while_waiting_tells_that_the_pod_goes_on(controller: Controller) -> None:
    controller.answers["GET /v1/pods/mydb/wait"] = [STARTING]
    with podgate("pod", "create", "mydb", "--template", "postgres") as creating:
        while len(controller.calls) < 2:
            assert creating.poll() is None
        creating.send_signal(signal.SIGINT)
        _, err = creating.communicate(timeout=DEADLINE)
    look, remove = "look at it with: podgate pod show mydb", "remove it with: podgate pod delete mydb"
    assert (creating.returncode, err) == (130, f"mydb goes on by itself; {look}; {remove}\n")


def test_who_makes_a_pod_that_is_not_public_learns_who_can_connect(run: Run, controller: Controller) -> None:
    controller.add(pod("site", "web", "http"), pod("site2", "web", "http", access="read"))
    owners, readers = run("pod", "show", "site"), run("pod", "show", "site2")
    cure = "podgate pod access site read, then podgate share site --with USER"
    assert owners.err == f"Only its owner can connect; to let others in: {cure}\n"
    cure = "podgate share site2 --with USER --level read"
    assert readers.err == f"Whoever holds read on it can connect; to let others in: {cure}\n"
    assert "podgate connect" not in owners.out + readers.out
    told = ("pod", "create", "mydb", "--template", "web", "--no-wait")
    assert run(*told).err == (
        "It asks for owner. mydb takes whoever holds owner, by their own user name and with an API token of theirs as "
        "the password (podgate token create psql)\n"
    )
    everyones = run(*told, "--access", "public")
    assert (everyones.err, "podgate connect mydb" in everyones.out) == ("", True)
    assert run(*told, "--json").err == ""


def test_a_directory_that_is_not_here_is_told_before_anything_is_asked(
    run: Run, controller: Controller, home: Path
) -> None:
    for path in (home / "none", home / "admin.token"):
        outcome = run("pod", "create", "site", "--template", "web", "--directory", str(path))
        assert (outcome.code, outcome.out, controller.calls) == (2, "", [])
        assert "there is no directory" in outcome.err


def test_a_pod_that_takes_too_long_is_a_failure(run: Run, controller: Controller) -> None:
    controller.answers["GET /v1/pods/mydb/wait"] = [STARTING]
    outcome = run("pod", "create", "mydb", "--template", "postgres", "--timeout", "0.05")
    cure = "it goes on by itself, see: podgate pod show mydb"
    assert outcome.failed_with(f"not routed after 0.05 s: mydb is starting: waiting for Postgres; {cure}")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (problem(409, "a pod named 'mydb' is there already; choose another name", name="taken"), "a pod named 'mydb'"),
        (
            problem(422, "the request is not valid", template="no such template"),
            "the request is not valid: template: no",
        ),
    ],
)
def test_what_the_controller_refuses_is_told(
    run: Run, controller: Controller, answer: tuple[int, object], sentence: str
) -> None:
    controller.answers["POST /v1/pods"] = [answer]
    outcome = run("pod", "create", "mydb", "--template", "postgres")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"podgate: {sentence}")


@pytest.mark.parametrize(
    "arguments",
    [
        ("pod", "create", "mydb"),
        ("pod", "create", "--template", "web"),
        ("pod", "create", "mydb", "--template", "web", "--parameter", "novalue"),
        ("pod", "create", "mydb", "--template", "web", "--env", "=x"),
        ("pod", "create", "mydb", "--template", "web", "--env", "a=1", "--env", "a=2"),
        ("pod", "create", "mydb", "--template", "web", "--timeout", "-1"),
        ("pod", "logs", "mydb", "--tail", "-1"),
        ("pod", "destroy", "mydb"),
        ("pods",),
        ("status", "--wait", "soon"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_asked(run: Run, controller: Controller, arguments: tuple[str]) -> None:
    outcome = run(*arguments)
    assert (outcome.code, outcome.out, controller.calls) == (2, "", [])
    assert "Usage: podgate" in outcome.err


def test_pods_are_listed(run: Run, controller: Controller) -> None:
    outcome = run("pod", "list")
    assert (outcome.code, outcome.out) == (0, "")
    assert "podgate pod create mydb" in outcome.err
    controller.add(
        pod("mydb", owner="alice"),
        pod("my-web", "web", "http", phase="failed", routed=False, message="exit status 1 [odd]"),
    )
    lines = [line.split() for line in run("pod", "list").out.splitlines()]
    assert lines[0] == ["NAME", "TEMPLATE", "OWNER", "PHASE", "ACCESS", "ROUTED", "ADDRESS", "MESSAGE"]
    assert lines[1] == ["mydb", "postgres", "alice", "available", "owner", "yes", "mydb.pods.localhost:8443"]
    assert lines[2][-4:] == ["exit", "status", "1", "[odd]"]
    assert [found["name"] for found in run("pod", "list", "--json").json()["pods"]] == ["mydb", "my-web"]


def test_a_pod_is_shown_with_all_that_is_needed_to_use_it(run: Run, controller: Controller) -> None:
    controller.add(pod("mydb", access="public", message="two restarts"))
    outcome = run("pod", "show", "mydb")
    assert outcome.out.splitlines()[0] == "mydb (postgres) is available, routed: two restarts"
    assert "  owned by admin\n" in outcome.out
    assert "  postgres: mydb.pods.localhost:8443, access public\n" in outcome.out
    assert outcome.out.count("  owner:") == 1
    assert "  read: postgresql://reader:r@mydb.pods.localhost:8443/mydb?sslmode=verify-full\n" in outcome.out
    assert run("pod", "show", "mydb", "--json").json() == controller.pods["mydb"]


def test_only_what_works_at_its_level_is_shown_of_a_database(run: Run, controller: Controller) -> None:
    controller.add(pod("films", "graph", "bolt", access="public"), pod("closed", "graph", "bolt", access="read"))
    own = "  owner: user root, password it's $HOME\n"
    addresses = "  neo4j: neo4j+s://{0}.pods.localhost:8443\n  bolt: bolt+s://{0}.pods.localhost:8443\n"
    everyones, readers = run("pod", "show", "films").out, run("pod", "show", "closed").out
    assert own + addresses.format("films") in everyones
    assert "API token" not in everyones
    assert "$HOME" not in readers
    way = "  user: your Podgate name; password: an API token of yours (podgate token create)\n"
    assert addresses.format("closed") + way in readers
    assert run("pod", "show", "closed", "--json").json()["credentials"]["owner"]["user"] == "root"


def test_a_pod_may_have_named_endpoints_and_no_credentials(run: Run, controller: Controller) -> None:
    endpoint = {"name": "ui", "host": "g--ui.x", "port": 443, "protocol": "http", "access": "public"}
    controller.add(pod("graph", endpoints=[endpoint], credentials=None, uris=None, phase="stopped"))
    out = run("pod", "show", "graph").out
    assert out.startswith("graph (postgres) is stopped\n  owned by admin\n  http ui: g--ui.x:443, access public\n")


def test_an_endpoints_rules_are_shown(run: Run, controller: Controller) -> None:
    web = {"cors": ["https://a.example"], "largest_body": 1024, "rate": 2.5, "burst": 0, "idle_timeout": 0.0}
    strict = {"ip_allow": ["10.0.0.0/8", "::1/128"], "certificates": True, "web": web}
    endpoint = {"name": "", "host": "site.x", "port": 443, "protocol": "http", "access": "read", **strict}
    controller.add(pod("site", endpoints=[endpoint]))
    rules = "only from 10.0.0.0/8, ::1/128, asks for client certificates, scripts of https://a.example"
    limits = "bodies of at most 1024 bytes, 2.5 requests a second"
    assert f"  http: site.x:443, access read, {rules}, {limits}\n" in run("pod", "show", "site").out


@pytest.mark.parametrize(
    ("command", "call", "until"),
    [("start", "POST", "routed"), ("stop", "POST", "stopped"), ("restart", "POST", "routed")],
)
def test_pods_are_started_and_stopped(run: Run, controller: Controller, command: str, call: str, until: str) -> None:
    controller.add(pod("mydb"))
    assert run("pod", command, "mydb").err == "mydb is available\n"
    assert controller.calls == [(f"{call} /v1/pods/mydb/{command}", None)]
    controller.answers["GET /v1/pods/mydb/wait"] = [STARTING, (200, pod("mydb", message="done"))]
    assert run("pod", command, "mydb", "--wait", "--json").json()["message"] == "done"
    assert f"until={until}" in controller.calls[-1][0]


def test_a_pod_is_deleted(run: Run, controller: Controller) -> None:
    controller.add(pod("mydb"))
    assert run("pod", "delete", "mydb").err == "mydb is being deleted\n"
    controller.add(pod("mydb"))
    controller.answers["GET /v1/pods/mydb/wait"] = [problem(504, "mydb is stopping"), (204, None)]
    assert run("pod", "delete", "mydb", "--wait").err == "mydb is gone\n"
    controller.add(pod("mydb"))
    controller.answers["GET /v1/pods/mydb/wait"] = [problem(404, "there is no pod named 'mydb'")]
    assert run("pod", "delete", "mydb", "--wait", "--json").json()["name"] == "mydb"


@pytest.mark.parametrize(
    "command",
    [("show",), ("start",), ("stop", "--wait"), ("restart",), ("delete",), ("logs",), ("logs", "-f"), ("events",)],
)
def test_an_unknown_name_is_told_with_what_may_be_meant(run: Run, controller: Controller, command: tuple[str]) -> None:
    outcome = run("pod", command[0], "mydv", *command[1:])
    assert outcome.failed_with("there is no pod 'mydv'; see: podgate pod list")
    controller.add(pod("mydb"))
    outcome = run("pod", command[0], "mydv", *command[1:])
    assert outcome.failed_with("there is no pod 'mydv'; did you mean mydb?")


def test_a_name_cannot_reach_another_path(run: Run, controller: Controller) -> None:
    run("pod", "show", "../status?x#y")
    assert controller.calls[0][0] == "GET /v1/pods/..%2Fstatus%3Fx%23y"


def test_logs_are_shown(run: Run, controller: Controller) -> None:
    controller.add(pod("mydb"))
    assert run("pod", "logs", "mydb", "--tail", "2").out == "line 0 ä\nline 1 ä\n"
    assert controller.calls[-1][0].endswith("logs?tail=2&follow=false")
    assert run("pod", "logs", "mydb", "--tail", "1", "--json").json() == {"lines": ["line 0 ä"]}
    followed = run("pod", "logs", "mydb", "-f", "--tail", "2", "--json").out.splitlines()
    assert [json.loads(line) for line in followed] == [{"line": "line 0 ä"}, {"line": "line 1 ä"}]
    assert controller.calls[-1][0].endswith("follow=true")


def test_events_are_shown(run: Run, controller: Controller) -> None:
    controller.add(pod("mydb"))
    assert SINCE in run("pod", "events", "mydb").out
    assert run("pod", "events", "mydb", "--json").json()["events"][0]["kind"] == "started"


def podgate(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "podgate", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_reader_that_goes_away_ends_the_command_quietly(controller: Controller) -> None:
    controller.add(pod("mydb"))
    with podgate("pod", "logs", "mydb", "--tail", "50000") as logs:
        assert logs.stdout is not None
        assert logs.stdout.readline() == "line 0 ä\n"
        logs.stdout.close()
        assert logs.wait(DEADLINE) == 1
        assert logs.stderr is not None
        assert logs.stderr.read() == ""


def test_ctrl_c_leaves_with_130_and_no_traceback(home: Path, controller: Controller) -> None:
    controller.gateways = []
    with podgate("status", "--wait", "60") as waiting:
        while not controller.calls:
            assert waiting.poll() is None
        waiting.send_signal(signal.SIGINT)
        _, err = waiting.communicate(timeout=DEADLINE)
    assert (waiting.returncode, err) == (130, "")
