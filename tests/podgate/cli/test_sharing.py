"""`podgate share`, `unshare`, `pod access`, `pod give` and `audit` against a real controller."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.podgate.cli.conftest import Run
from tests.podgate.cli.controller import SINCE, Controller, pod
from tests.podgate.cli.real import Real


@pytest.fixture
def site(run: Run, real: Real) -> Real:
    """A controller with alice, the group lab, a web pod `site` and a database `mydb`; admin owns both."""
    assert run("user", "add", "alice", "--no-password").code == 0
    assert run("group", "add", "lab").code == 0
    told = ("--template", "page", "--parameter", "directory=/srv", "--no-wait", "--access", "read")
    assert run("pod", "create", "site", *told).code == 0
    assert run("pod", "create", "mydb", "--template", "db", "--no-wait").code == 0
    return real


def grants(run: Run, pod: str) -> dict[str, str]:
    return {grant["to"]: grant["level"] for grant in run("share", pod, "--json").json()["grants"]}


def test_a_pod_is_shared_and_what_people_open_is_told(run: Run, site: Real) -> None:
    outcome = run("share", "site", "--with", "alice")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == "alice may read site\nthey open https://site.pods.localhost:8443/\n"
    assert run("share", "site", "--group", "lab", "--level", "write").err.startswith(
        "the group lab may write to site\n"
    )
    assert run("share", "site", "--everyone", "--json").code == 0
    assert grants(run, "site") == {"user:alice": "read", "group:lab": "write", "everyone": "read"}


def test_a_level_below_what_the_endpoint_asks_for_is_told(run: Run, site: Real) -> None:
    cure = "let them in with: podgate pod access mydb read"
    assert (
        f"mydb asks for owner, so this opens it to nobody yet; {cure}\n" in run("share", "mydb", "--with", "alice").err
    )
    assert run("pod", "access", "mydb", "read").code == 0
    told = run("share", "mydb", "--with", "alice").err
    own = "the pod's own user and password, which its owner is told"
    assert told.splitlines()[1] == (
        "mydb takes whoever holds read, by their own user name and with an API token of theirs as the password "
        "(podgate token create psql)"
    )
    assert run("pod", "access", "mydb", "--client-certificates").code == 0
    assert run("share", "mydb", "--with", "alice").err.splitlines()[1] == (
        "mydb takes whoever holds read, by their own user name and with an API token of theirs as the password "
        "(podgate token create psql), or their client certificate (podgate certificate issue)"
    )
    assert run("pod", "access", "mydb", "public").code == 0
    assert f"anybody may connect to mydb.pods.localhost:8443 with {own}: it is public\n" in (
        run("share", "mydb", "--with", "alice").err
    )


def test_what_other_clients_need_is_told(run: Run, controller: Controller) -> None:
    endpoint = {"name": "", "host": "raw.pods.localhost", "port": 8443, "protocol": "tcp", "access": "read"}
    controller.answers["PUT /v1/pods/raw/grants/user%3Aalice"] = [(200, {})]
    means = "they connect to raw.pods.localhost:8443 with a client certificate"
    for change, told in (
        ({}, f"{means}, once it asks for one: podgate pod access raw --client-certificates"),
        ({"certificates": True}, means),
        ({"access": "public"}, "anybody may connect to raw.pods.localhost:8443: it is public"),
    ):
        controller.add(pod("raw", "tcp", "tcp", endpoints=[{**endpoint, **change}]))
        assert run("share", "raw", "--with", "alice").err == f"alice may read raw\n{told}\n"


def test_who_holds_what_is_shown(run: Run, site: Real) -> None:
    run("share", "site", "--with", "alice")
    link = run("share", "site", "--link", "--uses", "3", "--password-file", site.password_file(), "--json").json()
    lines = [line.split() for line in run("share", "site").out.splitlines()]
    assert lines[0] == ["WHO", "LEVEL", "UNTIL", "NOTES"]
    assert lines[1][:2] == ["user:admin", "owner"]
    assert ["user:alice", "read"] in lines
    (row,) = (line for line in lines if line[0] == f"link:{link['id']}")
    assert " ".join(row).endswith("3 uses left, with a password")


def test_what_was_shared_is_taken_back(run: Run, site: Real) -> None:
    run("share", "site", "--with", "alice")
    run("share", "site", "--everyone")
    assert run("unshare", "site", "--with", "alice").err == "site is not shared with alice any more\n"
    assert run("unshare", "site", "--everyone", "--json").code == 0
    assert grants(run, "site") == {}
    owned = "admin owns it, see: podgate share site"
    assert run("unshare", "site", "--with", "alice").failed_with(f"site is not shared with alice; {owned}")
    assert run("unshare", "site", "--link", "none").failed_with(f"there is no link none to site; {owned}")
    run("share", "site", "--group", "lab", "--level", "write")
    holders = "admin owns it, the group lab may write to it, see: podgate share site"
    assert run("unshare", "site", "--everyone").failed_with(f"site is not shared with everyone; {holders}")
    for name in ("a1", "a2", "a3", "a4", "a5"):
        run("user", "add", name, "--no-password")
        run("share", "site", "--with", name)
    assert "a4 may read it, 1 more hold something, see:" in run("unshare", "site", "--everyone").err


def test_the_address_of_a_link_is_alone_on_standard_output(run: Run, site: Real) -> None:
    outcome = run("share", "site", "--link", "--expires", "7d", "--level", "write")
    assert outcome.code == 0
    assert outcome.out.startswith("https://podgate.localhost:8443/link/")
    assert outcome.out.count("\n") == 1
    assert outcome.out.strip() not in outcome.err
    made = run("share", "site", "--link", "--expires", "45s", "--json").json()
    assert made.keys() >= {"id", "url", "level", "expires_at"}
    assert f"podgate unshare site --link {made['id']}" not in outcome.err
    assert run("unshare", "site", "--link", made["id"]).err == f"the link {made['id']} opens site no more\n"
    assert made["id"] not in [link["id"] for link in run("share", "site", "--json").json()["links"]]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("share", "siet", "--with", "alice"), "there is no pod 'siet'; did you mean site?"),
        (("share", "siet"), "there is no pod 'siet'; did you mean site?"),
        (("share", "siet", "--link"), "there is no pod 'siet'; did you mean site?"),
        (("share", "site", "--with", "alcie"), "there is no user 'alcie'; did you mean alice?"),
        (("share", "site", "--group", "lba"), "there is no group 'lba'; did you mean lab?"),
        (("unshare", "siet", "--everyone"), "there is no pod 'siet'; did you mean site?"),
        (("pod", "access", "siet", "read"), "there is no pod 'siet'; did you mean site?"),
        (("pod", "give", "site", "alcie"), "there is no user 'alcie'; did you mean alice?"),
        (("pod", "give", "siet", "alice"), "there is no pod 'siet'; did you mean site?"),
    ],
)
def test_a_misspelt_name_is_told(run: Run, site: Real, arguments: tuple[str, ...], sentence: str) -> None:
    assert run(*arguments).failed_with(sentence)


@pytest.mark.parametrize(
    "arguments",
    [
        ("share", "site", "--with", "alice", "--everyone"),
        ("share", "site", "--link", "--group", "lab"),
        ("share", "site", "--level", "read"),
        ("share", "site", "--with", "alice", "--expires", "7d"),
        ("share", "site", "--with", "alice", "--uses", "2"),
        ("share", "site", "--with", "alice", "--password-file", "f"),
        ("share", "site", "--with", "alice", "--level", "public"),
        ("share", "site", "--with", "alice", "--level", "owner"),
        ("share", "site", "--link", "--uses", "0"),
        ("share", "site", "--link", "--expires", "7"),
        ("unshare", "site"),
        ("unshare", "site", "--with", "alice", "--everyone"),
        ("pod", "access", "site"),
        ("pod", "access", "site", "admin"),
        ("pod", "access", "site", "--allow-ip", "10.1.2.3/8"),
        ("pod", "access", "site", "--allow-ip", "10.0.0.0/8", "--any-ip"),
        ("pod", "access", "site", "--cors", "https://x.example", "--no-cors"),
        ("pod", "access", "site", "--host", "a.example.org", "--no-hosts"),
        ("pod", "access", "site", "--largest-body", "10MB"),
        ("pod", "access", "site", "--rate", "-1"),
        ("audit", "--since", "yesterday"),
        ("audit", "--limit", "0"),
        ("audit", "--limit", "1001"),
        ("audit", "--follow", "--until", "1h"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_asked(
    run: Run, controller: Controller, arguments: tuple[str, ...]
) -> None:
    outcome = run(*arguments)
    assert (outcome.code, outcome.out, controller.calls) == (2, "", [])


def endpoint_of(run: Run, pod: str, name: str = "") -> dict[str, object]:
    (found,) = (each for each in run("pod", "show", pod, "--json").json()["endpoints"] if each["name"] == name)
    return dict(found)


def test_an_endpoints_access_is_changed(run: Run, site: Real) -> None:
    outcome = run("pod", "access", "site", "manage")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "site asks for manage; see: podgate pod show site\n")
    assert endpoint_of(run, "site")["access"] == "manage"
    assert "site is open to everyone: nobody is asked who they are" in run("pod", "access", "site", "public").err
    assert run("pod", "access", "mydb:metrics", "read", "--json").code == 0
    row = next(line.split() for line in run("pod", "list").out.splitlines() if line.startswith("site"))
    assert row[4] == "public", "what is listed is what holds now"
    assert (endpoint_of(run, "mydb")["access"], endpoint_of(run, "mydb", "metrics")["access"]) == ("owner", "read")
    outcome = run("pod", "access", "mydb:none", "read")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)


def test_an_endpoints_rules_are_changed_one_by_one(run: Run, site: Real) -> None:
    nets = ("--allow-ip", "10.0.0.0/8", "--allow-ip", "2001:db8::/32")
    assert run("pod", "access", "site", *nets, "--client-certificates").code == 0
    limits = ("--largest-body", "10MiB", "--rate", "2.5", "--burst", "9", "--idle-timeout", "30s")
    assert run("pod", "access", "site", "--cors", "https://a.example", *limits).code == 0
    assert run("pod", "access", "site", "--host", "site.example.org").code == 0
    shown = run("pod", "show", "site").out
    assert (
        "access read, also reached as site.example.org, only from 10.0.0.0/8, 2001:db8::/32, "
        "asks for client certificates" in shown
    )
    assert "scripts of https://a.example, bodies of at most 10485760 bytes, 2.5 requests a second" in shown
    undone = (
        "--any-ip",
        "--no-client-certificates",
        "--no-cors",
        "--largest-body",
        "none",
        "--rate",
        "0",
        "--no-hosts",
    )
    assert run("pod", "access", "site", *undone, "--burst", "0").code == 0
    assert "access read, silent for at most 30 s\n" in run("pod", "show", "site").out


def test_a_pod_is_given_away(run: Run, site: Real) -> None:
    assert run("pod", "give", "site", "alice").err == "site is alice's now\n"
    assert run("pod", "show", "site", "--json").json()["owner"] == "alice"
    assert run("pod", "give", "mydb", "alice", "--json").code == 0
    row = next(line.split() for line in run("pod", "list").out.splitlines() if line.startswith("mydb"))
    assert row[:3] == ["mydb", "db", "alice"]


def test_who_only_reads_may_not_share(run: Run, site: Real, monkeypatch: pytest.MonkeyPatch) -> None:
    run("share", "site", "--with", "alice")
    token = run("token", "create", "t", "--user", "alice", "--json").json()["token"]
    monkeypatch.setenv("PODGATE_TOKEN", token)
    for command in (
        ("share", "site", "--everyone"), ("share", "site", "--link"), ("unshare", "site", "--with", "alice"),
        ("pod", "access", "site", "public"), ("pod", "give", "site", "alice"),
    ):  # fmt: skip
        outcome = run(*command)
        assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1), command


def test_who_may_not_see_credentials_sees_the_pod(run: Run, site: Real, monkeypatch: pytest.MonkeyPatch) -> None:
    run("share", "mydb", "--with", "alice")
    token = run("token", "create", "t", "--user", "alice", "--json").json()["token"]
    assert "password" in run("pod", "show", "mydb").out + str(run("pod", "show", "mydb", "--json").json())
    monkeypatch.setenv("PODGATE_TOKEN", token)
    outcome = run("pod", "show", "mydb")
    assert (outcome.code, outcome.out.splitlines()[1]) == (0, "  owned by admin")
    assert "postgresql://" not in outcome.out
    assert [pod["name"] for pod in run("pod", "list", "--json").json()["pods"]] == ["mydb"]
    line = run("connect", "mydb", "--print")
    assert line.code == 0
    assert "user=alice dbname=mydb" in line.out
    assert "password" not in line.out


def test_how_many_may_connect_is_set_and_shown(run: Run, site: Real) -> None:
    limits = ("--most-connections", "20", "--most-connections-of-user", "5")
    assert run("pod", "access", "mydb", *limits).code == 0
    assert ", at most 20 connections, at most 5 connections of one user\n" in run("pod", "show", "mydb").out
    assert run("pod", "access", "mydb", "--most-connections", "0").code == 0
    assert ", access owner, at most 5 connections of one user\n" in run("pod", "show", "mydb").out
    assert run("pod", "access", "mydb", "--most-connections", "-1").code == 2
    failed = run("pod", "access", "site", "--most-connections", "1")
    assert (failed.code, "this limit is for databases, and the endpoint speaks http" in failed.err) == (1, True)


def test_new_passwords_are_told_of_but_not_shown(run: Run, controller: Controller) -> None:
    controller.add(pod("mydb"))
    done = run("pod", "rotate", "mydb")
    assert (done.code, done.out, done.err) == (0, "", "mydb has new passwords; see: podgate pod show mydb\n")
    assert ("POST /v1/pods/mydb/rotate", None) in controller.calls


def test_passwords_that_cannot_be_changed(run: Run, site: Real) -> None:
    assert run("pod", "rotate", "mydb").failed_with("the passwords of this pod cannot be changed; make another pod")
    assert run("pod", "rotate", "mybd").failed_with("there is no pod 'mybd'; did you mean mydb?")


def test_the_audit_log_is_told(run: Run, site: Real) -> None:
    run("share", "site", "--with", "alice")
    run("login", "alice", "--password-file", site.password_file("wrong password"))
    lines = run("audit", "--since", "1h").out.splitlines()
    assert lines[0].split() == ["AT", "WHO", "WHAT", "POD", "ADDRESS", "OUTCOME", "DETAIL"]
    assert [line.split()[0] for line in lines[1:]] == sorted(line.split()[0] for line in lines[1:])
    assert "alice" in lines[-1]
    assert {entry["outcome"] for entry in run("audit", "--outcome", "refused", "--json").json()["entries"]} == {
        "refused"
    }
    assert run("audit", "--pod", "site", "--json").json()["entries"]
    assert len(run("audit", "--limit", "2", "--json").json()["entries"]) == 2
    nothing = "Nothing of that kind is in the audit log.\n"
    assert run("audit", "--user", "alice", "--until", "2020-01-01T00:00:00Z").err == nothing
    assert run("audit", "--user", "alcie").failed_with("there is no user 'alcie'; did you mean alice?")
    assert run("audit", "--pod", "siet", "--json").failed_with("there is no pod 'siet'; did you mean site?")
    assert run("audit", "--pod", "siet", "--follow").failed_with("there is no pod 'siet'; did you mean site?")
    assert run("user", "remove", "alice").code == 0
    assert run("audit", "--user", "alice", "--since", "1h").code == 0, "the log outlives whom it tells of"
    run("user", "add", "bob", "--no-password")
    assert (run("audit", "--user", "bob").code, run("audit", "--user", "bob").err) == (0, nothing)
    assert run("audit", "--until", "2020-01-01T00:00:00Z", "--json").json()["entries"] == []


def test_the_audit_log_is_followed(run: Run, site: Real) -> None:
    command = [sys.executable, "-m", "podgate", "audit", "--follow", "--json", "--limit", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        json.loads(following.stdout.readline())
        for name in ("one", "two", "three"):
            run("group", "add", name)
        found = [json.loads(following.stdout.readline())["detail"] for _ in range(3)]
        assert found == ["one", "two", "three"]
        following.terminate()


def test_what_strangers_wrote_into_the_audit_log_stays_one_line(run: Run, controller: Controller) -> None:
    entry = {"at": SINCE, "who": "a\x1b[2J\nb", "what": "sign in", "pod": "", "address": "::1", "outcome": "refused"}
    controller.answers["GET /v1/audit"] = [(200, {"entries": [{**entry, "detail": "[red]x"}]})]
    out = run("audit").out
    assert out.count("\n") == 2
    assert "a\\x1b[2J\\nb" in out
    assert "[red]x" in out


def test_a_link_may_have_a_password_from_a_file_alone(run: Run, site: Real, tmp_path: Path) -> None:
    outcome = run("share", "site", "--link", "--password-file", str(tmp_path / "none"))
    assert (outcome.code, outcome.out) == (1, "")
    assert "cannot read the password" in outcome.err
