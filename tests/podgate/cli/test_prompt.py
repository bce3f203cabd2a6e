"""`podgate cypher` with a real graph database behind TLS: ArcadeDB from its wheel, the name unknown to resolvers."""

import importlib.util
import json
import os
import pty
import select
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from certs.authority import Authority
from tests.peers import DEADLINE
from tests.ports import free_port

PASSWORD = "play it again"
INTERRUPT = "Ctrl-C"
pytestmark = pytest.mark.skipif(not importlib.util.find_spec("arcadedb_embedded"), reason="needs podgate[pods]")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Run ArcadeDB and give its Bolt port once it answers."""
    spec = importlib.util.find_spec("arcadedb_embedded")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    package, place, bolt = Path(spec.submodule_search_locations[0]), tmp_path_factory.mktemp("arcadedb"), free_port()
    settings = {
        "plugins": "Bolt:com.arcadedb.bolt.BoltProtocolPlugin",
        "rootPassword": PASSWORD,
        "defaultDatabases": "graph[root]",
        "rootPath": place,
        "httpIncomingHost": "127.0.0.1",
        "httpIncomingPort": free_port(),
    }
    server = [f"-Darcadedb.server.{name}={value}" for name, value in settings.items()]
    bolts = ["-Darcadedb.bolt.host=127.0.0.1", f"-Darcadedb.bolt.port={bolt}"]
    java = [str(package / "jre" / "bin" / "java"), "-Xmx256m", "-cp", str(package / "jars" / "*")]
    command = [*java, *server, *bolts, "com.arcadedb.server.ArcadeDBServer"]
    with subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        deadline = time.monotonic() + 60
        while True:
            assert time.monotonic() < deadline
            with suppress(OSError), socket.create_connection(("127.0.0.1", bolt)):
                break
            with suppress(subprocess.TimeoutExpired):  # asked without a pause, it would get half of the machine only
                pytest.fail(f"the database ended with {running.wait(0.05)}")
        yield bolt
        running.kill()


@pytest.fixture(scope="module")
def front(database: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Put TLS before the database; give its address and the authority to trust."""
    authority = Authority.open(tmp_path_factory.mktemp("authority"))
    leaf = authority.issue(["*.pods.localhost"], datetime.now(UTC))
    pair = authority.path.with_name("pair.pem")
    pair.write_bytes(leaf.key_pem + leaf.chain_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)

    def relay(raw: socket.socket) -> None:
        upstream = socket.create_connection(("127.0.0.1", database))
        with upstream, suppress(OSError), context.wrap_socket(raw, server_side=True) as client:
            other = {client: upstream, upstream: client}
            while True:
                for ready in [client] if client.pending() else select.select([*other], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    other[ready].sendall(data)

    def accept() -> None:
        relays = []
        with suppress(OSError):
            while True:
                relays.append(threading.Thread(target=relay, args=(listening.accept()[0],)))
                relays[-1].start()
        for each in relays:
            each.join()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        accepting = threading.Thread(target=accept)
        accepting.start()
        yield f"bolt+s://graph.pods.localhost:{listening.getsockname()[1]}", authority.path
        listening.shutdown(socket.SHUT_RDWR)
        accepting.join()


def command(front: tuple[str, Path], *more: str) -> list[str]:
    uri, ca = front
    place = ["--user", "root", "--ca", str(ca), "--database", "graph"]
    return [sys.executable, "-m", "podgate", "cypher", uri, *place, *more]


def run(front: tuple[str, Path], text: str, *more: str, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NEO4J_PASSWORD": password}
    return subprocess.run(
        command(front, *more), input=text, env=environment, capture_output=True, text=True, check=False
    )


def test_statements_from_standard_input_are_answered_as_tables(front: tuple[str, Path]) -> None:
    done = run(front, "CREATE (:Person {name: 'Ada; Lovelace'});\nMATCH (p:Person) RETURN p.name AS name, 1 AS one;")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split("  ") for line in done.stdout.splitlines()][-1][0] == "Ada; Lovelace"
    assert "name" in done.stdout


def test_statements_are_answered_as_json(front: tuple[str, Path]) -> None:
    done = run(
        front, "UNWIND [1, 2] AS n RETURN n, [n, 'x'] AS both; MATCH (n:Nobody) RETURN n; RETURN 3 AS m", "--json"
    )
    assert (done.returncode, done.stderr) == (0, "")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert answers == [[{"n": 1, "both": [1, "x"]}, {"n": 2, "both": [2, "x"]}], [], [{"m": 3}]]


def test_a_wrong_statement_ends_standard_input(front: tuple[str, Path]) -> None:
    done = run(front, "RETURN 1 AS n; THIS IS WRONG; RETURN 2 AS m;")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("podgate: Neo.ClientError.Statement.SyntaxError: ")
    assert "m" not in done.stdout.split()


def test_a_wrong_password_is_told(front: tuple[str, Path]) -> None:
    done = run(front, "RETURN 1;", password="something else")
    begin = "podgate: the server refused this user and password: "
    end = "; what it takes tells: podgate pod show NAME\n"
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith(begin)
    assert done.stderr.endswith(end)
    assert done.stderr.removeprefix(begin).removesuffix(end).strip() not in ("", "None")  # the server's own words


def waits(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def test_the_prompt_on_a_terminal_goes_on_after_an_error(front: tuple[str, Path]) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(command(front), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as prompt:
        os.close(theirs)
        seen = ""
        script = [
            ("Password of root:", f"{PASSWORD}\n"),
            ("cypher>", "NONSENSE;\n"),
            ("SyntaxError", ""),
            ("cypher>", "RETURN 6 *\n7 AS answer;\n"),
            ("42", ""),
            ("cypher>", "MATCH (n\n:Nobody) RETURN n;\n"),
            ("no rows", ""),
            ("cypher>", "CREATE (:Hat {colour: 'red'});\n"),
            ("1 node created, 1 property set", ""),
            ("cypher>", ":nonsense\n"),
            (":nonsense is no command", ""),
            ("cypher>", ":help\n"),
            ("Ctrl-C   clear", ""),
            ("cypher>", "MATCH (n\n"),
            ("...>", INTERRUPT),
            ("cypher>", "UNWIND range(1, 5000) AS a UNWIND range(1, 2000) AS b WITH a + b AS c RETURN max(c);\n"),
            ("running", INTERRUPT),
            ("cypher>", "RETURN 'still ' + 'here' AS answer;\n"),
            ("still here", ""),
            ("cypher>", ":quit\n"),
        ]
        for awaited, typed in script:
            while awaited not in seen:
                if not select.select([ours], [], [], 60)[0]:
                    prompt.kill()
                    pytest.fail(f"no {awaited!r} after {seen!r}")
                seen += os.read(ours, 4096).decode()
            seen = seen.partition(awaited)[2]
            if typed == INTERRUPT:
                while not waits(prompt.pid):  # readline loses a signal that comes before it waits for input
                    assert prompt.poll() is None
                prompt.send_signal(signal.SIGINT)  # as a terminal that controls it would
            else:
                os.write(ours, typed.encode())
        with suppress(OSError):
            while os.read(ours, 4096):
                pass
        assert prompt.wait(DEADLINE) == 0
    os.close(ours)
