"""A connection that does not reach its pod is told why, in the words of its own protocol, and the pod hears nothing."""

import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import neo4j
import psycopg
import pytest
import trustme
from neo4j.exceptions import ClientError, TransientError

from certs.leaf import Leaf
from gateway.options import Options
from router.access import AccessLevel
from router.model import RouteState
from tests.gateway.running import Running, running
from tests.gateway.talks import ASK, Answer, ask_http, ask_postgres, head
from tests.peers import SSL_REQUEST, Ending, TlsPeer, leaf_of, plain_to, read_to_end, tls_to, trusting
from tests.ports import free_port
from tests.upstreams import Upstream, echo, upstream

UNRECOGNIZED_NAME = bytes((21, 3, 3, 0, 2, 2, 112))
ACCESS_DENIED = bytes((21, 3, 3, 0, 2, 2, 49))
INTERNAL_ERROR = bytes((21, 3, 3, 0, 2, 2, 80))

spoken = pytest.mark.parametrize("protocol", ASK)
Refusing = Callable[[Running, Upstream], str]


@pytest.fixture
def gateway(leaf: Leaf, ca: trustme.CA) -> Iterator[Running]:
    options = Options(public_port=8443, drain=0)
    with running([leaf, leaf_of(ca, "localhost", "127.0.0.1")], options) as gateway:
        yield gateway


@pytest.fixture
def server() -> Iterator[Upstream]:
    with upstream(echo) as server:
        yield server


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> Path:
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


def refused(gateway: Running, ca: trustme.CA, protocol: str, host: str) -> Answer:
    before = (SSL_REQUEST,) if protocol == "postgres" else ()
    client = tls_to(gateway.port, trusting(ca), host, before=before)
    answer = ask_http(client, head(host)) if protocol == "http" else ASK[protocol](client)
    client.close()
    return answer


def alerted(gateway: Running, ca: trustme.CA, host: str | None, alpn: tuple[str, ...] = ()) -> bytes:
    """Send a hello and give all that comes back."""
    with plain_to(gateway.port) as connection:
        connection.sendall(TlsPeer(connection, trusting(ca, alpn=alpn, check=False), host).hello())
        answer, clean = read_to_end(connection)
        assert clean
        return answer


# ---- why, times in which protocol


@spoken
@pytest.mark.parametrize("state", [RouteState.STOPPED, RouteState.STARTING, RouteState.FAILED])
def test_a_pod_that_is_not_there_says_so(
    gateway: Running, ca: trustme.CA, server: Upstream, protocol: str, state: RouteState
) -> None:
    host = gateway.route("away", protocol, server.address, state=state, message="because of the test")
    answer = refused(gateway, ca, protocol, host)
    expected = {"postgres": "57P03", "http": "503", "bolt": "Neo.TransientError.General.DatabaseUnavailable"}
    if state is RouteState.STOPPED:  # which no driver's trying again ends
        expected["bolt"] = "Neo.ClientError.Database.DatabaseNotFound"
    assert answer.code == expected[protocol]
    assert f"the pod behind {host}" in answer.text
    assert "because of the test" in answer.text
    assert server.accepted == 0


@pytest.mark.parametrize("protocol", ["http", "bolt"])  # postgres asks who is there: tests/gateway/postgres
@pytest.mark.parametrize("access", [level for level in AccessLevel if level is not AccessLevel.PUBLIC])
def test_a_pod_that_is_not_public_is_closed_to_everybody(
    gateway: Running, ca: trustme.CA, server: Upstream, protocol: str, access: AccessLevel
) -> None:
    host = gateway.route("closed", protocol, server.address, access=access)
    answer = refused(gateway, ca, protocol, host)
    expected = {"http": "401", "bolt": "Neo.ClientError.Security.Unauthorized"}
    assert answer.code == expected[protocol]
    assert ("say who you are" if protocol == "http" else f"access level {access}") in answer.text
    assert server.accepted == 0


