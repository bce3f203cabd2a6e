"""HTTP through a whole gateway: real TLS clients, real pods, and every request of a connection judged by itself."""

import contextlib
import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import trustme

from certs.leaf import Leaf
from gateway.connection import MOST_OWN
from gateway.link import Flow, Limits, Link
from gateway.options import Options
from gateway.relay import BATCH
from gateway.wire.httphead import LARGEST_HEAD
from router.access import AccessLevel
from router.credentials import User
from router.model import WebRules
from tests.gateway.links import descriptors
from tests.gateway.pods import OK, Pod, answering, read_head, receive_head, receive_response, receive_rest
from tests.gateway.running import Running, running
from tests.gateway.web.site import ALICE, BOB, GRANTS, bearer, request, token
from tests.peers import (
    CHUNK,
    DEADLINE,
    Ending,
    TlsPeer,
    pattern,
    read_exactly,
    read_to_end,
    reset,
    tls_to,
    trusting,
    upstream,
)

HOST = "web.pods.test"
OPTIONS = Options(public_port=8443, drain=0)
GET, SECOND = request(line="GET /one HTTP/1.1"), request(line="GET /two HTTP/1.1")
UPGRADE = request("Upgrade: websocket", "Connection: Upgrade", line="GET /socket HTTP/1.1")
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
CHUNKED = request("Transfer-Encoding: chunked", line="POST /up HTTP/1.1")


@pytest.fixture
def gateway(leaf: Leaf) -> Iterator[Running]:
    with running([leaf], OPTIONS) as gateway:
        gateway.know(User("alice"), User("bob"), token(ALICE, "alice"), token(BOB, "bob"))
        yield gateway


@pytest.fixture
def client(gateway: Running, ca: trustme.CA) -> Iterator[TlsPeer]:
    """A client inside TLS that has said nothing yet."""
    gateway.route(HOST, "http")
    client = tls_to(gateway.port, trusting(ca), HOST)
    yield client
    client.close()


def links_now(gateway: Running) -> list[Link]:
    return list(gateway.services.relay.links)


def links(gateway: Running) -> list[Link]:
    return gateway.in_loop(lambda: links_now(gateway))


def test_one_address_does_not_take_all_connections_to_podgate_itself(gateway: Running, ca: trustme.CA) -> None:
    with upstream(Pod()) as server, contextlib.ExitStack() as held:
        gateway.route(HOST, "http", server.address, own=True)
        for _ in range(MOST_OWN):
            client = held.enter_context(contextlib.closing(tls_to(gateway.port, trusting(ca), HOST)))
            client.send(GET)
            receive_response(client)
        late = held.enter_context(contextlib.closing(tls_to(gateway.port, trusting(ca), HOST)))
        late.send(GET)
        assert late.receive_to_end()[0].startswith(b"HTTP/1.1 429 ")


# ---- one connection, many requests


def test_requests_of_a_kept_alive_connection_are_answered_one_by_one(gateway: Running, client: TlsPeer) -> None:
    pod = Pod()
    with upstream(pod) as server:
        gateway.route(HOST, "http", server.address)
        for number in range(20):
            client.send(request(f"Content-Length: {number}", line=f"POST /{number} HTTP/1.1") + b"x" * number)
            assert receive_response(client) == (200, b"ok")
        client.end()
        assert client.receive_to_end() == (b"", Ending.GOODBYE)
        assert server.accepted == 1
    assert pod.requests == [(b"POST", b"/%d" % number, b"x" * number) for number in range(20)]


@pytest.mark.parametrize("together", [True, False], ids=["pipelined", "one by one"])
def test_a_request_for_another_host_is_told_so_in_its_turn(gateway: Running, client: TlsPeer, together: bool) -> None:
    pod, foreign = Pod(), request(host="other.pods.test")
    with upstream(pod) as server:
        gateway.route(HOST, "http", server.address)
        client.send(GET + foreign if together else GET)
        assert receive_response(client) == (200, b"ok")
        if not together:
            client.send(foreign)
        assert receive_rest(client) == (421, Ending.GOODBYE)
        assert pod.wait_for_end()
    assert [target for _, target, _ in pod.requests] == [b"/one"]


