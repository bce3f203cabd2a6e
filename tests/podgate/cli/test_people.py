"""`podgate user …`, `podgate group …` and `podgate token …` against a real controller."""

import os

import pytest

from tests.podgate.cli.conftest import Run
from tests.podgate.cli.outcome import Outcome
from tests.podgate.cli.real import PASSWORD, Real


@pytest.fixture
def people(run: Run, real: Real) -> Real:
    """A controller that knows alice and bob."""
    for name in ("alice", "bob"):
        assert run("user", "add", name, "--no-password").code == 0
    return real


@pytest.fixture
def as_alice(run: Run, people: Real, monkeypatch: pytest.MonkeyPatch) -> Real:
    """From here on alice calls."""
    token = run("token", "create", "here", "--user", "alice", "--json").json()["token"]
    monkeypatch.setenv("PODGATE_TOKEN", token)
    return people


def test_users_are_added_shown_and_removed(run: Run, real: Real) -> None:
    file = real.password_file()
    outcome = run("user", "add", "carol", "--admin", "--email", "carol@example.org", "--password-file", file)
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == "carol is added; they sign in with: podgate login carol\n"
    made = run("user", "add", "dave", "--no-password", "--json").json()
    assert (made["name"], made["admin"]) == ("dave", False)
    lines = [line.split() for line in run("user", "list").out.splitlines()]
    assert lines[0] == ["NAME", "ADMIN", "MAKES-PODS", "STATE", "EMAIL", "GROUPS"]
    assert ["carol", "yes", "yes", "carol@example.org"] in lines
    assert {user["name"] for user in run("user", "list", "--json").json()["users"]} == {"admin", "carol", "dave"}
    assert run("user", "show", "carol", "--json").json()["email"] == "carol@example.org"
    assert "admin       yes\n" in run("user", "show", "carol").out
    assert run("user", "remove", "carol").err == "carol is removed\n"
    assert run("user", "remove", "dave", "--json").json() == {"name": "dave"}
    assert run("user", "show", "carol").failed_with("there is no user 'carol'; see: podgate user list")


def test_a_name_that_is_taken_or_wrong_is_told(run: Run, people: Real) -> None:
    for name, word in (("alice", "alice"), ("Alice!", "name"), ("everyone", "name")):
        outcome = run("user", "add", name, "--no-password")
        assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
        assert word in outcome.err


def test_a_password_is_set_and_the_one_before_is_void(run: Run, people: Real) -> None:
    for password in (PASSWORD, "another one"):
        outcome = run("user", "password", "alice", "--password-file", people.password_file(password))
        assert outcome.err == "alice has a new password\n"
    assert run("login", "alice", "--password-file", people.password_file(PASSWORD)).code == 1
    assert run("login", "alice", "--password-file", people.password_file("another one")).code == 0


def test_ones_own_password_needs_the_present_one(run: Run, as_alice: Real, monkeypatch: pytest.MonkeyPatch) -> None:
    token = os.environ["PODGATE_TOKEN"]
    monkeypatch.delenv("PODGATE_TOKEN")
    run("user", "password", "alice", "--password-file", as_alice.password_file())
    monkeypatch.setenv("PODGATE_TOKEN", token)
    new = as_alice.home / "new.password"
    new.write_text("a new one here")
    refused = run("user", "password", "alice", "--password-file", str(new))
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    present = as_alice.password_file()
    done = run("user", "password", "alice", "--current-file", present, "--password-file", str(new), "--json")
    assert done.json()["name"] == "alice"
    assert run("login", "alice", "--password-file", str(new)).code == 0


def test_users_are_disabled_and_enabled(run: Run, people: Real) -> None:
    run("user", "password", "bob", "--password-file", people.password_file())
    assert run("user", "disable", "bob").err == "bob is disabled: nothing lets them in any more\n"
    assert ["bob", "disabled"] in [line.split() for line in run("user", "list").out.splitlines()]
    assert run("login", "bob", "--password-file", people.password_file()).code == 1
    assert run("user", "enable", "bob", "--json").json()["name"] == "bob"
    assert run("login", "bob", "--password-file", people.password_file()).code == 0


def test_a_user_is_signed_out(run: Run, people: Real) -> None:
    assert (
        run("user", "sign-out", "bob").err
        == "bob is signed out in every browser; their tokens stay: podgate token list --user bob\n"
    )
    assert run("user", "sign-out", "bob", "--json").code == 0


