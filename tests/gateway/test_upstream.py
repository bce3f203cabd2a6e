"""Dialling unix sockets that a pod owns."""

import socket
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import Refusal
from gateway.upstream import dial
from router.access import AccessLevel
from router.model import Protocol, Route, UnixAddress
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
