"""curl and a raw client at an app that answers in every way HTTP/1.1 knows, through the gateway."""

import hashlib
import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import PATIENCE, Podgate
from tests.scenarios.api import delete
from tests.scenarios.apps import App, app
from tests.scenarios.people import Curl

BODY = b"0123456789abcdef" * 65536  # 1 MiB


@pytest.fixture(scope="module")
def echo(podgate: Podgate) -> Iterator[App]:
    yield app(podgate, "echo", "public")
    delete(podgate, "echo")


@pytest.fixture
def curl(podgate: Podgate, tmp_path: Path) -> Curl:
    return Curl(podgate, tmp_path / "jar")


@pytest.mark.parametrize("path", ["/events?n=3", "/slow?n=3", "/close", "/trailers", "/hints", "/big?bytes=10&length"])
def test_answers_arrive_as_the_app_gives_them(echo: App, curl: Curl, path: str) -> None:
    expected = {
        "/events?n=3": "data: 1\n\ndata: 2\n\ndata: 3\n\n",
        "/slow?n=3": "0\n1\n2\n",
        "/close": "until the end",
        "/trailers": "a body",
        "/hints": "hinted",
        "/big?bytes=10&length": "\0" * 10,
    }
    assert curl.ask(f"{echo.origin}{path}") == (200, expected[path])


def test_early_hints_and_trailers_pass(echo: App, curl: Curl) -> None:
    assert "HTTP/1.1 103 Early Hints" in curl.ask(f"{echo.origin}/hints", "--include")[1]
    assert "Checksum: 42" in curl.ask(f"{echo.origin}/trailers", "--include")[1]


@pytest.mark.parametrize("more", [(), ("--header", "Transfer-Encoding: chunked"), ("--header", "Expect: 100-continue")])
def test_uploads(echo: App, curl: Curl, tmp_path: Path, more: tuple[str, ...]) -> None:
    file = tmp_path / "body"
    file.write_bytes(BODY)
    status, told = curl.ask(f"{echo.origin}/upload", *more, "--data-binary", f"@{file}")
    assert (status, json.loads(told)["sha256"]) == (200, hashlib.sha256(BODY).hexdigest())


def test_an_answer_that_comes_before_the_upload_has_ended(echo: App, curl: Curl, tmp_path: Path) -> None:
    file = tmp_path / "body"
    with file.open("wb") as opened:
        opened.truncate(1 << 30)
    assert curl.ask(f"{echo.origin}/refuse", "--upload-file", str(file)) == (413, "too big")


def test_many_requests_on_one_connection(podgate: Podgate, echo: App) -> None:
    urls = [f"{echo.origin}{path}" for path in ("/headers", "/big?bytes=100000", "/trailers", "/slow?n=1") * 5]
    command = ["curl", "--silent", "--show-error", "--cacert", str(podgate.ca), "--write-out", "%{num_connects}\n"]
    outputs = [part for _ in urls for part in ("--output", "/dev/null")]
    done = subprocess.run([*command, *outputs, *urls], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout.split() == ["1", *"0" * (len(urls) - 1)]


def test_an_upgrade_to_a_protocol_of_its_own(podgate: Podgate, echo: App) -> None:
    context = ssl.create_default_context(cafile=str(podgate.ca))
    request = f"GET /upgrade HTTP/1.1\r\nHost: {echo.host}:{echo.port}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", podgate.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=echo.host) as tls,
    ):
        tls.sendall(request.encode() + b"at once")  # what follows the head is the new protocol's already
        seen = b""
        while not seen.endswith(b"at once"):
            seen += tls.recv(1000)
        assert seen.startswith(b"HTTP/1.1 101")
        tls.sendall(b"\0\xff later")
        assert tls.recv(1000) == b"\0\xff later"