def test_a_program_is_told_what_to_send_and_a_person_is_sent_to_sign_in(leaf: Leaf, ca: trustme.CA) -> None:
    options = Options(public_port=8443, drain=0, console="console.test")
    with running([leaf], options) as gateway:
        host = gateway.route("closed", "http", access=AccessLevel.READ)
        answers = []
        for accept in ("application/json", "text/html"):
            client = tls_to(gateway.port, trusting(ca), host)
            client.send(head(host, "/a?b", Accept=accept))
            if accept == "text/html":
                client.end()  # it could ask more on this connection
            answers.append(client.receive_to_end())
            client.close()
    (program, ended), (person, _) = answers
    assert program.startswith(b"HTTP/1.1 401 ")
    assert b"\r\nWWW-Authenticate: Bearer " in program
    assert b"\r\nContent-Type: application/problem+json\r\n" in program
    assert ended is Ending.GOODBYE
    assert person.startswith(b"HTTP/1.1 303 ")
    assert b"\r\nLocation: https://console.test:8443/sign-in?host=closed.pods.test&path=%2Fa%3Fb&state=" in person


@pytest.mark.parametrize("protocol", ["http", "bolt"])
def test_a_closed_pod_does_not_tell_whether_it_runs(gateway: Running, ca: trustme.CA, protocol: str) -> None:
    host = gateway.route("closed", protocol, access=AccessLevel.OWNER, state=RouteState.FAILED, message="secret")
    assert "secret" not in refused(gateway, ca, protocol, host).text


@spoken
def test_an_unknown_host_says_so(gateway: Running, ca: trustme.CA, protocol: str) -> None:
    answer = refused(gateway, ca, protocol, "nobody.pods.test")
    expected = {"postgres": "3D000", "http": "404", "bolt": "Neo.ClientError.Database.DatabaseNotFound"}
    assert answer.code == expected[protocol]
    assert "there is no pod behind nobody.pods.test" in answer.text


@spoken
def test_an_upstream_that_refuses_says_so(gateway: Running, ca: trustme.CA, protocol: str) -> None:
    host = gateway.route("dead", protocol, f"127.0.0.1:{free_port()}")
    answer = refused(gateway, ca, protocol, host)
    expected = {"postgres": "08006", "http": "502", "bolt": "Neo.TransientError.General.DatabaseUnavailable"}
    assert answer.code == expected[protocol]
    assert "does not take connections" in answer.text
    assert "127.0.0.1" not in answer.text


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_an_upstream_that_does_not_answer_is_given_up(leaf: Leaf, ca: trustme.CA, tmp_path: Path, kind: str) -> None:
    queued, hasty = [], Options(public_port=8443, connect_timeout=0.3, drain=0)
    with (
        running([leaf], hasty) as gateway,
        socket.socket(socket.AF_INET if kind == "tcp" else socket.AF_UNIX) as listener,
    ):
        listener.bind(("127.0.0.1", 0) if kind == "tcp" else str(tmp_path / "s"))
        listener.listen(0)
        for _ in range(4):  # its queue is full after one or two of them
            client = socket.socket(listener.family)
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
            queued.append(client)
        place = listener.getsockname()
        host = gateway.route("slow", "http", f"127.0.0.1:{place[1]}" if kind == "tcp" else f"unix:{place}")
        assert refused(gateway, ca, "http", host).code == "502"
    for client in queued:
        client.close()


def test_the_next_upstream_is_tried(gateway: Running, ca: trustme.CA, server: Upstream) -> None:
    dead = [f"127.0.0.1:{free_port()}" for _ in range(3)]
    host = gateway.route("partly", "tcp", *dead, server.address)
    client = tls_to(gateway.port, trusting(ca), host)
    client.send(b"hello")
    assert client.receive(5) == b"hello"
    client.close()


# ---- clients that name no host, or none there is a certificate for


def test_without_a_certificate_for_the_name_there_is_an_alert(gateway: Running, ca: trustme.CA) -> None:
    assert alerted(gateway, ca, "nobody.example.org") == UNRECOGNIZED_NAME
    assert alerted(gateway, ca, "nobody.example.org", alpn=("postgresql",)) == UNRECOGNIZED_NAME


