"""How long a connection of the web may be idle, or a head take to come."""

import contextlib
import socket
import threading
import time

import pytest
import trustme

from certs.leaf import Leaf
from gateway.link import Flow, Limits
from gateway.wire.httphead import LARGEST_HEAD
from tests.gateway.pods import OK, Pod, read_head, receive_response, receive_rest
from tests.gateway.running import Running, running
from tests.gateway.weblinks.clients import GET, HOST, OPTIONS, SECOND, links
from tests.peers import DEADLINE, Ending, TlsPeer, read_to_end, tls_to, trusting
from tests.upstreams import upstream


def test_an_idle_connection_is_ended_with_a_goodbye(leaf: Leaf, ca: trustme.CA) -> None:
    limits = Limits(keep_alive=1.0)
    with running([leaf], OPTIONS, limits) as gateway, upstream(Pod()) as server:
        gateway.route(HOST, "http", server.address)
        client = tls_to(gateway.port, trusting(ca), HOST)
        began = time.monotonic()
        client.send(GET)
        assert receive_response(client) == (200, b"ok")
        with contextlib.closing(client):
            assert client.receive_to_end() == (b"", Ending.GOODBYE)
        assert time.monotonic() - began > 0.9


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
        client.socket.settimeout(2.5)  # a measuring window: nothing ends for so long
        with pytest.raises(TimeoutError):
            client.receive(1)
        client.socket.settimeout(DEADLINE)
        go_on.set()
        assert receive_response(client) == (200, b"ok")
        client.close()


def test_a_head_that_comes_too_slowly_ends_its_connection(leaf: Leaf, ca: trustme.CA) -> None:
    limits = Limits(request_head=1.0)  # which all else is longer than the client waits
    with running([leaf], OPTIONS, limits) as gateway, upstream(Pod()) as server:
        gateway.route(HOST, "http", server.address)
        client = tls_to(gateway.port, trusting(ca), HOST)
        client.send(GET)
        assert receive_response(client) == (200, b"ok")
        client.send(SECOND[:30])
        client.receive_to_end()
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
        assert time.clock_gettime(clock) - before < 6.0


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
