"""Clients of the web that would take more than their share: connections, descriptors, and answers they leave unread."""

import contextlib

import trustme

from gateway.relay import BATCH
from gateway.web.opening import MOST_OWN
from gateway.wire.httphead import LARGEST_HEAD
from tests.gateway.links import descriptors
from tests.gateway.pods import Pod, receive_response
from tests.gateway.running import Running
from tests.gateway.web.site import request
from tests.gateway.weblinks.clients import CHUNKED, GET, HOST, links
from tests.peers import TlsPeer, tls_to, trusting
from tests.upstreams import upstream


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