def test_pipelined_requests_are_answered_in_order(gateway: Running, client: TlsPeer) -> None:
    pod = Pod()
    with upstream(pod) as server:
        gateway.route(HOST, "http", server.address)
        client.send(b"".join(request(line=f"GET /{number} HTTP/1.1") for number in range(50)))
        for _ in range(50):
            assert receive_response(client) == (200, b"ok")
    assert [target for _, target, _ in pod.requests] == [b"/%d" % number for number in range(50)]


def test_a_client_that_has_pipelined_is_read_again(gateway: Running, client: TlsPeer) -> None:
    with upstream(Pod()) as server:
        gateway.route(HOST, "http", server.address)
        for _ in range(3):
            client.send(GET + SECOND)
            for _ in range(2):
                assert receive_response(client) == (200, b"ok")


def test_somebody_shut_out_between_two_requests_is_told_after_the_first_answer(
    gateway: Running, client: TlsPeer
) -> None:
    pod = Pod()
    with upstream(pod) as server:
        gateway.route(HOST, "http", server.address, access=AccessLevel.WRITE, grants=GRANTS)
        client.send(request(bearer(ALICE)))
        assert receive_response(client) == (200, b"ok")
        gateway.know(forget=["token:alice"])
        client.send(request(bearer(ALICE)))
        assert receive_rest(client) == (401, Ending.GOODBYE)
    assert len(pod.requests) == 1


def test_the_next_request_may_be_of_somebody_else(gateway: Running, client: TlsPeer) -> None:
    pod = Pod()
    with upstream(pod) as server:
        gateway.route(HOST, "http", server.address, access=AccessLevel.WRITE, grants=GRANTS)
        client.send(request(bearer(ALICE)))
        assert receive_response(client) == (200, b"ok")
        client.send(request(bearer(BOB)))
        assert receive_rest(client) == (403, Ending.GOODBYE)
    assert len(pod.requests) == 1


def test_a_slow_reader_gets_its_answer_whole_before_the_refusal_of_its_next_request(
    gateway: Running, client: TlsPeer, caplog: pytest.LogCaptureFixture
) -> None:
    size = 16 << 20

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for start in range(0, size, CHUNK):
            connection.sendall(pattern(CHUNK, start))
        sent.set()
        read_to_end(connection)

    sent = threading.Event()
    with upstream(serve) as server:
        gateway.route(HOST, "http", server.address)
        client.send(GET + request(host="other.pods.test"))
        while not links(gateway) or not gateway.in_loop(lambda: len(links_now(gateway)[0].down)):
            pass  # until its answer fills all that lies between
        receive_head(client)
        for start in range(0, size, CHUNK):
            assert client.receive(CHUNK) == pattern(CHUNK, start)
        assert receive_rest(client) == (421, Ending.GOODBYE)
    assert "fault" not in caplog.text


def test_a_request_that_is_given_back_waits_for_what_is_still_on_its_way_down(
    gateway: Running, client: TlsPeer
) -> None:
    """As above, with the rest of the answer put there by hand: how much a kernel takes is for no test to say."""
    with upstream(Pod()) as server:
        gateway.route(HOST, "http", server.address)
        client.send(GET)
        assert receive_response(client) == (200, b"ok")
        (link,) = links(gateway)

        def stall() -> bool:
            link.down = b"the rest"
            passing, exchange = gateway.services.relay.web, link.web
            assert exchange is not None
            passing.take_up(link, exchange, request(host="other.pods.test"))
            passing.deliver()
            return bool(link.closed)

        assert not gateway.in_loop(stall)


def test_a_request_after_a_gateway_answer_goes_on_the_same_connection(gateway: Running, client: TlsPeer) -> None:
    pod = Pod()
    with upstream(pod) as server:
        web = WebRules(cors=("*",))
        gateway.route(HOST, "http", server.address, web=web)
        preflight = request("Origin: https://a.test", "Access-Control-Request-Method: PUT", line="OPTIONS / HTTP/1.1")
        client.send(GET + preflight + SECOND)
        assert [receive_response(client)[0] for _ in range(3)] == [200, 204, 200]
    assert [target for _, target, _ in pod.requests] == [b"/one", b"/two"]