@pytest.mark.parametrize(
    "command", [("show",), ("remove",), ("disable",), ("enable",), ("sign-out",), ("password", "--password-file")]
)
def test_an_unknown_user_is_told_with_who_may_be_meant(run: Run, people: Real, command: tuple[str, ...]) -> None:
    rest = (*command[1:], people.password_file()) if command[1:] else ()
    assert run("user", command[0], "alcie", *rest).failed_with("there is no user 'alcie'; did you mean alice?")


@pytest.mark.parametrize(
    "command",
    [
        ("user", "add", "eve", "--no-password"),
        ("user", "disable", "bob"),
        ("user", "remove", "bob"),
        ("group", "add", "x"),
    ],
)
def test_who_is_no_administrator_may_not(run: Run, as_alice: Real, command: tuple[str, ...]) -> None:
    outcome = run(*command)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)


def test_groups_are_filled_and_emptied(run: Run, people: Real) -> None:
    assert "podgate group add lab" in run("group", "list").err
    assert run("group", "add", "lab").err == "lab is added; fill it with: podgate group join lab USER\n"
    assert run("group", "add", "ops", "--json").json()["name"] == "ops"
    assert run("group", "join", "lab", "alice", "bob").err == "alice, bob joined lab\n"
    assert run("group", "join", "lab", "bob", "--json").json() == {"name": "lab", "joined": ["bob"]}
    assert ["lab", "alice,", "bob"] in [line.split() for line in run("group", "list").out.splitlines()]
    assert "groups      lab\n" in run("user", "show", "alice").out
    assert run("group", "leave", "lab", "bob").err == "bob left lab\n"
    assert run("group", "leave", "lab", "alice", "--json").json() == {"name": "lab", "left": ["alice"]}
    groups = run("group", "list", "--json").json()["groups"]
    assert {group["name"]: group["members"] for group in groups} == {"lab": [], "ops": []}
    assert run("group", "remove", "lab").err == "lab is removed\n"
    assert run("group", "remove", "ops", "--json").json() == {"name": "ops"}


def test_an_unknown_group_or_member_is_told(run: Run, people: Real) -> None:
    run("group", "add", "lab")
    assert run("group", "join", "lba", "alice").failed_with("there is no group 'lba'; did you mean lab?")
    assert run("group", "join", "lab", "alise").failed_with("there is no user 'alise'; did you mean alice?")
    assert run("group", "remove", "lba").failed_with("there is no group 'lba'; did you mean lab?")
    outcome = run("group", "add", "lab")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)


