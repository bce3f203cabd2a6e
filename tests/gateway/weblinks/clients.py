"""Clients of a gateway with pods of the web behind it: what they send, and the links that they make."""

from gateway.link import Link
from gateway.options import Options
from tests.gateway.running import Running
from tests.gateway.web.site import request

HOST = "web.pods.test"
OPTIONS = Options(public_port=8443, drain=0, opening_budget=60.0)  # which nothing is to wait for
GET, SECOND = request(line="GET /one HTTP/1.1"), request(line="GET /two HTTP/1.1")
UPGRADE = request("Upgrade: websocket", "Connection: Upgrade", line="GET /socket HTTP/1.1")
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
CHUNKED = request("Transfer-Encoding: chunked", line="POST /up HTTP/1.1")


def links_now(gateway: Running) -> list[Link]:
    return list(gateway.services.relay.links)


def links(gateway: Running) -> list[Link]:
    return gateway.in_loop(lambda: links_now(gateway))


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
