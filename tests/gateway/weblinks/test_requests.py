"""HTTP through a whole gateway: real TLS clients, real pods, and every request of a connection judged by itself."""

import socket
import threading

import pytest

from router.access import AccessLevel
from router.model import WebRules
from tests.gateway.pods import Pod, read_head, receive_head, receive_response, receive_rest
from tests.gateway.running import Running
from tests.gateway.web.site import ALICE, BOB, GRANTS, bearer, request
from tests.gateway.weblinks.clients import GET, HOST, SECOND, links, links_now
from tests.peers import CHUNK, Ending, TlsPeer, pattern, read_to_end
from tests.upstreams import upstream


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