def test_the_token_alone_is_on_standard_output(run: Run, as_alice: Real, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = run("token", "create", "ci")
    assert outcome.code == 0
    assert outcome.out.count("\n") == 1
    token = outcome.out.strip()
    assert token not in outcome.err
    assert "Programs take it as PODGATE_TOKEN, web pods as 'Authorization: Bearer TOKEN',\n" in outcome.err
    assert "Postgres and graph pods as the password of alice: PGPASSWORD, ~/.pgpass or psql's prompt;" in outcome.err
    assert 'auth=("alice", TOKEN) of a Neo4j driver.\n' in outcome.err
    assert "podgate token revoke ci" in outcome.err
    monkeypatch.setenv("PODGATE_TOKEN", token)
    assert run("whoami", "--json").json()["token"]["name"] == "ci"


def test_who_may_make_pods_is_said_and_shown(run: Run, people: Real, monkeypatch: pytest.MonkeyPatch) -> None:
    admin = people.admin
    token = run("token", "create", "here", "--user", "alice", "--json").json()["token"]
    create = ("pod", "create", "mine", "--template", "db", "--no-wait", "--json")

    def told_as(token: str, *command: str) -> Outcome:
        monkeypatch.setenv("PODGATE_TOKEN", token)
        return run(*command)

    assert "pods      may make none\n" in told_as(token, "whoami").out
    assert told_as(token, *create).failed_with(
        "user 'alice' may not make pods, which run programs on the machine of this Podgate; "
        "ask an administrator for: podgate user allow alice --make-pods"
    )
    assert told_as(token, "user", "allow", "alice", "--make-pods").code == 1
    assert told_as(admin, "user", "allow", "alice", "--make-pods").err == "alice may make pods\n"
    assert "makes_pods  yes\n" in run("user", "show", "alice").out
    assert ["alice", "yes"] in [line.split() for line in run("user", "list").out.splitlines()]
    assert "pods      may make them\n" in told_as(token, "whoami").out
    assert told_as(token, *create).json()["owner"] == "alice"
    told = "alice may make no pods any more; those there are stay\n"
    assert told_as(admin, "user", "allow", "alice", "--no-make-pods").err == told
    told = "admin may still make pods, for administrators always may\n"
    assert run("user", "allow", "admin", "--no-make-pods").err == told
    assert run("user", "add", "carol", "--no-password", "--make-pods", "--json").json()["makes_pods"] is True
    assert run("user", "allow", "carol").code == 2
    assert run("user", "allow", "corol", "--make-pods").failed_with("there is no user 'corol'; did you mean carol?")


def test_who_is_not_in_a_group_cannot_leave_it(run: Run, people: Real) -> None:
    run("group", "add", "lab")
    run("group", "join", "lab", "alice")
    told = "user 'bob' is not in group 'lab'; see who is: podgate group list"
    assert run("group", "leave", "lab", "alice", "bob").failed_with(told)
    assert run("group", "list", "--json").json()["groups"] == [{"name": "lab", "members": ["alice"]}]
    assert run("group", "leave", "lab", "alise").failed_with("there is no user 'alise'; did you mean alice?")
    assert run("group", "leave", "lba", "alice").failed_with("there is no group 'lba'; did you mean lab?")


def test_what_is_wrong_with_a_password_is_told_in_our_words(run: Run, people: Real) -> None:
    refused = run("user", "add", "carol", "--password-file", people.password_file("short"))
    assert refused.failed_with("the request is not valid: password: expected at least 8 characters")


def test_a_token_is_limited(run: Run, as_alice: Real, monkeypatch: pytest.MonkeyPatch) -> None:
    token = os.environ["PODGATE_TOKEN"]
    monkeypatch.setenv("PODGATE_TOKEN", as_alice.admin)
    assert run("user", "allow", "alice", "--make-pods").code == 0
    monkeypatch.setenv("PODGATE_TOKEN", token)
    assert run("pod", "create", "mydb", "--template", "db", "--no-wait", "--json").code == 0
    made = run("token", "create", "ci", "--pod", "mydb", "--level", "read", "--expires", "12h", "--json").json()
    assert (made["user"], made["pod"], made["level"]) == ("alice", "mydb", "read")
    assert made["token"]
    assert made["expires_at"] is not None
    lines = [line.split() for line in run("token", "list").out.splitlines()]
    assert lines[0] == ["NAME", "ID", "USER", "POD", "LEVEL", "EXPIRES"]
    assert ["ci", made["id"], "alice", "mydb", "read", made["expires_at"]] in lines
    listed = run("token", "list", "--json").json()["tokens"]
    assert made["token"] not in str(listed)
    assert run("token", "create", "x", "--pod", "mydv").failed_with("there is no pod 'mydv'; did you mean mydb?")


def test_a_token_is_revoked_by_name_or_id(run: Run, as_alice: Real) -> None:
    first = run("token", "create", "one", "--json").json()
    run("token", "create", "two")
    assert run("token", "revoke", first["id"]).code == 0
    assert run("token", "revoke", "tow").failed_with("there is no token 'tow'; did you mean two?")
    assert run("token", "revoke", "two", "--json").json() == {"name": "two"}
    assert [token["name"] for token in run("token", "list", "--json").json()["tokens"]] == ["here"]


def test_an_administrator_ends_the_tokens_of_others(run: Run, people: Real) -> None:
    for name in ("one", "two"):
        run("token", "create", name, "--user", "bob")
    assert "one" in run("token", "list", "--user", "bob").out
    assert run("token", "revoke", "oen", "--user", "bob").failed_with("there is no token 'oen'; did you mean one?")
    assert run("token", "revoke", "one", "--user", "bob").err == "one is revoked\n"
    assert [token["name"] for token in run("token", "list", "--user", "bob", "--json").json()["tokens"]] == ["two"]
    for command in (("list",), ("revoke", "two")):
        sentence = "there is no user 'bobb'; did you mean bob?"
        assert run("token", *command, "--user", "bobb").failed_with(sentence)


def test_what_a_token_may_not_be_is_told(run: Run, people: Real) -> None:
    assert run("token", "create", "ci").code == 0
    taken = run("token", "create", "ci")
    assert (taken.code, taken.out, taken.err.count("\n")) == (1, "", 1)
    for wrong in (("--expires", "30"), ("--level", "public"), ("--level", "all")):
        outcome = run("token", "create", "other", *wrong)
        assert (outcome.code, outcome.out) == (2, "")
    assert run("token", "create", "x", "--user", "alcie").failed_with("there is no user 'alcie'; did you mean alice?")


def test_tokens_of_others_are_not_for_everybody(run: Run, as_alice: Real) -> None:
    outcome = run("token", "create", "x", "--user", "bob")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
