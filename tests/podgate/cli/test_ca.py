"""`podgate ca …`: where the authority is, what it is, and how programs come to trust it."""

import os
import subprocess
from pathlib import Path

import pytest

from certs.authority import Authority
from podgate.cli import ca
from tests.podgate.cli.conftest import Run


@pytest.fixture
def authority(home: Path) -> Authority:
    return Authority.open(home / "authority")


def test_the_path_is_told(run: Run, authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run("ca", "path").out == f"{authority.path}\n"
    assert run("ca", "path", "--json").json() == {"path": str(authority.path)}
    other = Authority.open(tmp_path / "other").path
    monkeypatch.setenv("PODGATE_CA", str(other))
    assert run("ca", "path").out == f"{other}\n"


@pytest.mark.parametrize("command", ["path", "show", "trust"])
def test_before_the_first_start_there_is_none(run: Run, home: Path, command: str) -> None:
    outcome = run("ca", command)
    cure = "start Podgate once (podgate serve), or set PODGATE_CA or PODGATE_HOME"
    assert outcome.failed_with(f"there is no certificate authority at {home}/authority/ca.pem; {cure}")


def test_the_authority_is_shown_as_openssl_shows_it(run: Run, authority: Authority) -> None:
    command = ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", str(authority.path)]
    fingerprint = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().partition("=")[2]
    facts = run("ca", "show", "--json").json()
    assert facts["sha256"] == fingerprint
    assert facts["pem"] == authority.path.read_text()
    out = run("ca", "show").out
    assert f"sha256: {fingerprint}\n" in out
    assert "subject: CN=Podgate local authority" in out
    assert "PRIVATE" not in out


def test_a_damaged_authority_is_told(run: Run, authority: Authority) -> None:
    authority.path.write_text("no certificate")
    assert run("ca", "show").failed_with(f"{authority.path} holds no certificate; restore it from a backup")
    authority.path.unlink()
    authority.path.mkdir()
    cure = "run this as the user who runs Podgate"
    assert run("ca", "show").failed_with(f"cannot read {authority.path}: Is a directory; {cure}")


def test_trusting_prints_commands_and_changes_nothing(run: Run, authority: Authority) -> None:
    outcome = run("ca", "trust")
    assert outcome.code == 0
    for word in ("update-ca-certificates", "certutil", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "PGSSLROOTCERT"):
        assert word in outcome.out
    assert "believes every certificate its key signs" in outcome.err
    found = run("ca", "trust", "--json").json()
    assert (found["trusted"], found["path"]) == (False, str(authority.path))
    assert found["undo"].keys() == found["commands"].keys()
    assert all(f"# undo: {command}\n" in outcome.out for command in found["undo"].values())
    # The answer is a script as it stands: comments and commands.
    subprocess.run(["sh", "-n"], input=outcome.out, text=True, check=True)


def test_commands_quote_the_path() -> None:
    assert all("'/home of/ca.pem'" in command for command, _undo in ca.ways(Path("/home of/ca.pem")).values())


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store and an update-ca-certificates of the test's own: the machine's are left alone."""
    place = tmp_path / "store"
    place.mkdir()
    monkeypatch.setattr(ca, "SYSTEM_STORE", place)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    return place


def update(directory: Path, script: str) -> None:
    path = directory / "update-ca-certificates"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_with_yes_the_systems_store_is_changed(run: Run, authority: Authority, store: Path, tmp_path: Path) -> None:
    update(tmp_path, f'cp "{store}/podgate.crt" "{store}/updated"')
    outcome = run("ca", "trust", "--yes")
    assert (outcome.code, outcome.out) == (0, "")
    assert "the system trusts the authority now" in outcome.err
    assert "podgate.crt && sudo update-ca-certificates --fresh" in outcome.err
    assert (store / "updated").read_bytes() == authority.path.read_bytes()
    assert run("ca", "trust", "--yes", "--json").json()["trusted"] is True


def test_with_yes_what_cannot_be_done_is_told(
    run: Run, authority: Authority, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    see = "see the commands of: podgate ca trust"
    monkeypatch.setenv("PATH", "/nowhere")
    reason = "there is no update-ca-certificates"
    assert run("ca", "trust", "--yes").failed_with(f"cannot change the system's store here, {reason}; {see}")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    update(tmp_path, "echo no room >&2; exit 3")
    assert run("ca", "trust", "--yes").failed_with(
        f"{tmp_path}/update-ca-certificates failed: no room; see: podgate ca trust"
    )
    store.joinpath("podgate.crt").unlink()
    store.rmdir()
    assert f"cannot write to {store}: No such file or directory" in run("ca", "trust", "--yes").err


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which only root may")
def test_with_yes_only_root_may(run: Run, authority: Authority, store: Path, tmp_path: Path) -> None:
    update(tmp_path, "exit 0")
    for place in (tmp_path, *list(tmp_path.parents)[:2]):
        place.chmod(0o711)
    os.seteuid(65534)
    try:
        outcome = run("ca", "trust", "--yes")
    finally:
        os.seteuid(0)
    see = "see the commands of: podgate ca trust"
    assert outcome.failed_with(f"cannot change the system's store here, only root may; {see}")
    assert list(store.iterdir()) == []
