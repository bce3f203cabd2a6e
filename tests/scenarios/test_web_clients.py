"""curl and a browser at a web pod, and what they see when there is none."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from podgate.cli.proofs import Demo, browse
from tests.running import PATIENCE, Pod, Podgate

CHROMIUM = shutil.which("chromium")


def curl(podgate: Podgate, host: str, *options: str, path: str = "/") -> str:
    address = f"{host}:{podgate.port}"
    command = ["curl", "-sS", "--cacert", str(podgate.ca), "--resolve", f"{address}:127.0.0.1"]
    command += [*options, f"https://{address}{path}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return done.stdout + done.stderr


def test_curl(podgate: Podgate, site: Pod) -> None:
    assert "This pod is running" in curl(podgate, "mysite.pods.localhost", "--fail")


def test_curl_asks_for_what_is_not_there(podgate: Podgate) -> None:
    answer = json.loads(curl(podgate, "nothing.pods.localhost"))
    assert (answer["status"], answer["title"]) == (404, "No such pod")


def test_a_stopped_pod_says_so_and_starts_again(podgate: Podgate) -> None:
    podgate.create("sleeper", "web")
    podgate.run("pod", "stop", "sleeper", "--wait")
    assert json.loads(curl(podgate, "sleeper.pods.localhost"))["title"] == "This pod is stopped"
    podgate.run("pod", "start", "sleeper", "--wait")
    assert "This pod is running" in curl(podgate, "sleeper.pods.localhost", "--fail")
    podgate.run("pod", "delete", "sleeper", "--wait")
    assert json.loads(curl(podgate, "sleeper.pods.localhost"))["title"] == "No such pod"


def test_a_stranger_does_not_pass_a_level(podgate: Podgate) -> None:
    podgate.create("private", "web", "--access", "read")
    answer = json.loads(curl(podgate, "private.pods.localhost"))
    assert (answer["status"], answer["title"]) == (401, "Who are you?")
    podgate.run("pod", "delete", "private", "--wait")


def test_the_api_is_reached_through_the_gateway_with_a_token_only(podgate: Podgate) -> None:
    token = (podgate.home / "admin.token").read_text().strip()
    assert json.loads(curl(podgate, "api.pods.localhost", path="/v1/pods"))["status"] == 401
    authorized = ("--header", f"Authorization: Bearer {token}")
    assert "pods" in json.loads(curl(podgate, "api.pods.localhost", *authorized, path="/v1/pods"))


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_shows_the_page(podgate: Podgate, site: Pod, tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    assert browse(Demo(podgate.home, podgate.port), site, picture) == "This pod is running"
    assert picture.read_bytes().startswith(b"\x89PNG")
