"""Behind a balancer: whose connection it says it is counts, from where it is believed; elsewhere nothing is."""

import ipaddress
import logging
import socket
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from typer.testing import CliRunner

from certs.leaf import Leaf
from gateway.balancing import MOST_NETWORKS, Balancers
from gateway.options import Options
from podgate.cli import app
from tests.gateway.running import running
from tests.haproxy import haproxy, needs_haproxy
from tests.peers import DEADLINE, TlsPeer, plain_to, read_to_end, trusting
from tests.upstreams import Upstream, answer_http, upstream

CLIENT, LISTENER = "192.0.2.7", "198.51.100.1"
V1 = f"PROXY TCP4 {CLIENT} {LISTENER} 50412 443\r\n".encode()
V2_START = bytes.fromhex("0d0a0d0a000d0a515549540a")
V2 = V2_START + b"\x21\x11\x00\x11" + bytes((192, 0, 2, 7, 198, 51, 100, 1, 0xC4, 0xEC, 1, 0xBB)) + b"\x04\0\x02\0\0"
LOCAL = V2_START + b"\x20\0\0\0"
ASK = b"GET / HTTP/1.1\r\nHost: web.pods.test\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"
BALANCED = Options(public_port=8443, drain=0.0, proxy_from="127.0.0.1,2001:db8::/32")


def through(port: int, header: bytes, ca: trustme.CA, host: str, source: str = "127.0.0.1") -> TlsPeer:
    """Connect as a balancer at `source` does, which says `header` first."""
    connection = socket.create_connection(("127.0.0.1", port), DEADLINE, (source, 0))
    peer = TlsPeer(connection, trusting(ca), host)
    try:
        connection.sendall(header + peer.hello())
        peer.handshake()
    except BaseException:
        connection.close()
        raise
    return peer


def forwarded(peer: TlsPeer) -> str:
    """Ask a pod that answers with what it was asked, and give the client's address that it was told."""
    peer.send(ASK)
    seen = b""
    while not seen.endswith(b"\r\n\r\n") or seen.count(b"\r\n\r\n") < 2:
        seen += peer.receive(1)
    (line,) = [line for line in seen.split(b"\r\n") if line.lower().startswith(b"x-forwarded-for:")]
    return line.partition(b":")[2].strip().decode()


@pytest.mark.parametrize(
    ("header", "address"),
    [(V1, CLIENT), (V2, CLIENT), (LOCAL, "127.0.0.1"), (b"PROXY UNKNOWN\r\n", "127.0.0.1")],
    ids=["v1", "v2", "local", "unknown"],
)
def test_the_pod_is_told_the_client_that_the_balancer_names(
    ca: trustme.CA, leaf: Leaf, header: bytes, address: str
) -> None:
    with upstream(answer_http) as server, running([leaf], BALANCED) as gateway:
        gateway.route("web", "http", server.address)
        peer = through(gateway.port, header, ca, "web.pods.test")
        assert forwarded(peer) == address
        peer.close()


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
def test_a_header_that_comes_byte_by_byte_is_read(ca: trustme.CA, leaf: Leaf, header: bytes, echoing: Upstream) -> None:
    with running([leaf], BALANCED) as gateway:
        gateway.route("raw", "tcp", echoing.address)
        connection = plain_to(gateway.port)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in header:
            connection.sendall(bytes((byte,)))
        peer = TlsPeer(connection, trusting(ca), "raw.pods.test")
        peer.handshake()
        peer.send(b"hello")
        assert peer.receive(5) == b"hello"
        peer.close()


@pytest.mark.parametrize(("network", "is_let_in"), [(f"{CLIENT}/32", True), ("127.0.0.0/8", False)])
def test_networks_are_compared_with_the_client_and_not_with_the_balancer(
    ca: trustme.CA, leaf: Leaf, network: str, is_let_in: bool, echoing: Upstream
) -> None:
    with running([leaf], BALANCED) as gateway:
        gateway.route("raw", "tcp", echoing.address, ip_allow=(ipaddress.ip_network(network),))
        if is_let_in:
            through(gateway.port, V2, ca, "raw.pods.test").close()
        else:
            with pytest.raises(OSError, match="access denied"):
                through(gateway.port, V2, ca, "raw.pods.test")


def test_a_header_from_anywhere_else_is_not_read(ca: trustme.CA, leaf: Leaf, echoing: Upstream) -> None:
    with running([leaf], BALANCED) as gateway:
        gateway.route("raw", "tcp", echoing.address)
        for header in (V1, V2):
            with pytest.raises((OSError, EOFError)):
                through(gateway.port, header, ca, "raw.pods.test", source="127.0.0.2")
        through(gateway.port, b"", ca, "raw.pods.test", source="127.0.0.2").close()


def test_nobody_is_believed_unless_told(ca: trustme.CA, leaf: Leaf, echoing: Upstream) -> None:
    with running([leaf]) as gateway:
        gateway.route("raw", "tcp", echoing.address)
        with pytest.raises((OSError, EOFError)):
            through(gateway.port, V1, ca, "raw.pods.test")


