"""The listeners of a worker: whatever clients do, those who come next are served; limits; the drain at the end."""

import resource
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import trustme

from certs.leaf import Leaf
from gateway.options import Options
from tests.gateway.links import descriptors
from tests.gateway.running import Running, running
from tests.gateway.talks import head
from tests.peers import DEADLINE, SSL_REQUEST, Ending, TlsPeer, plain_to, read_to_end, reset, tls_to, trusting
from tests.upstreams import Upstream, echo, greet, upstream

HOST, WEB = "echo.pods.test", "web.pods.test"


@pytest.fixture
def gateway(leaf: Leaf) -> Iterator[Running]:
    with running([leaf]) as gateway:
        yield gateway


@pytest.fixture
def server(gateway: Running) -> Iterator[Upstream]:
    with upstream(echo) as server:
        gateway.route(HOST, "tcp", server.address)
        gateway.route(WEB, "http", server.address)
        yield server


def assert_serves(gateway: Running, ca: trustme.CA) -> None:
    client = tls_to(gateway.port, trusting(ca), HOST)
    client.send(b"still here?")
    assert client.receive(11) == b"still here?"
    client.end()
    assert client.receive_to_end() == (b"", Ending.GOODBYE)
    client.close()


Phase = Callable[[socket.socket, trustme.CA], None]


def says_nothing(_connection: socket.socket, _ca: trustme.CA) -> None:
    return


def asks_halfway(connection: socket.socket, _ca: trustme.CA) -> None:
    connection.sendall(SSL_REQUEST[:5])


def asks(connection: socket.socket, _ca: trustme.CA) -> None:
    connection.sendall(SSL_REQUEST)


def asks_and_hears(connection: socket.socket, _ca: trustme.CA) -> None:
    connection.sendall(SSL_REQUEST)
    assert connection.recv(1) == b"S"


def greets_halfway(connection: socket.socket, ca: trustme.CA) -> None:
    connection.sendall(TlsPeer(connection, trusting(ca), HOST).hello()[:100])


def greets(connection: socket.socket, ca: trustme.CA) -> None:
    connection.sendall(TlsPeer(connection, trusting(ca), HOST).hello())


def greets_a_stranger(connection: socket.socket, ca: trustme.CA) -> None:
    connection.sendall(TlsPeer(connection, trusting(ca), "nobody.pods.test").hello())


def is_inside(connection: socket.socket, ca: trustme.CA) -> None:
    TlsPeer(connection, trusting(ca), WEB).handshake()


def is_inside_halfway(connection: socket.socket, ca: trustme.CA) -> None:
    client = TlsPeer(connection, trusting(ca), WEB)
    client.handshake()
    client.send(head(WEB)[:20])


def is_refused_inside(connection: socket.socket, ca: trustme.CA) -> None:
    client = TlsPeer(connection, trusting(ca), WEB)
    client.handshake()
    client.send(head("elsewhere"))


def speaks_http(connection: socket.socket, _ca: trustme.CA) -> None:
    connection.sendall(head(WEB))


def is_linked(connection: socket.socket, ca: trustme.CA) -> None:
    client = TlsPeer(connection, trusting(ca), HOST)
    client.handshake()
    client.send(b"x" * 100_000)


PHASES = [
    says_nothing, asks_halfway, asks, asks_and_hears, greets_halfway, greets, greets_a_stranger, is_inside,
    is_inside_halfway, is_refused_inside, speaks_http, is_linked,
]  # fmt: skip


@pytest.mark.parametrize("leave", [socket.socket.close, reset], ids=["fin", "reset"])
@pytest.mark.parametrize("phase", PHASES)
def test_a_client_that_leaves_leaves_nothing_behind(
    leaf: Leaf,
    ca: trustme.CA,
    caplog: pytest.LogCaptureFixture,
    phase: Phase,
    leave: Callable[[socket.socket], None],
) -> None:
    before = descriptors()
    with upstream(echo) as server, running([leaf]) as gateway:
        gateway.route(HOST, "tcp", server.address)
        gateway.route(WEB, "http", server.address)
        for _ in range(10):
            connection = plain_to(gateway.port)
            phase(connection, ca)
            leave(connection)
        assert_serves(gateway, ca)
    assert [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []
    assert descriptors() == before


def test_many_connections_leave_no_descriptor_behind(leaf: Leaf, ca: trustme.CA) -> None:
    before = descriptors()
    with upstream(greet) as server, running([leaf]) as gateway:
        gateway.route(HOST, "tcp", server.address)

        def come_and_go(_number: int) -> None:
            client = tls_to(gateway.port, trusting(ca), HOST)
            assert client.receive(8) == b"welcome\n"
            client.end()
            assert client.receive_to_end() == (b"", Ending.GOODBYE)
            client.close()

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(come_and_go, range(200))) == [None] * 200
    assert descriptors() == before


