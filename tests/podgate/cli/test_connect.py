"""`podgate connect`: the command lines it prints run as they stand; secrets are environment, never arguments."""

import os
import shlex
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from certs.authority import Authority
from podgate.cli.connect import opening_of
from podgate.cli.failure import Failure
from tests.podgate.cli.conftest import Run
from tests.podgate.cli.controller import Controller, pod, problem
from tests.podgate.cli.real import Real

CA = Path("/home of/ca.pem")
BOLT_HELLO = b"\x60\x60\xb0\x17"


@contextmanager
def tls_server(authority: Authority, name: str, greeting: bytes = b"") -> Iterator[tuple[int, list[tuple[Any, bytes]]]]:
    """Answer TLS connections with a greeting; give the port, and what names and first bytes came."""
    leaf = authority.issue([name], datetime.now(UTC))
    pair = authority.path.with_name("pair.pem")
    pair.write_bytes(leaf.key_pem + leaf.chain_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    came: list[tuple[Any, bytes]] = []
    names: list[Any] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    def serve() -> None:
        with listening, listening.accept()[0] as raw:
            try:
                with context.wrap_socket(raw, server_side=True) as connection:
                    connection.sendall(greeting)
                    came.append((names[-1], connection.recv(4)))
                    connection.unwrap()
            except OSError:
                return  # a client that refuses our certificate is what some tests are about

    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(20)
    serving = threading.Thread(target=serve)
    serving.start()
    yield listening.getsockname()[1], came
    serving.join()


def at_port(found: dict[str, Any], port: int) -> dict[str, Any]:
    found["endpoints"][0]["port"] = port
    return found


def program(directory: Path, name: str) -> None:
    """Put a program in place that tells its arguments and secrets, and leaves with 7."""
    path = directory / name
    path.write_text('#!/bin/sh\nprintf "%s\\n" "$PGPASSWORD" "$@"\nexit 7\n')
    path.chmod(0o755)


def test_postgres_is_opened_by_psql_with_everything_verified() -> None:
    opening = opening_of(pod("mydb", access="public"), "owner", CA)
    conninfo = (
        "host=mydb.pods.localhost hostaddr=127.0.0.7 port=8443 user=owner dbname=mydb sslmode=verify-full "
        "sslrootcert='/home of/ca.pem'"
    )
    assert opening.arguments == ("psql", conninfo)
    assert opening.secrets == {"PGPASSWORD": "o@ w"}
    assert "o@ w" not in repr(opening)


def test_another_role_and_a_name_that_a_resolver_knows() -> None:
    endpoint = {"name": "", "host": "mydb.example.org", "port": 443, "protocol": "postgres", "access": "public"}
    opening = opening_of(pod("mydb", endpoints=[endpoint]), "read", Path("/ca.pem"))
    conninfo = "host=mydb.example.org port=443 user=reader dbname=mydb sslmode=verify-full sslrootcert=/ca.pem"
    assert opening.arguments == ("psql", conninfo)


def test_the_default_endpoint_is_the_one_that_is_opened() -> None:
    other = {"name": "admin", "host": "mydb--admin.pods.localhost", "port": 1, "protocol": "http", "access": "owner"}
    both = pod("mydb", access="public")
    both["endpoints"].insert(0, other)
    assert "host=mydb.pods.localhost" in opening_of(both, "owner", CA).arguments[1]


@pytest.mark.parametrize(
    ("path", "quoted"), [("/it's", r"'/it\'s'"), ("/back\\slash", r"'/back\\slash'"), ("/a=b", "/a=b")]
)
def test_libpq_values_are_quoted(path: str, quoted: str) -> None:
    assert opening_of(pod("mydb", access="public"), "owner", Path(path)).arguments[1].endswith(f"sslrootcert={quoted}")


def test_bolt_is_opened_by_our_own_prompt() -> None:
    opening = opening_of(pod("g", protocol="bolt", access="public"), "owner", CA)
    assert opening.arguments[-6:] == ("cypher", "bolt+s://g.pods.localhost:8443", "--user", "root", "--ca", str(CA))
    assert opening.shell.startswith("NEO4J_PASSWORD='it'\"'\"'s $HOME' ")
    opening = opening_of(pod("g", protocol="bolt", access="read"), "owner", CA, "alice")
    assert opening.arguments[-4:] == ("--user", "alice", "--ca", str(CA))
    assert opening.secrets == {}


@pytest.mark.parametrize(
    ("found", "role", "sentence"),
    [
        (pod("mydb", access="public"), "write", "mydb has no credentials for write; use --as owner or read"),
        (pod("mydb", endpoints=[]), "owner", "mydb has no endpoint to connect to; see: podgate pod show mydb"),
        (pod("x", protocol="http", endpoints=[{"name": "", "protocol": "smtp"}]), "owner", "x speaks smtp, which this"),
    ],
)
def test_what_cannot_be_opened_is_told(found: dict[str, Any], role: str, sentence: str) -> None:
    with pytest.raises(Failure, match=sentence):
        opening_of(found, role, CA)


def test_the_client_is_run_and_its_exit_code_passed_on(
    run: Run, controller: Controller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "psql")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    controller.add(pod("mydb", access="public"))
    outcome = run("connect", "mydb", "--as", "read")
    assert outcome.code == 7
    password, conninfo = outcome.out.splitlines()
    assert password == "r"
    assert "user=reader" in conninfo


def test_the_printed_line_does_the_same_in_a_shell(
    run: Run, controller: Controller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "psql")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("PODGATE_CA", "/it's $HOME/ca.pem")
    controller.add(pod("mydb", access="public"))
    line = run("connect", "mydb", "--print").out
    assert line.count("\n") == 1
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    password, conninfo = done.stdout.splitlines()
    assert (done.returncode, password) == (7, "o@ w")
    assert conninfo.endswith(r"sslrootcert='/it\'s $HOME/ca.pem'")
    found = run("connect", "mydb", "--json").json()
    assert found["env"] == {"PGPASSWORD": "o@ w"}
    assert found["arguments"] == ["psql", conninfo]
    assert found["shell"] == line.strip()


def test_where_a_token_is_the_password_the_line_has_ones_own_name_and_no_password(
    run: Run, controller: Controller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "psql")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("PGPASSWORD", raising=False)
    controller.add(pod("mydb", access="write", credentials=None, uris=None, owner="bob"))
    told = run("connect", "mydb", "--print")
    assert told.out.startswith("psql 'host=mydb.pods.localhost hostaddr=127.0.0.1 port=8443 user=alice dbname=mydb ")
    assert told.err == (
        "mydb asks for write; the password is an API token (podgate token create psql), which psql takes from "
        "PGPASSWORD or ~/.pgpass, or asks for\n"
    )
    found = run("connect", "mydb", "--json").json()
    assert (found["env"], found["uri"]) == ({}, "postgresql://alice@mydb.pods.localhost:8443/mydb")


def test_ones_own_token_is_the_password_of_the_client_that_is_opened(
    run: Run, real: Real, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "psql")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    run("user", "add", "alice", "--no-password", "--make-pods")
    token = run("token", "create", "here", "--user", "alice", "--json").json()["token"]
    monkeypatch.setenv("PODGATE_TOKEN", token)
    run("pod", "create", "mydb", "--template", "db", "--no-wait")
    found = run("pod", "show", "mydb", "--json").json()
    opening = opening_of(found, "owner", CA, "alice")
    assert "user=alice dbname=mydb" in opening.arguments[1]
    assert opening.uri.startswith("postgresql://alice@mydb.pods.localhost:8443/mydb?sslmode=verify-full&")
    assert token not in f"{opening.arguments} {opening.uri} {opening.shell}"
    monkeypatch.setattr("podgate.cli.connect._see_routed", lambda *_: None)
    monkeypatch.delenv("PGPASSWORD", raising=False)
    password, conninfo = run("connect", "mydb").out.splitlines()
    assert (password, token in conninfo) == (token, False)
    monkeypatch.setenv("PGPASSWORD", "another")
    assert run("connect", "mydb").out.splitlines()[0] == "another"


def test_an_administrator_without_a_token_gets_one_for_as_long_as_the_client_runs(
    run: Run, real: Real, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "psql")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("PGPASSWORD", raising=False)
    run("pod", "create", "mydb", "--template", "db", "--no-wait")
    monkeypatch.setattr("podgate.cli.connect._see_routed", lambda *_: None)
    opened = run("connect", "mydb")
    password, conninfo = opened.out.splitlines()
    assert (opened.code, password[:4]) == (7, "pgt_")
    assert "user=admin dbname=mydb" in conninfo
    assert run("token", "list", "--json").json()["tokens"] == []


def test_without_psql_it_is_told_how_to_get_it(
    run: Run, controller: Controller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller.add(pod("mydb"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run("connect", "mydb").failed_with(
        "there is no psql here; install it (postgresql-client) or use the address of: podgate pod show"
    )


def test_a_client_that_is_not_installed_is_told(
    run: Run, controller: Controller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller.add(pod("raw", protocol="tcp"))
    monkeypatch.setenv("PATH", str(tmp_path))
    sentence = "cannot run openssl: No such file or directory; install it, or see: podgate pod show"
    assert run("connect", "raw").failed_with(sentence)


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ({"phase": "stopped", "want": "off"}, "mydb is stopped; start it: podgate pod start mydb --wait"),
        ({"phase": "failed", "message": "no space"}, "mydb failed: no space; see: podgate pod logs mydb"),
    ],
)
def test_a_pod_that_does_not_run_is_not_opened(
    run: Run, controller: Controller, state: dict[str, str], sentence: str
) -> None:
    controller.add(pod("mydb", routed=False, **state))
    assert run("connect", "mydb").failed_with(sentence)
    printed = run("connect", "mydb", "--print")
    assert (printed.code, printed.out.count("\n")) == (0, 1)
    assert printed.err.startswith(f"mydb is {state['phase']}; the command works when it is available")
    assert run("connect", "mydv").failed_with("there is no pod 'mydv'; did you mean mydb?")


def test_a_pod_on_its_way_is_waited_for(
    run: Run, controller: Controller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "psql")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    controller.add(pod("mydb", phase="starting", routed=False, access="public"))
    controller.answers["GET /v1/pods/mydb/wait"] = [problem(504, "mydb is starting"), (200, pod("mydb"))]
    assert run("connect", "mydb").code == 7
    assert [call.partition("?")[0] for call, _ in controller.calls[1:]] == ["GET /v1/pods/mydb/wait"] * 2


def test_web_pods_are_opened_in_the_browser(
    run: Run, controller: Controller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {shlex.quote(str(opened))}\n')
    browser.chmod(0o755)
    script = "import sys; from podgate.cli import main; sys.argv = ['podgate', 'connect', 'site']; main()"
    controller.add(pod("site", "web", "http"))
    environment = {**os.environ, "BROWSER": f"{browser} %s"}
    shown = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert (shown.stdout, shown.stderr) == ("https://site.pods.localhost:8443/\n", "")
    assert opened.read_text() == "https://site.pods.localhost:8443/"
    environment = {**os.environ, "BROWSER": "false %s", "PATH": ""}
    unseen = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert (unseen.stdout, unseen.stderr.count("\n")) == ("https://site.pods.localhost:8443/\n", 1)


def test_the_printed_curl_line_reaches_the_pod(run: Run, controller: Controller, home: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
    with tls_server(Authority.open(home / "authority"), "*.pods.localhost", answer) as (port, came):
        controller.add(at_port(pod("site", "web", "http"), port))
        line = run("connect", "site", "--print").out
        assert subprocess.run(["sh", "-c", line], capture_output=True, check=True).stdout == b"hello"
    assert came == [("site.pods.localhost", b"GET ")]


def test_what_a_pod_that_is_not_public_takes_is_told_beside_the_line(run: Run, controller: Controller) -> None:
    def endpoint(protocol: str, **changes: object) -> dict[str, Any]:
        return {"name": "", "host": "x.pods.localhost", "port": 8443, "protocol": protocol, "access": "read", **changes}

    controller.add(pod("site", "web", "http", endpoints=[endpoint("http")]))
    assert run("connect", "site", "--print").err == (
        "site asks for read: add -H @FILE, a file with 'Authorization: Bearer TOKEN' (podgate token create); "
        "a browser opens https://x.pods.localhost:8443/ and signs in\n"
    )
    controller.add(pod("g", "graph", "bolt", endpoints=[endpoint("bolt")]))
    outcome = run("connect", "g", "--print")
    assert "NEO4J_PASSWORD" not in outcome.out
    assert " --user alice " in outcome.out
    assert outcome.err == (
        "g asks for read; the password is an API token (podgate token create cypher), which the prompt takes from "
        "NEO4J_PASSWORD, or asks for\n"
    )
    for protocol in ("http", "bolt", "tcp"):
        controller.add(pod("open", protocol=protocol, endpoints=[endpoint(protocol, access="public")]))
        assert run("connect", "open", "--print").err == ""


@pytest.mark.parametrize(("name", "code"), [("*.pods.localhost", 0), ("*.other.localhost", 1)])
def test_the_printed_openssl_line_verifies_the_pod(
    run: Run, controller: Controller, home: Path, name: str, code: int
) -> None:
    with tls_server(Authority.open(home / "authority"), name, b"welcome") as (port, came):
        controller.add(at_port(pod("raw", protocol="tcp"), port))
        line = run("connect", "raw", "--print").out
        done = subprocess.run(["sh", "-c", line], input=b"echo", capture_output=True, check=False)
    assert done.returncode == code
    assert done.stdout == (b"" if code else b"welcome")
    assert came == ([] if code else [("raw.pods.localhost", b"echo")])


def test_the_prompt_verifies_the_pods_own_name_without_a_resolver(
    run: Run, controller: Controller, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEO4J_PASSWORD", "secret")
    with tls_server(Authority.open(home / "authority"), "*.pods.localhost") as (port, came):
        outcome = run("cypher", f"bolt+s://g.pods.localhost:{port}", "--user", "root")
    assert came == [("g.pods.localhost", BOLT_HELLO)]
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert outcome.err.startswith("podgate: cannot talk to the server: ")
    assert "secret" not in outcome.err


def test_the_prompt_refuses_another_pods_certificate(
    run: Run, controller: Controller, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEO4J_PASSWORD", "secret")
    authority = Authority.open(home / "authority")
    with tls_server(authority, "other.localhost") as (port, came):
        outcome = run("cypher", f"bolt+s://g.pods.localhost:{port}", "--user", "root", "--ca", str(authority.path))
    assert came == []
    assert "Hostname mismatch, certificate is not valid for 'g.pods.localhost'" in outcome.err