def test_requests_sent_before_a_half_close_are_all_answered(gateway: Running, client: TlsPeer) -> None:
    pod = Pod()
    with upstream(pod) as server:
        gateway.route(HOST, "http", server.address)
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)  # the opening takes in the end, too
        client.send(GET + SECOND)
        client.end()
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        assert receive_response(client) == (200, b"ok")
        assert receive_response(client) == (200, b"ok")
        assert client.receive_to_end() == (b"", Ending.GOODBYE)


# ---- how connections end


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (request("Connection: close"), OK),
        (GET, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"),
        (request(line="GET / HTTP/1.0"), OK),
        (GET, b"HTTP/1.1 200 OK\r\n\r\nok"),
    ],
    ids=["client", "pod", "old client", "until close"],
)
def test_after_the_last_answer_nothing_stays_open(
    gateway: Running, client: TlsPeer, sent: bytes, answer: bytes
) -> None:
    ended = threading.Event()

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(answer)
        if b"Content-Length" not in answer:
            connection.shutdown(socket.SHUT_WR)
        connection.recv(1)
        ended.set()

    with upstream(serve) as server:
        gateway.route(HOST, "http", server.address)
        client.send(sent)
        assert receive_rest(client) == (200, Ending.GOODBYE)
        client.end()
        client.close()
        assert ended.wait(2.5), "the pod's connection is kept open for a client that has gone"


def test_an_early_answer_reaches_a_client_that_is_still_uploading(gateway: Running, client: TlsPeer) -> None:
    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
        connection.shutdown(socket.SHUT_WR)
        read_to_end(connection)

    with upstream(serve) as server:
        gateway.route(HOST, "http", server.address)
        client.send(request(f"Content-Length: {64 << 20}", line="POST / HTTP/1.1"))
        for start in range(0, 4 << 20, CHUNK):
            client.send(pattern(CHUNK, start))
        assert receive_rest(client) == (413, Ending.GOODBYE)


def hear_at_once(gateway: Running, up: bytes, down: bytes, *, up_first: bool) -> None:
    """Have the only link take bytes from both sides in one turn."""
    (link,) = links(gateway)
    passing, exchange = gateway.services.relay.web, link.web
    assert exchange is not None

    def turn() -> None:
        if up_first:
            passing.take_up(link, exchange, up)
        passing.take_down(link, exchange, down)
        if not up_first:
            passing.take_up(link, exchange, up)
        passing.deliver()

    gateway.in_loop(turn)


@pytest.mark.parametrize("up_first", [True, False])
def test_an_early_answer_that_comes_with_more_of_the_request_is_not_lost(
    gateway: Running, client: TlsPeer, *, up_first: bool
) -> None:
    asked = threading.Event()

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        asked.set()
        read_to_end(connection)

    with upstream(serve) as server:
        gateway.route(HOST, "http", server.address)
        client.send(request("Content-Length: 9", line="POST / HTTP/1.1"))
        assert asked.wait(DEADLINE)
        early = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"
        hear_at_once(gateway, b"some", early, up_first=up_first)
        assert receive_rest(client) == (413, Ending.GOODBYE)


@pytest.mark.parametrize("up_first", [True, False])
def test_an_answer_that_comes_with_a_bad_request_is_not_lost(
    gateway: Running, client: TlsPeer, *, up_first: bool
) -> None:
    asked = threading.Event()

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        asked.set()
        read_to_end(connection)

    with upstream(serve) as server:
        gateway.route(HOST, "http", server.address)
        client.send(GET)
        assert asked.wait(DEADLINE)
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        hear_at_once(gateway, b"\0\r\n\r\n", answer, up_first=up_first)
        assert receive_response(client) == (200, b"ok")
        assert receive_rest(client) == (400, Ending.GOODBYE)


def test_an_idle_connection_is_ended_with_a_goodbye(leaf: Leaf, ca: trustme.CA) -> None:
    limits = Limits(keep_alive=1.0)
    with running([leaf], OPTIONS, limits) as gateway, upstream(Pod()) as server:
        gateway.route(HOST, "http", server.address)
        client = tls_to(gateway.port, trusting(ca), HOST)
        client.send(GET)
        assert receive_response(client) == (200, b"ok")
        began = time.monotonic()
        with contextlib.closing(client):
            assert client.receive_to_end() == (b"", Ending.GOODBYE)
        assert 0.9 < time.monotonic() - began < 5