@pytest.mark.parametrize("name", [None, "127.0.0.1", "bad..name", "-", "a_b c.test"])
def test_without_a_usable_name_there_is_an_alert(gateway: Running, ca: trustme.CA, name: str | None) -> None:
    with plain_to(gateway.port) as connection:
        hello = TlsPeer(connection, trusting(ca, check=False), "x" * len(name) if name else None).hello()
        connection.sendall(hello.replace(b"x" * len(name), name.encode()) if name else hello)
        assert read_to_end(connection) == (UNRECOGNIZED_NAME, True)


def test_a_name_in_capitals_is_the_same_name(gateway: Running, ca: trustme.CA, server: Upstream) -> None:
    gateway.route("echo", "tcp", server.address)
    client = tls_to(gateway.port, trusting(ca, check=False), "ECHO.Pods.Test")
    client.send(b"hello")
    assert client.receive(5) == b"hello"
    client.close()


def test_postgres_without_a_name_is_told_so_in_postgres(gateway: Running, ca: trustme.CA) -> None:
    client = tls_to(gateway.port, trusting(ca, check=False), None, before=(SSL_REQUEST,))
    answer = ask_postgres(client)
    client.close()
    assert answer.code == "08004"
    assert "did not say which pod" in answer.text


@pytest.mark.parametrize(
    ("state", "access", "alert"),
    [
        (RouteState.STOPPED, AccessLevel.PUBLIC, INTERNAL_ERROR),
        (RouteState.AVAILABLE, AccessLevel.READ, ACCESS_DENIED),
    ],
)
def test_a_raw_protocol_gets_an_alert(
    gateway: Running, ca: trustme.CA, server: Upstream, state: RouteState, access: AccessLevel, alert: bytes
) -> None:
    host = gateway.route("raw", "tcp", server.address, state=state, access=access)
    assert alerted(gateway, ca, host) == alert
    assert server.accepted == 0


def test_a_raw_upstream_that_refuses_is_not_taken_for_one_that_ended(gateway: Running, ca: trustme.CA) -> None:
    host = gateway.route("raw", "tcp", f"127.0.0.1:{free_port()}")
    client = tls_to(gateway.port, trusting(ca), host)
    assert client.receive_to_end() == (b"", Ending.FIN)
    client.close()


# ---- as real clients show it


@pytest.mark.parametrize("negotiation", ["postgres", "direct"])
def test_psycopg_shows_an_unknown_host(gateway: Running, ca_file: Path, negotiation: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"there is no pod behind nobody\.pods\.test") as caught:
        psycopg.connect(
            f"host=nobody.pods.test hostaddr=127.0.0.1 port={gateway.port} user=alice sslmode=verify-full "
            f"sslrootcert={ca_file} sslnegotiation={negotiation} connect_timeout=60"
        )
    assert "podgate pod list" in str(caught.value)


