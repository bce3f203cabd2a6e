"""What is looked at of an HTTP connection before its pod sees a byte of it."""

import threading
import time
from collections.abc import Iterator

import pytest
import trustme

from certs.leaf import Leaf
from gateway.options import Options
from gateway.wire.httphead import LARGEST_HEAD
from tests.gateway.running import Running, running
from tests.gateway.talks import ask_http, head, http_answer
from tests.peers import DEADLINE, plain_to, read_to_end, tls_to, trusting
from tests.upstreams import Upstream, answer_http, upstream


@pytest.fixture
def gateway(leaf: Leaf) -> Iterator[Running]:
    with running([leaf], Options(public_port=8443, drain=0)) as gateway:
        yield gateway


@pytest.fixture
def server(gateway: Running) -> Iterator[Upstream]:
    with upstream(answer_http) as server:
        gateway.route("web", "http", server.address)
        yield server


@pytest.mark.parametrize("host", ["web.pods.test", "WEB.pods.test:8443"])
def test_a_request_reaches_its_pod_with_where_it_comes_from(
    gateway: Running, ca: trustme.CA, server: Upstream, host: str
) -> None:
    client = tls_to(gateway.port, trusting(ca), "web.pods.test")
    request = head(host, "/a?b=c", Cookie="x" * 9000)
    for part in (request[:10], request[10:5000], request[5000:]):
        client.send(part)
    seen = request[:-2] + from_us(host)
    response = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(seen) + seen
    assert client.receive(len(response)) == response
    client.close()


def from_us(host: str) -> bytes:
    """What the gateway adds to a request of somebody it does not know."""
    return (
        f"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: {host.lower()}\r\n\r\n".encode()
    )


def test_more_than_the_head_is_kept_for_its_turn(gateway: Running, ca: trustme.CA, server: Upstream) -> None:
    client = tls_to(gateway.port, trusting(ca), "web.pods.test")
    requests = [head("web.pods.test"), head("web.pods.test", "/second")]
    client.send(b"".join(requests))
    for request in requests:
        seen = request[:-2] + from_us("web.pods.test")
        response = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(seen) + seen
        assert client.receive(len(response)) == response
    client.close()


@pytest.mark.parametrize("host", ["other.pods.test", "web.pods.test.evil.example"])
def test_a_request_for_another_host_is_misdirected(
    gateway: Running, ca: trustme.CA, server: Upstream, host: str
) -> None:
    client = tls_to(gateway.port, trusting(ca), "web.pods.test")
    answer = ask_http(client, head(host))
    client.close()
    assert answer.code == "421"
    assert host in answer.text
    assert server.accepted == 0


def test_a_request_without_a_host_is_misdirected(gateway: Running, ca: trustme.CA, server: Upstream) -> None:
    client = tls_to(gateway.port, trusting(ca), "web.pods.test")
    assert ask_http(client, b"GET / HTTP/1.0\r\n\r\n").code == "421"
    client.close()
    assert server.accepted == 0


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\nHost: web.pods.test\n\n",
        b"GET / HTTP/1.1\r\nHost: web.pods.test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        head("web.pods.test", "http://other.pods.test/"),
        b"GET / HTTP/1.1\r\nHost: web.pods.test\r\nCookie: " + b"x" * LARGEST_HEAD,
        b"\x00\x01\x02\x03\r\n\r\n",
    ],
    ids=["h2", "bare lf", "smuggling", "two hosts", "too large", "binary"],
)
def test_a_request_that_cannot_be_read_is_answered_and_goes_nowhere(
    gateway: Running, ca: trustme.CA, server: Upstream, request_bytes: bytes
) -> None:
    client = tls_to(gateway.port, trusting(ca), "web.pods.test")
    answer = ask_http(client, request_bytes)
    client.close()
    assert answer.code == "400"
    assert "cannot be read" in answer.text
    assert server.accepted == 0