def test_a_request_under_way_is_not_ended_for_being_idle(leaf: Leaf, ca: trustme.CA) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        asked.set()
        go_on.wait(DEADLINE)
        connection.sendall(OK)
        read_to_end(connection)

    limits = Limits(keep_alive=1.0, linger=1.0)
    with running([leaf], OPTIONS, limits) as gateway, upstream(serve) as server:
        gateway.route(HOST, "http", server.address)
        client = tls_to(gateway.port, trusting(ca), HOST)
        client.send(GET)
        assert asked.wait(DEADLINE)
        client.socket.settimeout(4)  # a measuring window: nothing ends for so long
        with pytest.raises(TimeoutError):
            client.receive(1)
        client.socket.settimeout(DEADLINE)
        go_on.set()
        assert receive_response(client) == (200, b"ok")
        client.close()


def test_a_head_that_comes_too_slowly_ends_its_connection(leaf: Leaf, ca: trustme.CA) -> None:
    limits = Limits(request_head=1.0)
    with running([leaf], OPTIONS, limits) as gateway, upstream(Pod()) as server:
        gateway.route(HOST, "http", server.address)
        client = tls_to(gateway.port, trusting(ca), HOST)
        client.send(GET)
        assert receive_response(client) == (200, b"ok")
        client.send(SECOND[:30])
        began = time.monotonic()
        client.receive_to_end()
        assert time.monotonic() - began < 6
        client.close()


def test_a_head_in_the_smallest_records_is_not_read_anew_for_each(gateway: Running, client: TlsPeer) -> None:
    """As in the opening: read anew for each record it is seconds of cpu for one stranger's 32 KiB."""
    with upstream(Pod()) as server:
        gateway.route(HOST, "http", server.address)
        client.send(GET)
        assert receive_response(client) == (200, b"ok")
        endless = b"GET / HTTP/1.1\r\nHost: web.pods.test\r\nCookie: ".ljust(LARGEST_HEAD, b"x")
        records = b"".join(client.records(endless[at : at + 1]) for at in range(len(endless)))
        thread = gateway.in_loop(threading.get_ident)
        clock = time.pthread_getcpuclockid(thread)
        before = time.clock_gettime(clock)
        client.socket.sendall(records)
        assert receive_rest(client)[0] == 400
        assert time.clock_gettime(clock) - before < 3


def test_nothing_is_said_to_a_client_that_was_cut_for_its_slow_head(gateway: Running, client: TlsPeer) -> None:
    """It has been silent for as long as an idle one may be, too: but its descriptor may be somebody else's by now."""
    with upstream(Pod()) as server:
        gateway.route(HOST, "http", server.address)
        client.send(GET)
        receive_response(client)
        (link,) = links(gateway)

        def both_are_due() -> None:
            assert link.web is not None
            link.web.head_began = 1e-9
            link.active = -1e9
            gateway.services.relay.upkeep.look_at(link, 0.0)

        gateway.in_loop(both_are_due)
        assert client.receive_to_end() == (b"", Ending.FIN)
        assert link.closed == "the head of a request did not come in time"
        assert link.down_flow is Flow.OPEN


# ---- pods that fail


@pytest.mark.parametrize(
    "part",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ],
)
@pytest.mark.parametrize("end", ["fin", "reset"])
def test_half_an_answer_is_not_taken_for_a_whole_one(gateway: Running, client: TlsPeer, part: bytes, end: str) -> None:
    taken = threading.Event()

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(part)
        taken.wait(DEADLINE)
        if end == "reset":
            reset(connection)

    with upstream(serve) as server:
        gateway.route(HOST, "http", server.address)
        client.send(GET)
        head = receive_head(client)
        assert head.startswith(b"HTTP/1.1 200 ")
        client.receive(4)
        taken.set()
        assert client.receive_to_end()[1] is not Ending.GOODBYE


def test_a_reset_is_no_good_end_of_an_answer_that_lasts_until_the_close(gateway: Running, client: TlsPeer) -> None:
    taken = threading.Event()

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        taken.wait(DEADLINE)
        reset(connection)

    with upstream(serve) as server:
        gateway.route(HOST, "http", server.address)
        client.send(GET)
        receive_head(client)
        assert client.receive(4) == b"half"
        taken.set()
        assert client.receive_to_end()[1] is not Ending.GOODBYE


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 O", b"garbage\r\n\r\n", b"HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\n"],
    ids=["nothing", "half a head", "garbage", "contradiction"],
)
def test_a_pod_that_gives_no_answer_is_a_bad_gateway(gateway: Running, client: TlsPeer, answer: bytes) -> None:
    with upstream(answering(answer)) as server:
        gateway.route(HOST, "http", server.address)
        client.send(GET)
        began = time.monotonic()
        assert receive_rest(client) == (502, Ending.GOODBYE)
        assert time.monotonic() - began < 4


