"""Looking at a machine: each thing that `podgate serve` would stumble over, before it does."""

import fcntl
import os
import resource
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certs.authority import Authority
from certs.files import PRIVATE, write_file
from podgate.checkup import database
from podgate.checkup.findings import Finding, State
from podgate.checkup.machine import LEAST_DISK, Machine, look
from tests.ports import free_port


@pytest.fixture
def free() -> str:
    return f"127.0.0.1:{free_port()}"


def looked(machine: Machine) -> dict[str, Finding]:
    return {finding.what: finding for finding in look(machine)}


def test_a_machine_that_has_all_is_told_so(tmp_path: Path, free: str) -> None:
    found = looked(Machine(tmp_path / "home", free))
    assert not [finding for finding in found.values() if finding.state is State.WRONG]
    assert found["home"].found == f"{tmp_path / 'home'} will be made in {tmp_path}"
    assert found["port"].found == f"{free} is free"
    assert {"disk", "open files", "clock", "user", "postgres", "arcadedb", "caddy"} <= found.keys()
    assert not (tmp_path / "home").exists()


def test_what_a_cluster_runs_is_not_looked_for_here(tmp_path: Path, free: str) -> None:
    assert not {"user", "postgres"} & looked(Machine(tmp_path, free, runs_pods=False)).keys()


def test_a_home_that_cannot_be_one(tmp_path: Path, free: str) -> None:
    (tmp_path / "file").write_text("")
    assert looked(Machine(tmp_path / "file" / "home", free))["home"].state is State.WRONG
    assert looked(Machine(tmp_path / ("h" * 100), free))["home"].found.endswith("is too long")


def test_a_disk_that_is_full(tmp_path: Path, free: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for left, state in ((LEAST_DISK - 1, State.WRONG), (LEAST_DISK, State.UNSURE), (2**40, State.OK)):
        usage = os.terminal_size((0, 0)), left
        monkeypatch.setattr("shutil.disk_usage", lambda _path, usage=usage: type("Usage", (), {"free": usage[1]}))
        assert looked(Machine(tmp_path, free))["disk"].state is state


@pytest.fixture
def taken() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield f"127.0.0.1:{other.getsockname()[1]}"


def test_a_port_of_another_program(tmp_path: Path, taken: str) -> None:
    finding = looked(Machine(tmp_path, taken))["port"]
    assert (finding.state, finding.found) == (State.WRONG, f"{taken} is used by another program")


def test_a_port_that_podgate_itself_uses(tmp_path: Path, taken: str) -> None:
    with (tmp_path / "controller.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = looked(Machine(tmp_path, taken))
    assert (found["port"].state, found["home"].found) == (State.OK, f"{tmp_path}, where Podgate runs now")


@pytest.mark.parametrize("listen", ["127.0.0.1", "192.0.2.1:8443", "no.such.host.invalid:8443"])
def test_addresses_that_are_none_of_this_machine(tmp_path: Path, listen: str) -> None:
    assert looked(Machine(tmp_path, listen))["port"].state is State.WRONG


def _pair(directory: Path, lifetime: timedelta) -> tuple[Path, Path]:
    began = datetime.now(UTC) - timedelta(days=30)
    leaf = Authority.open(directory / "other").issue(["*.pods.test"], began, timedelta(days=30) + lifetime)
    certificate, key = directory / "cert.pem", directory / "key.pem"
    certificate.write_bytes(leaf.chain_pem)
    write_file(key, leaf.key_pem, PRIVATE)
    return certificate, key


@pytest.mark.parametrize(
    ("days", "state"), [(-1, State.WRONG), (5, State.UNSURE), (60, State.OK)], ids=["expired", "soon", "good"]
)
def test_a_certificate_s_dates(tmp_path: Path, free: str, days: int, state: State) -> None:
    finding = looked(Machine(tmp_path, free, *_pair(tmp_path, timedelta(days=days))))["certificate"]
    assert finding.state is state
    assert bool(finding.cure) is (state is not State.OK)
    assert state is State.WRONG or "*.pods.test" in finding.found


def test_a_certificate_without_its_key(tmp_path: Path, free: str) -> None:
    certificate, key = _pair(tmp_path, timedelta(days=60))
    assert looked(Machine(tmp_path, free, certificate))["certificate"].state is State.WRONG
    key.chmod(0o644)
    assert "chmod 600" in looked(Machine(tmp_path, free, certificate, key))["certificate"].cure


def test_the_home_s_authority_is_looked_at_and_never_made(tmp_path: Path, free: str) -> None:
    assert looked(Machine(tmp_path, free))["authority"].state is State.OK
    assert not (tmp_path / "authority").exists()
    Authority.open(tmp_path / "authority")
    assert "is good until" in looked(Machine(tmp_path, free))["authority"].found
    (tmp_path / "authority" / "ca.key").unlink()
    finding = looked(Machine(tmp_path, free))["authority"]
    assert (finding.state, "restore it from a backup" in finding.cure) == (State.WRONG, True)


@pytest.mark.parametrize(("most", "state"), [(100, State.WRONG), (1024, State.UNSURE), (20000, State.OK)])
def test_a_limit_of_open_files(
    tmp_path: Path, free: str, monkeypatch: pytest.MonkeyPatch, most: int, state: State
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (most, most))
    assert looked(Machine(tmp_path, free))["open files"].state is state


def test_a_clock_that_cannot_be_right(tmp_path: Path, free: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("podgate.checkup.machine.time.time", lambda: 1e9)
    assert looked(Machine(tmp_path, free))["clock"].found == "it shows 2001-09-09 01:46 UTC"


# ---- the database


def asked(monkeypatch: pytest.MonkeyPatch, address: str) -> list[Finding]:
    monkeypatch.setenv("PODGATE_DATABASE_URL", address)
    return list(database.look())


def test_without_a_database_nothing_is_said_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, "") == []


@pytest.mark.parametrize(
    "address",
    [
        "nonsense",
        "postgresql+psycopg://podgate:hunter2secret@127.0.0.1:1/podgate",
        "postgresql+psycopg://podgate:my@hunter2secret@127.0.0.1:1/podgate",
        "postgresql+psycopg://podgate:my/hunter2secret@127.0.0.1:1/podgate",
        "postgresql+psycopg://podgate:my#hunter2secret@127.0.0.1:1/podgate",
        "postgresql+psycopg://podgate@127.0.0.1:1/podgate?password=hunter2secret",
        "postgresql://podgate:hunter2secret@127.0.0.1:1/podgate",
    ],
)
def test_a_database_that_cannot_be_used_and_its_password_unsaid(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    (finding,) = asked(monkeypatch, address)
    assert finding.state is State.WRONG
    assert "hunter2" not in str(finding)


def test_a_database_that_a_file_names_is_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql+psycopg://podgate:hunter2secret@127.0.0.1:1/podgate\n")
    (tmp_path / "url").chmod(0o600)
    monkeypatch.setenv("PODGATE_DATABASE_URL_FILE", str(tmp_path / "url"))
    (finding,) = database.look()
    assert (finding.state, "127.0.0.1" in finding.found, "hunter2" in str(finding)) == (State.WRONG, True, False)
    (tmp_path / "url").chmod(0o644)
    (finding,) = database.look()
    assert (finding.state, "chmod 600" in str(finding)) == (State.WRONG, True)