def test_a_head_in_the_smallest_records_is_not_read_anew_for_each(leaf: Leaf, ca: trustme.CA) -> None:
    with upstream(answer_http) as server, running([leaf], Options(opening_budget=DEADLINE, drain=0)) as gateway:
        gateway.route("web", "http", server.address)
        client = tls_to(gateway.port, trusting(ca), "web.pods.test")
        endless = b"GET / HTTP/1.1\r\nHost: web.pods.test\r\nCookie: ".ljust(LARGEST_HEAD, b"x")
        records = b"".join(client.records(endless[at : at + 1]) for at in range(len(endless)))
        threads: list[int] = []
        gateway.call(lambda: threads.append(threading.get_ident()))
        clock = time.pthread_getcpuclockid(threads[0])
        before = time.clock_gettime(clock)
        client.socket.sendall(records)
        assert client.receive_to_end()[0].startswith(b"HTTP/1.1 400 ")
        assert time.clock_gettime(clock) - before < 6.0, "read anew for each record it took more than 15"
        client.close()


def test_a_browser_gets_a_page_and_a_program_a_problem(gateway: Running, ca: trustme.CA) -> None:
    for accept, kind in (("text/html,*/*", b"text/html"), ("application/json", b"application/problem+json")):
        client = tls_to(gateway.port, trusting(ca), "nobody.pods.test")
        client.send(head("nobody.pods.test", Accept=accept))
        assert b"Content-Type: " + kind in client.receive_to_end()[0]
        client.close()


def test_a_request_that_never_ends_is_told_that_it_took_too_long(leaf: Leaf, ca: trustme.CA) -> None:
    with upstream(answer_http) as server, running([leaf], Options(opening_budget=60.0, drain=0)) as gateway:
        gateway.route("web", "http", server.address)
        client = tls_to(gateway.port, trusting(ca), "web.pods.test")
        client.send(b"GET / HTTP/1.1\r\nHost: web.pods.test\r\n")
        tls_to(gateway.port, trusting(ca), "web.pods.test").close()  # what was there before has been read by now
        gateway.hurry(60.0)
        assert b"HTTP/1.1 504 " in client.receive_to_end()[0][:20]
        client.close()
        assert server.accepted == 0


@pytest.mark.parametrize(
    ("request_bytes", "location"),
    [
        (head("web.pods.test", "/a?b"), b"https://web.pods.test:8443/a?b"),
        (head("web.pods.test:8080", "/"), b"https://web.pods.test:8443/"),
    ],
)
def test_plain_http_is_sent_to_https(gateway: Running, request_bytes: bytes, location: bytes) -> None:
    with plain_to(gateway.port) as connection:
        connection.sendall(request_bytes)
        response, clean = read_to_end(connection)
    assert clean
    assert response.startswith(b"HTTP/1.1 308 ")
    assert b"\r\nLocation: " + location + b"\r\n" in response


@pytest.mark.parametrize(
    "request_bytes", [b"GET /x HTTP/1.0\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: web.pods.test\r\n\r\n"]
)
def test_plain_http_that_names_no_place_is_told_to_use_https(gateway: Running, request_bytes: bytes) -> None:
    with plain_to(gateway.port) as connection:
        connection.sendall(request_bytes)
        response, clean = read_to_end(connection)
    assert clean
    assert http_answer(response).code == "426"


def test_plain_http_that_cannot_be_read_just_ends(gateway: Running) -> None:
    with plain_to(gateway.port) as connection:
        connection.sendall(b"GET / HTTP/1.1\n\n")
        assert read_to_end(connection)[0] == b""


def test_head_gets_no_body(gateway: Running, ca: trustme.CA) -> None:
    client = tls_to(gateway.port, trusting(ca), "nobody.pods.test")
    client.send(head("nobody.pods.test").replace(b"GET", b"HEAD"))
    assert client.receive_to_end()[0].endswith(b"\r\n\r\n")
    client.close()