def test_a_stale_connection_costs_nobody_an_answer(gateway: Running, client: TlsPeer) -> None:
    """The pod takes the second request and ends: nobody knows whether it has seen it."""

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(OK)
        if first.acquire(blocking=False):
            read_head(connection)
            return
        read_to_end(connection)

    first = threading.Semaphore(1)
    with upstream(serve) as server:
        gateway.route(HOST, "http", server.address)
        client.send(GET)
        assert receive_response(client) == (200, b"ok")
        client.send(SECOND)
        assert receive_response(client) == (200, b"ok")
        assert server.accepted == 2


def test_a_pod_that_was_restarted_on_another_port_answers_the_next_request(gateway: Running, client: TlsPeer) -> None:
    old, new = Pod(), Pod(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew")
    with upstream(old) as first, upstream(new) as second:
        gateway.route(HOST, "http", first.address)
        client.send(GET)
        assert receive_response(client) == (200, b"ok")
        gateway.route(HOST, "http", second.address)
        client.send(SECOND)
        assert receive_response(client) == (200, b"new")
        assert old.wait_for_end()
        client.send(SECOND)
        assert receive_response(client) == (200, b"new")
        assert second.accepted == 1


def test_bytes_that_come_together_with_the_end_of_the_pod_are_not_lost(gateway: Running, client: TlsPeer) -> None:
    """The client's are read first, and then the pod's end gives the connection back, in one turn of the loop."""
    two, ended = threading.Event(), threading.Event()

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(OK)
        if not first.acquire(blocking=False):
            read_head(connection)
            connection.sendall(OK)
            read_to_end(connection)
            return
        read_head(connection)
        two.set()
        blocked.wait(DEADLINE)
        connection.shutdown(socket.SHUT_WR)
        ended.set()
        read_to_end(connection)

    first, blocked, go_on = threading.Semaphore(1), threading.Event(), threading.Event()
    with upstream(serve) as server:
        gateway.route(HOST, "http", server.address)
        client.send(GET)
        assert receive_response(client) == (200, b"ok")
        client.send(SECOND)
        assert two.wait(DEADLINE)
        holding = threading.Event()

        def hold() -> None:
            holding.set()
            go_on.wait(DEADLINE)

        gateway.services.loop.call(hold)
        assert holding.wait(DEADLINE)
        client.send(request(line="GET /three HTTP/1.1"))
        blocked.set()
        assert ended.wait(DEADLINE)
        go_on.set()
        assert receive_response(client) == (200, b"ok")
        assert receive_response(client) == (200, b"ok")


# ---- bodies


def test_much_goes_up_and_down_whole_past_a_slow_reader(gateway: Running, client: TlsPeer) -> None:
    size, block = 64 << 20, hashlib.shake_128(b"podgate").digest(1 << 20)
    expected = hashlib.sha256(block * 64).hexdigest()
    taken: list[str] = []

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        digest = hashlib.sha256()
        for _ in range(64):
            digest.update(read_exactly(connection, len(block)))
        taken.append(digest.hexdigest())
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        full.wait(DEADLINE)
        for _ in range(64):
            connection.sendall(block)

    full = threading.Event()
    with upstream(serve) as server:
        gateway.route(HOST, "http", server.address)
        client.send(request(f"Content-Length: {size}", line="POST / HTTP/1.1"))
        for _ in range(64):
            client.send(block)
        receive_head(client)
        full.set()
        (link,) = links(gateway)
        waiting = 0
        for _ in range(64):
            client_part = client.receive(len(block))
            waiting = max(waiting, gateway.in_loop(lambda: len(link.down) + len(link.up)))
            assert client_part == block
    assert taken == [expected]
    assert waiting <= BATCH


def test_an_upload_that_nobody_takes_waits_in_one_batch(gateway: Running, client: TlsPeer) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        begun.set()
        go_on.wait(DEADLINE)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(read_to_end, connection).result(DEADLINE)

    with upstream(serve) as server:
        gateway.route(HOST, "http", server.address)
        client.send(CHUNKED + b"ffffffff\r\n")
        plain = client.records(bytes(1 << 20))
        client.socket.setblocking(False)
        try:
            for _ in range(64):
                client.socket.sendall(plain)
        except BlockingIOError:
            pass
        client.socket.settimeout(DEADLINE)
        assert begun.wait(DEADLINE)
        (link,) = links(gateway)
        assert gateway.in_loop(lambda: len(link.up)) <= BATCH
        go_on.set()
        client.reset()


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"z\r\n", 400), (b"3\r\nabcX\r\n", 400), (b"800\r\n" + b"x" * 2048 + b"\r\n", 413)],
    ids=["no size", "longer than its size", "too large"],
)
@pytest.mark.parametrize("together", [True, False], ids=["with the head", "later"])
def test_a_body_that_is_refused_is_told_why(
    gateway: Running, client: TlsPeer, body: bytes, status: int, together: bool
) -> None:
    asked = threading.Event()

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        asked.set()
        read_to_end(connection)

    with upstream(serve) as server:
        gateway.route(HOST, "http", server.address, web=WebRules(largest_body=1000))
        client.send(CHUNKED + body if together else CHUNKED)
        if not together:
            assert asked.wait(DEADLINE)
            client.send(body)
        began = time.monotonic()
        assert receive_rest(client) == (status, Ending.GOODBYE)
        assert time.monotonic() - began < 4