def test_one_address_cannot_have_all_openings(leaf: Leaf, ca: trustme.CA, caplog: pytest.LogCaptureFixture) -> None:
    limits = Options(most_openings=5, most_openings_of_address=2, drain=0)
    with upstream(echo) as server, running([leaf], limits) as gateway:
        gateway.route(HOST, "tcp", server.address)
        place, source = ("127.0.0.1", gateway.port), ("127.0.0.2", 0)
        greedy = [socket.create_connection(place, source_address=source) for _ in range(2)]
        for client in greedy:
            client.sendall(SSL_REQUEST)
            assert client.recv(1) == b"S"  # it is in its opening
        with socket.create_connection(place, source_address=source) as third:
            assert read_to_end(third)[0] == b""
        assert gateway.server.connections == {"accepted": 3, "dropped": 0, "refused": 1}
        assert_serves(gateway, ca)
        for client in greedy:
            client.close()
    assert "127.0.0.2 has 2 openings" in caplog.text


def test_openings_beyond_the_limit_are_closed_and_the_others_go_on(
    leaf: Leaf, ca: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    with upstream(echo) as server, running([leaf], Options(most_openings=5, drain=0)) as gateway:
        gateway.route(HOST, "tcp", server.address)
        first = TlsPeer(plain_to(gateway.port), trusting(ca), HOST)
        waiting = [plain_to(gateway.port) for _ in range(4)]
        for client in waiting:
            client.sendall(SSL_REQUEST)
            assert client.recv(1) == b"S"  # it is in its opening
        for _ in range(3):
            with plain_to(gateway.port) as refused:
                assert read_to_end(refused)[0] == b""
        assert gateway.server.connections == {"accepted": 8, "dropped": 0, "refused": 3}
        first.handshake()
        first.send(b"hello")
        assert first.receive(5) == b"hello"
        assert_serves(gateway, ca)
        for client in [*waiting, first.socket]:
            client.close()
    assert caplog.text.count("closing new connections") == 1


def test_without_descriptors_new_connections_are_shed_and_later_ones_served(
    leaf: Leaf, ca: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with upstream(echo) as server, running([leaf]) as gateway:
        gateway.route(HOST, "tcp", server.address)  # no link yet: one that ends meanwhile would free a number
        clients = [socket.socket() for _ in range(5)]
        with socket.socket() as probe:
            lowest = probe.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        try:
            for client in clients:
                client.settimeout(DEADLINE)
                client.connect(("127.0.0.1", gateway.port))
                assert read_to_end(client)[0] == b""  # and it stays open: its number must not become free
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert gateway.server.connections == {"accepted": 5, "dropped": 0, "refused": 5}
        assert_serves(gateway, ca)
        for client in clients:
            client.close()
    assert caplog.text.count("out of file descriptors") == 1


def until_refused(port: int) -> None:
    while True:
        try:
            plain_to(port).close()
        except ConnectionResetError:
            continue  # it was in the queue of a listener that closed
        except ConnectionRefusedError:
            return


def test_a_drain_lets_links_end_and_takes_nothing_new(leaf: Leaf, ca: trustme.CA) -> None:
    with upstream(echo) as server, running([leaf], Options(drain=DEADLINE)) as gateway:
        gateway.route(HOST, "tcp", server.address)
        client = tls_to(gateway.port, trusting(ca), HOST)
        client.send(b"before")
        assert client.receive(6) == b"before"
        opening = plain_to(gateway.port)
        opening.sendall(SSL_REQUEST)
        assert opening.recv(1) == b"S"
        gateway.drain()
        client.send(b"after")
        assert client.receive(5) == b"after"
        until_refused(gateway.port)
        late = TlsPeer(opening, trusting(ca), HOST)
        late.handshake()  # an opening that was under way is finished
        late.send(b"late")
        assert late.receive(4) == b"late"
        client.close()
        late.close()


def test_a_drain_ends_when_its_grace_is_over(leaf: Leaf, ca: trustme.CA) -> None:
    with upstream(echo) as server:
        with running([leaf], Options(drain=0.2)) as gateway:
            gateway.route(HOST, "tcp", server.address)
            client = tls_to(gateway.port, trusting(ca), HOST)
            client.send(b"before")
            assert client.receive(6) == b"before"
        assert client.receive_to_end() == (b"", Ending.FIN)
        client.close()


def test_a_key_update_goes_unnoticed(gateway: Running, server: Upstream) -> None:
    with s_client(gateway, "-tls1_3") as client:
        assert client.stdin
        assert client.stdout
        for line in (b"before\n", b"K\n", b"after\n", b"k\n", b"again\n"):
            client.stdin.write(line)
            client.stdin.flush()
            expected = b"KEYUPDATE\n" if len(line) == 2 else line
            while client.stdout.readline() != expected:
                pass
        client.kill()


def test_renegotiation_is_refused(gateway: Running, server: Upstream, ca: trustme.CA) -> None:
    with s_client(gateway, "-tls1_2") as client:
        assert client.stdin
        client.stdin.write(b"R\n")
        client.stdin.flush()
        output, _ = client.communicate(timeout=DEADLINE)
    assert b"no renegotiation" in output
    assert_serves(gateway, ca)


def s_client(gateway: Running, version: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port}", "-servername", HOST, version],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def test_some_of_a_crowd_are_dropped_before_any_work_and_the_others_go_on(
    leaf: Leaf, ca: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    dice = iter([0.29, 0.31, 0.64, 0.66, 0.0, 0.99])  # those of the connections that could be dropped, as they come
    crowded = Options(early_drop="2:30:4", drain=0)
    with upstream(echo) as server, running([leaf], crowded, throw=lambda: next(dice, 0.99)) as gateway:
        gateway.route(HOST, "tcp", server.address)
        assert_serves(gateway, ca)  # 0.29: nobody is dropped below two openings
        inside = [in_its_opening(gateway.port) for _ in range(2)]  # 0.31 and 0.64
        inside.append(in_its_opening(gateway.port))  # 0.66 of 30 %
        assert is_dropped(gateway.port)  # 0.00 of 65 %
        inside.append(in_its_opening(gateway.port))  # 0.99
        assert is_dropped(gateway.port)  # there are four: all are
        assert gateway.server.connections == {"accepted": 7, "dropped": 2, "refused": 0}
        for client in inside:
            client.close()
    told = [line for line in caplog.messages if line.startswith("early drop (2:30:4): ")]
    assert ["1 of 5 new connections" in told[0], "1 of 2 new connections" in told[1]] == [True, True]
    assert len(told) == 2


def test_links_and_those_who_have_left_do_not_count_for_early_drop(leaf: Leaf, ca: trustme.CA) -> None:
    with upstream(echo) as server, running([leaf], Options(early_drop="1:100:1", drain=0)) as gateway:
        gateway.route(HOST, "tcp", server.address)
        links = []
        for _ in range(3):
            client = tls_to(gateway.port, trusting(ca), HOST)
            client.send(b"hello")
            assert client.receive(5) == b"hello"  # it is relayed: no opening any more
            links.append(client)
        only = in_its_opening(gateway.port)
        assert is_dropped(gateway.port)
        only.close()
        while gateway.in_loop(lambda: gateway.server._openings):
            pass
        assert_serves(gateway, ca)
        for client in links:
            client.close()


def in_its_opening(port: int) -> socket.socket:
    client = plain_to(port)
    client.sendall(SSL_REQUEST)
    assert client.recv(1) == b"S"
    return client


def is_dropped(port: int) -> bool:
    try:
        with plain_to(port) as client:
            return read_to_end(client) == (b"", False)
    except ConnectionResetError:  # it came while we were connecting
        return True
