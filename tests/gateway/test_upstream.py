"""Dialling upstreams: unix sockets that a pod owns, and what is begun before it is needed."""

import contextlib
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import Refusal
from gateway.upstream import Ahead, dial
from router.access import AccessLevel
from router.model import Protocol, Route, TcpAddress, UnixAddress
from tests.gateway.driving import drive


@pytest.fixture
def run() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pg-") as directory:
        yield Path(directory)


def route_to(path: Path) -> Route:
    return Route("db.example.test", Protocol.POSTGRES, (UnixAddress(str(path)),), AccessLevel.PUBLIC)


@pytest.fixture
def listener(run: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(run / "real"))
        listening.listen()
        yield listening


def test_a_socket_is_reached(run: Path, listener: socket.socket) -> None:
    with drive(dial(route_to(run / "real"), 5)).socket as upstream:
        upstream.send(b"hello")
        with listener.accept()[0] as accepted:
            assert accepted.recv(16) == b"hello"


def test_a_link_in_place_of_a_socket_is_not_followed(run: Path, listener: socket.socket) -> None:
    """A pod must not be able to make the gateway, which may be root, connect to a socket of its choice."""
    (run / "link").symlink_to(run / "real")
    with pytest.raises(Refusal, match="does not take connections"):
        drive(dial(route_to(run / "link"), 5))
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_podgate_itself_is_not_told_of_as_a_pod(run: Path) -> None:
    own = replace(route_to(run / "none"), protocol=Protocol.HTTP, own=True)
    with pytest.raises(Refusal, match="controller cannot be reached through this gateway") as refused:
        drive(dial(own, 5))
    assert "have this name lead to the one beside it" in str(refused.value.hint)


def test_a_file_in_place_of_a_socket_is_refused(run: Path) -> None:
    (run / "file").write_text("")
    with pytest.raises(Refusal, match="does not take connections"):
        drive(dial(route_to(run / "file"), 5))


# ---- ahead


@pytest.fixture
def port() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def tcp_route(*addresses: tuple[str, int]) -> Route:
    upstreams = tuple(TcpAddress(*address) for address in addresses)
    return Route("db.example.test", Protocol.POSTGRES, upstreams, AccessLevel.PUBLIC)


def test_what_was_begun_is_what_is_dialled(run: Path, listener: socket.socket, port: socket.socket) -> None:
    for route, listening in ((route_to(run / "real"), listener), (tcp_route(port.getsockname()), port)):
        ahead = Ahead()
        ahead.begin(route)
        with listening.accept()[0] as accepted, drive(dial(route, 5, ahead)).socket as upstream:
            upstream.send(b"hello")
            assert accepted.recv(16) == b"hello"
            listening.setblocking(False)
            with pytest.raises(BlockingIOError):
                listening.accept()  # there is one only


def test_what_nobody_takes_is_closed(port: socket.socket) -> None:
    with contextlib.closing(Ahead()) as ahead:
        ahead.begin(tcp_route(port.getsockname()))
        accepted, _ = port.accept()
    with accepted:
        assert accepted.recv(1) == b""


def test_where_the_route_leads_elsewhere_by_now_what_was_begun_is_closed(port: socket.socket) -> None:
    ahead = Ahead()
    ahead.begin(tcp_route(port.getsockname()))
    with socket.create_server(("127.0.0.1", 0)) as other:
        route = tcp_route(other.getsockname())
        with drive(dial(route, 5, ahead)).socket as upstream, port.accept()[0] as accepted:
            assert accepted.recv(1) == b""
            assert upstream.getpeername() == other.getsockname()


def test_what_was_begun_in_vain_is_tried_again_and_told(run: Path, port: socket.socket) -> None:
    gone = tcp_route(port.getsockname())
    port.close()
    for route in (gone, route_to(run / "missing"), tcp_route(("a name to be looked up", 1))):
        ahead = Ahead()
        ahead.begin(route)
        with pytest.raises(Refusal, match="does not take connections"):
            drive(dial(route, 5, ahead))


def test_a_backlog_that_is_full_is_left_for_later(run: Path) -> None:
    with socket.socket(socket.AF_UNIX) as full, contextlib.ExitStack() as stack:
        full.bind(str(run / "full"))
        full.listen(0)
        first, second = (stack.enter_context(contextlib.closing(Ahead())) for _ in range(2))
        first.begin(route_to(run / "full"))
        second.begin(route_to(run / "full"))
        assert second.take(route_to(run / "full")) is None
