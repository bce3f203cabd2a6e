"""`podgate status`, and what every command says when the controller cannot be reached or answers with an error."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import podgate
from certs.authority import Authority
from podgate.cli import client
from tests.peers import DEADLINE
from tests.podgate.cli.conftest import Run
from tests.podgate.cli.controller import TOKEN, Answer, Controller, gateway, problem, server_side

NOT_RUNNING = "Podgate is not running (home {home}); start it with: podgate serve"


def test_what_runs_is_told(run: Run, controller: Controller) -> None:
    outcome = run("status")
    assert (outcome.code, outcome.err) == (0, "")
    assert "podgate   0.1.0, up since 2026-11-21" in outcome.out
    assert "gateway   g1: 2 workers, current" in outcome.out
    assert run("status", "--json").json()["routes"] == {"epoch": "e", "version": 3, "count": 1}


def test_a_database_that_is_away_is_told_and_is_a_failure(run: Run, controller: Controller) -> None:
    code, status = controller._status()
    reason = "store: the database podgate at db does not answer (refused); try again"
    controller.answers["GET /v1/status"] = [(code, {**status, "replica": "a", "leader": "b"})]
    outcome = run("status")
    assert (outcome.code, "replica   a; b leads" in outcome.out) == (0, True)
    controller.answers["GET /v1/status"] = [(code, {**status, "replica": "a", "database": reason})]
    outcome = run("status")
    assert (outcome.code, "replica   a; it is not known who leads" in outcome.out) == (1, True)
    assert "database  the database podgate at db does not answer (refused); try again" in outcome.out
    outcome = run("status", "--json")
    assert (outcome.code, json.loads(outcome.out)["database"]) == (1, reason)


def test_a_missing_or_late_gateway_is_told(run: Run, controller: Controller) -> None:
    controller.gateways = []
    assert "none connected: pods cannot be reached" in run("status").out
    controller.gateways = [gateway(current=False)]
    outcome = run("status")
    assert "g1: 2 workers, at version 3" in outcome.out
    assert "refuses bad.x: protocol: unknown" in outcome.out


@pytest.mark.parametrize("command", [("status",), ("status", "--json"), ("pod", "list"), ("pod", "show", "a")])
def test_where_nothing_runs_one_sentence_says_how_to_start_it(run: Run, home: Path, command: tuple[str]) -> None:
    assert run(*command).failed_with(NOT_RUNNING.format(home=home))


def test_a_home_that_is_not_there_is_not_running(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODGATE_HOME", str(home / "none"))
    assert run("status").failed_with(NOT_RUNNING.format(home=home / "none"))


def test_a_socket_left_behind_is_not_running(run: Run, home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(home / "run" / "api.sock"))
    assert run("status").failed_with(NOT_RUNNING.format(home=home))


def test_a_home_too_deep_for_a_socket_is_told(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODGATE_HOME", str(home / ("deep" * 30)))
    monkeypatch.setenv("PODGATE_TOKEN", TOKEN)
    outcome = run("status")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "AF_UNIX path too long; check PODGATE_HOME" in outcome.err


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which only root may")
def test_another_users_socket_is_told(
    run: Run, controller: Controller, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PODGATE_TOKEN", TOKEN)
    assert run("status").code == 0
    os.seteuid(65534)
    try:
        outcome = run("status")
    finally:
        os.seteuid(0)
    assert outcome.failed_with(f"may not use {home}/run/api.sock; run this as the user who runs Podgate")


def test_waiting_ends_when_a_gateway_is_current(run: Run, controller: Controller) -> None:
    waiting: list[Answer | bytes | None] = []
    for gateways in ([], [gateway(current=False)], [gateway(current=True)]):
        controller.gateways = gateways
        waiting.append(controller.answer("GET /v1/status", None))
    controller.answers["GET /v1/status"] = [problem(503, "starting"), *waiting]
    controller.calls.clear()
    assert run("status", "--wait", "20", "--json").json()["gateways"][0]["current"]
    assert len(controller.calls) == 4


def test_waiting_begins_before_anything_runs(home: Path) -> None:
    command = [sys.executable, "-m", "podgate", "status", "--wait", "20", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as waiting:
        with Controller(home / "run" / "api.sock"):
            out, _ = waiting.communicate(timeout=DEADLINE)
        assert '"current": true' in out
    assert waiting.returncode == 0


def test_waiting_in_vain_says_for_what(run: Run, home: Path) -> None:
    assert run("status", "--wait", "0").failed_with(f"not ready after 0 s: {NOT_RUNNING.format(home=home)}")
    with Controller(home / "run" / "api.sock") as controller:
        controller.gateways = []
        sentence = "not ready after 0.1 s: the controller runs, and no gateway is current yet"
        assert run("status", "--wait", "0.1").failed_with(sentence)


def test_waiting_does_not_outwait_a_wrong_token(
    run: Run, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PODGATE_TOKEN", "wrong")
    assert run("status", "--wait", "60").code == 1


def test_tokens_come_from_the_environment_or_the_home(
    run: Run, controller: Controller, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = home / "admin.token"
    token.write_text("outdated")
    cure = "sign in: podgate login, or set PODGATE_HOME to the right home"
    assert run("status").failed_with(
        f"the token is not valid any more (expired, revoked, or of another Podgate); {cure}"
    )
    token.unlink()
    cure = "sign in with: podgate login; or set PODGATE_TOKEN, or PODGATE_HOME to the right home"
    assert run("status").failed_with(f"there is no token at {token}; {cure}")
    token.mkdir()
    cure = "sign in with: podgate login; or run this as the user who runs Podgate, or set PODGATE_TOKEN"
    assert run("status").failed_with(f"cannot read the token at {token}: Is a directory; {cure}")
    monkeypatch.setenv("PODGATE_TOKEN", TOKEN)
    assert run("status").code == 0


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            problem(403, "a token of scope 'gateway' may not call '/v1/status'"),
            "a token of scope 'gateway' may not call",
        ),
        (
            problem(500, "unexpected failure; the log tells more under 1f"),
            "unexpected failure; the log tells more under",
        ),
        (problem(422, "not valid: a: b", a="b"), "not valid: a: b"),
        (problem(422, "", access="unknown", name="taken"), "Wrong: access: unknown; name: taken"),
        ((502, {}), "the controller answered 502 Bad Gateway; its log tells more"),
        ((503, ["odd"]), "the controller answered 503 Service Unavailable; its log tells more"),
        ((400, {"detail": "x", "errors": 5}), "the controller answered 400 Bad Request; its log tells more"),
        ((200, ["odd"]), "http://podgate/v1/status did not answer as Podgate does; check PODGATE_URL and its version"),
        (b"<html>", "http://podgate/v1/status did not answer as Podgate does; check PODGATE_URL and its version"),
    ],
)
def test_an_error_is_one_sentence(run: Run, controller: Controller, answer: Answer | bytes, sentence: str) -> None:
    controller.answers["GET /v1/status"] = [answer]
    outcome = run("status")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"podgate: {sentence}")
    assert outcome.err.count("\n") == 1


def test_a_broken_connection_is_one_sentence(run: Run, controller: Controller, home: Path) -> None:
    controller.answers["GET /v1/status"] = [None]
    outcome = run("status")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert f"the connection to {home}/run/api.sock broke (" in outcome.err


def test_a_controller_that_does_not_answer_is_one_sentence(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "ANSWER_TIMEOUT", 0.1)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(home / "run" / "api.sock"))
        silent.listen()
        cure = "try again, or look at the log of podgate serve"
        assert run("status").failed_with(f"no answer from {home}/run/api.sock in time; {cure}")


def test_over_tls_the_name_is_verified_and_no_resolver_is_asked(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = server_side(Authority.open(home / "authority"), "*.pods.localhost")
    with Controller(tls=context) as controller:
        monkeypatch.setenv("PODGATE_URL", f"https://api.pods.localhost:{controller.port}/")
        assert run("status").code == 0
        monkeypatch.setenv("PODGATE_URL", f"https://api.other.localhost:{controller.port}")
        outcome = run("status")
    assert outcome.code == 1
    assert "is not trusted: Hostname mismatch, certificate is not valid for 'api.other.localhost'" in outcome.err


def test_over_tls_an_unknown_authority_is_refused(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = server_side(Authority.open(home / "authority"), "*.pods.localhost")
    with Controller(tls=context) as controller:
        monkeypatch.setenv("PODGATE_URL", f"https://api.pods.localhost:{controller.port}")
        monkeypatch.setenv("PODGATE_CA", str(Authority.open(home / "other").path))
        outcome = run("status")
        assert (outcome.code, outcome.err.count("\n")) == (1, 1)
        assert f"set PODGATE_CA to its authority (tried {home}/other/ca.pem)" in outcome.err
        monkeypatch.setenv("PODGATE_CA", str(home / "none.pem"))
        reason = "No such file or directory; check PODGATE_CA"
        assert run("status").failed_with(f"cannot use the authority at {home}/none.pem: {reason}")
        monkeypatch.setenv("PODGATE_CA", str(home / "admin.token"))
        assert "cannot use the authority" in run("status").err


def test_a_url_where_nothing_answers(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"https://api.pods.localhost:{taken.getsockname()[1]}"
        monkeypatch.setenv("PODGATE_URL", url)
        assert run("status").failed_with(f"nothing answers at {url}; check PODGATE_URL and that Podgate runs there")


def test_a_token_never_leaves_in_the_clear(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODGATE_URL", "http://api.example.org")
    outcome = run("status")
    assert outcome.code == 1
    assert "it must begin with https://" in outcome.err


def test_the_version_is_told(run: Run) -> None:
    assert run("--version").out == f"podgate {podgate.__version__}\n"


@pytest.mark.parametrize(
    "command",
    [
        "", "status", "pod create", "pod access", "connect", "ca trust", "cypher", "login", "share", "unshare", "audit",
        "user add", "group join", "token create", "certificate issue",
    ],
)  # fmt: skip
def test_help_tells_the_exit_codes(run: Run, command: str) -> None:
    assert "0 done, 1 failed, 2 wrong usage" in " ".join(run(*command.split(), "--help").out.split())