def test_a_balancer_that_sends_none_is_told_in_the_log(
    ca: trustme.CA, leaf: Leaf, echoing: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with running([leaf], BALANCED) as gateway:
        gateway.route("raw", "tcp", echoing.address)
        with pytest.raises((OSError, EOFError)):
            through(gateway.port, b"", ca, "raw.pods.test")
    assert "expected one from this address, got something else" in caplog.text


def test_a_second_header_is_not_read(ca: trustme.CA, leaf: Leaf, echoing: Upstream) -> None:
    """What a client sends after the balancer's header is its own: it cannot choose another address."""
    with running([leaf], BALANCED) as gateway:
        gateway.route("raw", "tcp", echoing.address)
        with pytest.raises((OSError, EOFError)):
            through(gateway.port, V1 + V1.replace(b"192.0.2.7", b"192.0.2.8"), ca, "raw.pods.test")


@pytest.mark.parametrize("header", [b"", V1[:20], V2[:14], V2[:-1]], ids=["none", "v1", "v2", "v2-tlv"])
def test_a_header_that_does_not_come_in_time_opens_nothing(header: bytes, leaf: Leaf) -> None:
    with running([leaf], replace(BALANCED, opening_budget=0.2)) as gateway:
        connection = plain_to(gateway.port)
        connection.sendall(header)
        assert read_to_end(connection)[0] == b""
        connection.close()


@pytest.mark.parametrize(
    "header",
    [
        V1.replace(CLIENT.encode(), b"192.0.2.256"),
        b"PROXY UNKNOWN".ljust(200, b"."),
        V2_START + b"\x21\x12\0\x0c" + bytes(12),
        V2_START + b"\x21\x11\xff\xff" + bytes(12),
    ],
    ids=["v1-address", "v1-endless", "v2-datagram", "v2-oversize"],
)
def test_a_broken_header_opens_nothing_and_is_told(
    ca: trustme.CA, leaf: Leaf, header: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with running([leaf], BALANCED) as gateway:
        with pytest.raises((OSError, EOFError)):
            through(gateway.port, header, ca, "raw.pods.test")
        assert "127.0.0.1:" in caplog.text
        assert "proxy header: " in caplog.text
        assert not any(word in caplog.text for word in ("fault", "Traceback"))


def test_openings_are_counted_by_client_and_not_by_balancer(leaf: Leaf) -> None:
    options = Options(public_port=8443, drain=0.0, most_openings_of_address=2, proxy_from="127.0.0.1")
    with running([leaf], options) as gateway:
        waiting = []
        for number in range(6):
            connection = plain_to(gateway.port)
            connection.sendall(V1.replace(b"192.0.2.7", b"192.0.2.%d" % (number % 3)))
            waiting.append(connection)
        one_more = plain_to(gateway.port)
        one_more.sendall(V1.replace(b"192.0.2.7", b"192.0.2.1"))
        assert read_to_end(one_more)[0] == b""
        assert gateway.server.connections == {"accepted": 7, "dropped": 0, "refused": 1}
        for connection in waiting:
            connection.settimeout(0)
            with pytest.raises(BlockingIOError):  # nobody has closed it
                connection.recv(1)
            connection.close()
        one_more.close()


def test_the_log_has_the_client(leaf: Leaf, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with running([leaf], BALANCED) as gateway:
        connection = plain_to(gateway.port)
        connection.sendall(V1 + b"SSH-2.0-nothing\r\n")
        read_to_end(connection)
        connection.close()
    assert f"{CLIENT}:50412" in caplog.text


@needs_haproxy
@pytest.mark.parametrize("word", ["send-proxy", "send-proxy-v2"])
def test_haproxy_says_who_the_client_is(ca: trustme.CA, leaf: Leaf, tmp_path: Path, word: str) -> None:
    with upstream(answer_http) as server, running([leaf], BALANCED) as gateway:
        gateway.route("web", "http", server.address)
        with haproxy(tmp_path, [f"127.0.0.1:{gateway.port} {word}"]) as port:
            peer = through(port, b"", ca, "web.pods.test", source="127.0.0.5")
            assert forwarded(peer) == "127.0.0.5"
            peer.close()


@needs_haproxy
def test_a_client_of_haproxy_cannot_say_that_it_is_another(
    ca: trustme.CA, leaf: Leaf, tmp_path: Path, echoing: Upstream
) -> None:
    with running([leaf], BALANCED) as gateway:
        gateway.route("raw", "tcp", echoing.address)
        with haproxy(tmp_path, [f"127.0.0.1:{gateway.port} send-proxy-v2"]) as port:
            through(port, b"", ca, "raw.pods.test").close()
            with pytest.raises((OSError, EOFError)):
                through(port, V1, ca, "raw.pods.test")


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("10.0.0.0/8", "10.1.2.3", "11.0.0.1"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ("192.0.2.7, 2001:db8::/64", "2001:db8::9", "2001:db9::"),
        ("0.0.0.0/0", "1.2.3.4", "::1"),
    ],
)
def test_networks_are_read(text: str, inside: str, outside: str) -> None:
    balancers = Balancers.parse(text)
    assert inside in balancers
    assert outside not in balancers
    assert inside in Balancers.parse(str(balancers))  # as it is passed on to the workers
    assert "127.0.0.1" not in Balancers.parse("")


@pytest.mark.parametrize("host", ["", "0:102:304", "10.0.0.1:443", "localhost"])
def test_an_address_that_cannot_be_read_is_no_balancers(host: str) -> None:
    assert host not in Balancers.parse("0.0.0.0/0,::/0")


@pytest.mark.parametrize("text", ["x", "10.0.0.1/8", "10.0.0.0/33", ",", ",".join(["10.0.0.1"] * (MOST_NETWORKS + 1))])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="proxy from: "):
        Balancers.parse(text)


@pytest.mark.parametrize("command", ["serve", "gateway"])
def test_a_wrong_network_is_wrong_usage(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--proxy-from", "10.0.0.1/8"], env={"COLUMNS": "300", "TERM": "dumb"})
    assert result.exit_code == 2
    assert "'10.0.0.1/8' is not a network" in result.output
