"""`podgate login`, `logout` and `whoami` against a real controller, and what is kept of them."""

import io
import json
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from certs.authority import Authority
from podgate.cli import logins
from tests.podgate.cli.conftest import Run
from tests.podgate.cli.controller import TOKEN, Answer, Controller, problem, server_side
from tests.podgate.cli.outcome import Outcome
from tests.podgate.cli.real import PASSWORD, Real


@pytest.fixture
def alice(run: Run, real: Real) -> Real:
    """A controller that knows alice."""
    assert run("user", "add", "alice", "--password-file", real.password_file()).code == 0
    return real


def sign_in(run: Run, real: Real) -> Outcome:
    outcome = run("login", "alice", "--password-file", real.password_file())
    assert outcome.code == 0, outcome
    return outcome


def kept(home: Path) -> Path:
    (found,) = (home / "config" / "podgate" / "logins").iterdir()
    return found


def typed(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_who_signs_in_is_who_calls(run: Run, alice: Real, home: Path) -> None:
    assert run("whoami", "--json").json()["user"] == "admin"
    assert f"by        {home}/admin.token\n" in run("whoami").out
    outcome = sign_in(run, alice)
    assert outcome.out == ""
    assert outcome.err.startswith(f"you are alice at {home}, until ")
    found = run("whoami", "--json").json()
    assert (found["user"], found["admin"], found["groups"]) == ("alice", False, [])
    told = run("whoami").out
    assert told.startswith(
        "user      alice\ngroups    none\npods      may make none\n"
        f"at        {home}\nby        the login of alice (token login-"
    )


def test_the_password_comes_from_standard_input_where_there_is_no_terminal(
    run: Run, alice: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(f"{PASSWORD}\n", monkeypatch)
    found = run("login", "alice", "--json").json()
    assert found.keys() == {"user", "at", "expires_at", "path"}
    typed(f"{PASSWORD}\r\n", monkeypatch)
    assert run("login", "alice", "--password-file", "-").code == 0


def test_a_login_is_kept_for_its_user_alone(run: Run, alice: Real, home: Path) -> None:
    sign_in(run, alice)
    assert stat.S_IMODE(kept(home).stat().st_mode) == 0o600
    assert stat.S_IMODE(kept(home).parent.stat().st_mode) == 0o700
    before = json.loads(kept(home).read_text())
    sign_in(run, alice)
    after = json.loads(kept(home).read_text())
    assert before["token"] != after["token"]
    tokens = run("token", "list", "--json").json()["tokens"]
    assert [token["id"] for token in tokens] == [after["id"]], "the login before has ended"
    kept(home).chmod(0o644)
    outcome = run("whoami")
    assert (outcome.code, stat.S_IMODE(kept(home).stat().st_mode)) == (0, 0o600)
    assert "was readable by others, and is not any more; end that login: podgate logout" in outcome.err


def test_signing_out_ends_the_token(run: Run, alice: Real, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(run, alice)
    token = json.loads(kept(home).read_text())["token"]
    monkeypatch.setenv("PODGATE_TOKEN", token)
    assert run("whoami", "--json").json()["user"] == "alice"
    monkeypatch.delenv("PODGATE_TOKEN")
    assert run("logout").err == f"alice is signed out of {home}\n"
    assert list((home / "config" / "podgate" / "logins").iterdir()) == []
    monkeypatch.setenv("PODGATE_TOKEN", token)
    assert run("whoami").failed_with(
        "the token is not valid any more (expired, revoked, or of another Podgate); "
        "sign in: podgate login, and unset PODGATE_TOKEN, which goes first"
    )
    monkeypatch.delenv("PODGATE_TOKEN")
    assert run("whoami", "--json").json()["user"] == "admin"
    assert run("logout").failed_with(f"you are not signed in at {home}; sign in with: podgate login")
    sign_in(run, alice)
    assert run("logout", "--json").json() == {"user": "alice", "at": str(home)}


def test_a_login_that_was_ended_elsewhere_is_told_and_forgotten(
    run: Run, alice: Real, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(run, alice)
    monkeypatch.setenv("PODGATE_TOKEN", alice.admin)
    assert run("user", "disable", "alice").code == 0
    monkeypatch.delenv("PODGATE_TOKEN")
    cure = "sign in again: podgate login alice"
    assert run("whoami").failed_with(f"the login of alice was ended or has expired; {cure}")
    told = f"alice is signed out of {home}; the server did not know the token any more\n"
    assert run("logout").err == told
    assert run("whoami", "--json").json()["user"] == "admin"


def test_an_admin_token_that_was_pasted_is_only_forgotten(
    run: Run, real: Real, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(real.admin, monkeypatch)
    assert run("login", "--token").err == f"you are admin at {home}\n"
    told = f"admin is signed out of {home}; its token goes on: the server knows it by no name\n"
    assert run("logout").err == told


def test_a_wrong_password_and_an_unknown_user_are_one_sentence(run: Run, alice: Real) -> None:
    sentences = set()
    for user in ("alice", "nobody"):
        outcome = run("login", user, "--password-file", alice.password_file("not the password"))
        assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
        sentences.add(outcome.err)
    assert len(sentences) == 1
    assert "PODGATE_TOKEN" not in sentences.pop()


def test_a_token_that_is_there_can_be_kept(run: Run, alice: Real, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = run("token", "create", "ci", "--user", "alice", "--json").json()["token"]
    typed(f"{token}\n", monkeypatch)
    assert run("login", "bob", "--token").failed_with(
        "the token is alice's, not bob's; give the right one, or leave out the name"
    )
    typed(f" {token}\n", monkeypatch)
    assert run("login", "--token").code == 0
    assert "(token ci" in run("whoami").out
    sign_in(run, alice)
    monkeypatch.setenv("PODGATE_TOKEN", token)
    assert run("whoami", "--json").json()["user"] == "alice", "a token that was pasted goes on after another login"


def test_a_token_that_nobody_knows_is_not_kept(
    run: Run, real: Real, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed("pgt_wrong\n", monkeypatch)
    assert run("login", "--token").failed_with("the controller does not know this token; copy all of it")
    typed("two words\n", monkeypatch)
    assert run("login", "--token").failed_with(
        "what standard input holds is no token; expected one line without spaces"
    )
    typed("", monkeypatch)
    assert "standard input holds no token" in run("login", "--token").err
    assert not (home / "config").exists()


def test_what_keeps_a_login_from_being_used_is_told(run: Run, alice: Real, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODGATE_TOKEN", alice.admin)
    assert "PODGATE_TOKEN is set and goes first; to use the login: unset PODGATE_TOKEN\n" in sign_in(run, alice).err
    assert run("whoami", "--json").json()["user"] == "admin"


@pytest.mark.parametrize(
    "arguments",
    [
        ("login",),
        ("login", "a", "--url", "http://x"),
        ("login", "a", "--token", "--password-file", "f"),
        ("logout", "a"),
    ],
)
def test_wrong_usage(run: Run, real: Real, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    typed("", monkeypatch)
    outcome = run(*arguments)
    assert (outcome.code, outcome.out) == (2, "")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "holds no password; write it there, or give another with --password-file"),
        (b"\n", "holds no password"),
        (b"a\nb\n", "holds more than a password: expected one line of at most 1024 characters"),
        (b"a" * 1025, "holds more than a password"),
        (b"\xff", "is not UTF-8; write the password as one line of text"),
    ],
)
def test_a_file_that_holds_no_password_is_told(run: Run, real: Real, content: bytes, sentence: str) -> None:
    path = real.home / "bad.password"
    path.write_bytes(content)
    outcome = run("login", "alice", "--password-file", str(path))
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert outcome.err.startswith(f"podgate: {path} {sentence}")


def test_a_file_that_is_not_there_is_told(run: Run, real: Real) -> None:
    outcome = run("login", "alice", "--password-file", "/nowhere")
    cure = "check the path and its mode"
    assert outcome.failed_with(f"cannot read the password from /nowhere: No such file or directory; {cure}")


def test_a_login_file_that_cannot_be_used_is_told(run: Run, alice: Real, home: Path) -> None:
    sign_in(run, alice)
    path = kept(home)
    for content in ("", "[]", '{"user": "alice"}'):
        path.write_text(content)
        cure = "remove the file and sign in again: podgate login"
        assert run("whoami").failed_with(f"{path} holds no login; {cure}")
    path.unlink()
    path.symlink_to(home / "admin.token")
    assert "cannot read the login" in run("whoami").err


def test_a_login_is_kept_where_it_cannot_be_ended(run: Run, controller: Controller, home: Path) -> None:
    path = logins.keep_login(str(home), logins.Login("alice", "the-admin-token", "t1"))
    controller.answers["DELETE /v1/tokens/t1"] = [problem(503, "the store cannot be written"), (204, None)]
    cure = f"still signed in, try again, or only forget it: rm {path}"
    assert run("logout").failed_with(f"the store cannot be written; {cure}")
    assert path.exists()
    assert run("logout").code == 0
    assert not path.exists()


def test_a_login_elsewhere_is_for_that_address_alone(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Controller(tls=server_side(Authority.open(home / "authority"), "*.pods.localhost")) as controller:
        me = {"user": "alice", "admin": False, "groups": ["lab"], "token": {"id": "t1", "name": "ci", "pod": "mydb"}}
        controller.answers["GET /v1/me"] = [(200, me)]
        url = f"https://api.pods.localhost:{controller.port}"
        typed(TOKEN, monkeypatch)
        outcome = run("login", "--token", "--url", f"{url}/")
        assert outcome.err == f"you are alice at {url}\nlet later commands go there, too: export PODGATE_URL={url}\n"
        monkeypatch.setenv("PODGATE_TOKEN", "")
        monkeypatch.setenv("PODGATE_URL", url)
        (home / "admin.token").write_text("not the one")
        assert "by        the login of alice (token ci, only mydb)\n" in run("whoami").out
        controller.answers["DELETE /v1/tokens/t1"] = [(204, None)]
        assert run("logout").code == 0
        assert controller.calls[-1][0] == "DELETE /v1/tokens/t1"
        (home / "admin.token").unlink()
        assert run("whoami").failed_with(f"not signed in at {url}; sign in: podgate login --url {url}")
    monkeypatch.delenv("PODGATE_URL")
    assert run("logout").failed_with(f"you are not signed in at {home}; sign in with: podgate login")


@pytest.mark.parametrize("answer", [(404, None), (303, None), b"<html>"])
def test_an_address_that_is_not_the_apis_is_told(run: Run, home: Path, answer: Answer | bytes) -> None:
    (home / "password").write_text(PASSWORD)
    with Controller(
        tls=server_side(Authority.open(home / "authority"), "podgate.localhost", "*.pods.localhost")
    ) as other:
        other.strange = answer
        url = f"https://podgate.localhost:{other.port}"
        assert run("login", "alice", "--url", url, "--password-file", str(home / "password")).failed_with(
            f"{url} is not Podgate's API, whose name begins with api.; "
            f"use https://api.DOMAIN:{other.port}, where DOMAIN is what the names of the pods end in"
        )
        other.strange = (404, None)
        url = f"https://api.pods.localhost:{other.port}"
        assert run("login", "alice", "--url", url, "--password-file", str(home / "password")).failed_with(
            "the controller answered 404; its log tells more"
        )


def test_logins_are_apart_for_each_podgate(home: Path) -> None:
    logins.keep_login("https://api.a.example", logins.Login("alice", "a", "1"))
    logins.keep_login("https://api.b.example", logins.Login("bob", "b", "2", "2027-01-01T00:00:00Z"))
    assert logins.read_login("https://api.a.example") == logins.Login("alice", "a", "1")
    logins.forget_login("https://api.a.example")
    assert logins.read_login("https://api.a.example") is None
    assert logins.read_login("https://api.b.example") == logins.Login("bob", "b", "2", "2027-01-01T00:00:00Z")
    assert "'b'" not in repr(logins.read_login("https://api.b.example"))


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which only root may")
def test_a_login_that_cannot_be_kept_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/proc/config")
    with pytest.raises(Exception, match="cannot keep the login at /proc/config/podgate/logins/"):
        logins.keep_login("x", logins.Login("alice", "a", "1"))


def test_on_a_terminal_the_password_is_asked_for_without_an_echo(alice: Real) -> None:
    assert on_a_terminal(["login", "alice"], {"Password of alice: ": PASSWORD}) == 0
    questions = {"Password of bob: ": "a good long one", "Once more: ": "another long one"}
    assert on_a_terminal(["user", "add", "bob"], questions) == 1


def on_a_terminal(arguments: list[str], questions: dict[str, str]) -> int:
    """Run a command on a terminal of its own, answer its questions, see that no answer is shown; give its exit code."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "podgate", *arguments]
    shown = b""
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as asking:
        os.close(theirs)
        for question, reply in questions.items():
            while question.encode() not in shown:
                shown += os.read(ours, 1024)
            os.write(ours, f"{reply}\n".encode())
        try:
            while piece := os.read(ours, 1024):
                shown += piece
        except OSError:  # the terminal's other end is closed
            pass
        code = asking.wait(30)
    os.close(ours)
    assert not any(reply.encode() in shown for reply in questions.values())
    return code