def test_psql_shows_an_unknown_host(gateway: Running, ca_file: Path) -> None:
    place = f"host=nobody.pods.test hostaddr=127.0.0.1 port={gateway.port} user=alice"
    run = subprocess.run(
        ["psql", f"{place} sslmode=verify-full sslrootcert={ca_file}"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "there is no pod behind nobody.pods.test" in run.stderr


@pytest.mark.parametrize(
    ("state", "code", "kind"),
    [
        (None, "Neo.ClientError.Database.DatabaseNotFound", ClientError),
        (RouteState.STOPPED, "Neo.ClientError.Database.DatabaseNotFound", ClientError),
        (RouteState.STARTING, "Neo.TransientError.General.DatabaseUnavailable", TransientError),
    ],
)
def test_the_neo4j_driver_shows_why(
    gateway: Running, ca_file: Path, state: RouteState | None, code: str, kind: type[Exception]
) -> None:
    if state is not None:
        gateway.route("localhost", "bolt", state=state)
    driver = neo4j.GraphDatabase.driver(
        f"bolt://localhost:{gateway.port}",
        auth=("neo4j", "secret"),
        encrypted=True,
        trusted_certificates=neo4j.TrustCustomCAs(str(ca_file)),
    )
    with driver, pytest.raises(kind) as caught:
        driver.verify_connectivity()
    assert getattr(caught.value, "code", "") == code


def test_curl_shows_an_unknown_host(gateway: Running, ca_file: Path) -> None:
    url = f"https://nobody.pods.test:{gateway.port}/"
    resolve = f"nobody.pods.test:{gateway.port}:127.0.0.1"
    run = subprocess.run(
        ["curl", "-sS", "-w", "%{http_code}", "--cacert", str(ca_file), "--resolve", resolve, url],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stdout.endswith("404")
    assert "there is no pod behind nobody.pods.test" in run.stdout


# ---- TLS


def test_tls_1_1_is_refused(gateway: Running, server: Upstream) -> None:
    host = gateway.route("echo", "tcp", server.address)
    run = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port}", "-servername", host, "-tls1_1",
         "-cipher", "DEFAULT@SECLEVEL=0"],
        input="", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "alert protocol version" in run.stderr
    assert server.accepted == 0


@pytest.mark.parametrize(
    ("offered", "selected"),
    [(("h2", "http/1.1"), "http/1.1"), (("http/1.1",), "http/1.1"), (("h2",), None), ((), None)],
)
def test_http_routes_speak_http_1(
    gateway: Running, ca: trustme.CA, server: Upstream, offered: tuple[str, ...], selected: str | None
) -> None:
    host = gateway.route("web", "http", server.address)
    client = tls_to(gateway.port, trusting(ca, alpn=offered), host)
    assert client.tls.selected_alpn_protocol() == selected
    client.close()


def test_a_client_that_does_not_trust_the_certificate_is_only_logged(
    gateway: Running, server: Upstream, caplog: pytest.LogCaptureFixture, ca: trustme.CA
) -> None:
    host = gateway.route("echo", "tcp", server.address)
    with caplog.at_level("INFO", "podgate.opening"):
        with pytest.raises(ssl.SSLCertVerificationError):
            tls_to(gateway.port, trusting(trustme.CA()), host)
        client = tls_to(gateway.port, trusting(ca), host)
        client.send(b"hello")
        assert client.receive(5) == b"hello"
        client.close()
    assert "unknown ca" in caplog.text


# ---- certificates asked of the supervisor


@pytest.mark.parametrize(("route", "host"), [("db.example.org", "db.example.org"), ("*.example.org", "a.example.org")])
def test_a_certificate_is_asked_for_once_and_waited_for(
    gateway: Running, ca: trustme.CA, server: Upstream, route: str, host: str
) -> None:
    gateway.route(route, "tcp", server.address)
    hellos = [TlsPeer(plain_to(gateway.port), trusting(ca), host) for _ in range(2)]
    for client in hellos:
        client.socket.sendall(client.hello())
    with plain_to(gateway.port) as other:  # answered after both hellos have been looked at
        other.sendall(SSL_REQUEST)
        assert other.recv(1) == b"S"
    assert gateway.asked == [route]
    gateway.answer(route, leaf_of(ca, route))
    for client in hellos:
        client.handshake()
        client.send(b"hello")
        assert client.receive(5) == b"hello"
        client.close()


def test_if_no_certificate_can_be_had_the_default_stands_in(gateway: Running, ca: trustme.CA, server: Upstream) -> None:
    gateway.route("db.example.org", "tcp", server.address)
    client = TlsPeer(plain_to(gateway.port), trusting(ca), "db.example.org")
    client.socket.sendall(client.hello())
    with plain_to(gateway.port) as other:
        other.sendall(SSL_REQUEST)
        assert other.recv(1) == b"S"
    gateway.answer("db.example.org", None)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        client.handshake()
    client.close()


def test_a_name_without_a_route_makes_nobody_sign_for_it(gateway: Running, ca: trustme.CA) -> None:
    alerted(gateway, ca, "stranger.example.org")
    assert gateway.asked == []