# ---- upgrades


def test_an_upgraded_connection_echoes(gateway: Running, client: TlsPeer) -> None:
    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(SWITCHING + b"hello")
        while data := connection.recv(CHUNK):
            connection.sendall(data)

    with upstream(serve) as server:
        gateway.route(HOST, "http", server.address)
        client.send(UPGRADE + b"early")
        assert receive_head(client).startswith(b"HTTP/1.1 101 ")
        assert client.receive(10) == b"helloearly"
        for size in (1, 1000, 100_000):
            client.send(pattern(size))
            assert client.receive(size) == pattern(size)
        client.end()
        assert client.receive_to_end() == (b"", Ending.GOODBYE)


def test_after_a_declined_upgrade_the_clients_bytes_go_nowhere(gateway: Running, client: TlsPeer) -> None:
    pod = Pod()
    with upstream(pod) as server:
        gateway.route(HOST, "http", server.address)
        client.send(UPGRADE + request(line="GET /smuggled HTTP/1.1", host="other.pods.test"))
        assert receive_rest(client) == (200, Ending.GOODBYE)
        client.close()
        assert pod.wait_for_end()
    assert b"smuggled" not in pod.received


# ---- nothing is left behind


def test_no_descriptor_is_left_behind(gateway: Running, ca: trustme.CA) -> None:
    pod = Pod()
    with upstream(pod) as server:
        gateway.route(HOST, "http", server.address)
        before = 0
        for turn in range(12):
            for first, last in ((GET, request(host="x.test")), (GET, b"bad\r\n\r\n"), (CHUNKED, b"z\r\n"), (GET, b"")):
                client = tls_to(gateway.port, trusting(ca), HOST)
                client.send(first + last)
                if first == GET:
                    receive_response(client)
                if last:
                    client.receive_to_end()
                client.close()
                if last != b"z\r\n":  # which is refused at sight: the pod is not even dialled
                    assert pod.wait_for_end()
            if turn == 1:
                before = descriptors()
        assert descriptors() <= before + 4


def test_a_flood_of_requests_that_nobody_reads_the_answers_of_is_held_back(gateway: Running, client: TlsPeer) -> None:
    with upstream(Pod(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + bytes(60000))) as server:
        gateway.route(HOST, "http", server.address)
        client.send(GET)
        receive_response(client)
        (link,) = links(gateway)
        client.socket.setblocking(False)
        try:
            for _ in range(2000):
                client.socket.sendall(client.records(GET * 500))
        except BlockingIOError:
            pass
        held = gateway.in_loop(lambda: len(link.web.held) if link.web else 0)
        assert held <= BATCH + LARGEST_HEAD
        assert gateway.in_loop(lambda: len(link.down)) <= BATCH
        client.reset()
