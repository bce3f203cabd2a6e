"""Real lives of `python -m controller`, killed and started again, with real processes as pods."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from controller.__main__ import main
from tests.controller.called import Called

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds until a test gives up
LIVES = 4  # of a controller that is killed again and again
SERVE = "exec /usr/bin/env python3 -m http.server --bind 127.0.0.1 $PORT"  # a python that the pod's user may run


@pytest.fixture
def home() -> Iterator[Path]:
    """A home with a short path, since it holds unix sockets; whatever pods are left in it are ended."""
    path = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        if any((path / "pods").glob("*")):
            remove_pods(path)
        shutil.rmtree(path)


def remove_pods(home: Path) -> None:
    with life(home) as controller:
        controller.end_all()


class Controller(Called):
    """A running controller, and a way to call it."""

    def __init__(self, home: Path, process: subprocess.Popen[str]) -> None:
        super().__init__(home, "api.sock", PATIENCE)
        self.process = process

    def create(self, name: str) -> httpx.Response:
        return self.make(name, SERVE)


def start(home: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "controller", "--home", str(home), *more]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def until_serving(process: subprocess.Popen[str]) -> str:
    """Read the log until the controller serves; give what it wrote."""
    assert process.stderr
    lines = ""
    for line in process.stderr:
        lines += line
        if "serving" in line:
            return lines
    raise AssertionError(lines)


@contextmanager
def life(home: Path, *more: str) -> Iterator[Controller]:
    with start(home, *more) as process:
        until_serving(process)
        controller = Controller(home, process)
        try:
            yield controller
        finally:
            controller.http.close()
            if process.poll() is None:
                process.terminate()
            process.communicate(timeout=PATIENCE)


def upstream_answers(controller: Controller, name: str) -> bool:
    with controller.http.stream("GET", "/v1/routes/stream?replica=test") as stream:
        snapshot = json.loads(next(stream.iter_lines()))
    (route,) = [each for each in snapshot["routes"] if each["host"] == f"{name}.pods.localhost"]
    host, _, port = route["upstreams"][0].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return connection.recv(4) == b"HTTP"


def test_pods_go_on_and_are_adopted_after_kill_9(home: Path) -> None:
    with life(home) as controller:
        assert controller.create("page").status_code == 201
        before = controller.available("page")
        controller.process.kill()
    with life(home) as controller:
        after = controller.get("/v1/pods/page")
        assert (after["phase"], after["since"], after["restarts"]) == ("available", before["since"], 0)
        assert upstream_answers(controller, "page")


def test_killed_while_it_creates_nothing_answered_is_lost_and_nothing_is_half_there(home: Path) -> None:
    answered: set[str] = set()
    for lived in range(LIVES):
        with life(home) as controller:
            kill_at = time.monotonic() + 0.02 + 0.03 * lived
            for number in range(8):
                try:
                    if controller.create(f"pod{lived}-{number}").status_code == 201:
                        answered.add(f"pod{lived}-{number}")
                except httpx.TransportError:
                    break
                if time.monotonic() >= kill_at:
                    controller.process.kill()
                    break
    with life(home) as controller:
        pods = {pod["name"]: pod for pod in controller.get("/v1/pods")["pods"]}
        assert answered <= pods.keys()
        assert {path.name for path in (home / "pods").iterdir()} <= {pod["key"] for pod in pods.values()}
        for name in pods:
            # A launch that a kill cut off before its process ran is seen, and counted, as one end.
            assert controller.available(name)["restarts"] <= LIVES


def test_a_pod_that_is_killed_while_no_controller_lives_is_started_again(home: Path) -> None:
    with life(home) as controller:
        controller.create("page")
        controller.available("page")
        with controller.http.stream("GET", "/v1/routes/stream?replica=test") as stream:
            port = re.findall(r"127\.0\.0\.1:(\d+)", next(stream.iter_lines()))[0]
        controller.process.kill()
    kill_listener(int(port))
    with life(home) as controller:
        assert controller.available("page")["restarts"] == 1
        assert upstream_answers(controller, "page")


def kill_listener(port: int) -> None:
    """End the process of our pod that listens on this port, which the pod was given alone."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and f"http.server --bind 127.0.0.1 {port}" in command_of(entry):
            os.kill(int(entry.name), signal.SIGKILL)
            return
    raise AssertionError("nobody listens")


def command_of(entry: Path) -> str:
    try:
        return (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def test_a_second_controller_on_a_home_is_refused_and_harms_nothing(home: Path) -> None:
    with life(home) as controller:
        with start(home) as second:
            _, log = second.communicate(timeout=PATIENCE)
        assert second.returncode == 1
        assert "another controller already runs on" in log
        assert log.count("\n") == 1
        assert controller.get("/v1/pods") == {"pods": []}


def test_it_ends_by_sigterm_and_by_the_end_of_its_parent(home: Path) -> None:
    with life(home) as controller:
        controller.process.terminate()
        assert controller.process.wait(timeout=PATIENCE) == 0
        assert not (home / "run" / "api.sock").exists()
    ours, theirs = os.pipe()[::-1]
    command = [sys.executable, "-m", "controller", "--home", str(home), "--parent-pipe", str(theirs)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, pass_fds=[theirs]) as process:
        os.close(theirs)
        until_serving(process)
        os.close(ours)
        assert process.wait(timeout=PATIENCE) == 0


def test_a_store_that_cannot_be_used_is_one_sentence(home: Path) -> None:
    store = home / "controller.sqlite"
    store.write_bytes(b"no database" * 1000)
    with start(home) as process:
        _, log = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert re.fullmatch(r".* ERROR store: \S+ is damaged \(.*\); put back a copy of it, or move it .*\n", log)
    assert not (home / "admin.token").exists()
    store.unlink()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--domain", "not a domain"], "is not a host name"),
        (["--public-port", "0"], "from 1 to 65535"),
        (["--console-host", "sign-in.pods.localhost"], "at or below the pods' domain"),
        (["--console-host", "pods.localhost"], "at or below the pods' domain"),
        (["--console-host", "not a name"], "is not a host name"),
        (["--public-port", "x"], "from 1 to 65535"),
        (["--replica", "a"], "replicas share a database"),
        (["--adopt-home"], "only replicas have one to adopt"),
        (["--replica", "no name"], "expected a name of at most 63 lower-case letters"),
    ],
)
def test_arguments_that_cannot_be(
    tmp_path: Path,
    arguments: list[str],
    reason: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    ours, theirs = os.pipe()
    os.close(theirs)  # a parent that is gone: should it be taken, it ends at once
    try:
        status: object = main(["--home", str(tmp_path / "home"), "--parent-pipe", str(ours), *arguments])
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    os.close(ours)
    assert reason in capsys.readouterr().err + caplog.text
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("address", ["postgresql://u:s3cret@h/d", "s3cret", "postgresql+psycopg://u:s3cret@h"])
def test_an_address_of_a_database_that_cannot_be_is_not_told(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PODGATE_DATABASE_URL", address)
    assert main(["--home", str(tmp_path / "home")]) == 2
    assert "expected postgresql+psycopg://USER:PASSWORD@HOST:PORT/DATABASE" in caplog.text
    assert "s3cret" not in caplog.text


def test_a_home_too_deep_for_a_socket(tmp_path: Path) -> None:
    with start(tmp_path / ("x" * 100)) as process:
        _, log = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "choose a shorter home" in log
