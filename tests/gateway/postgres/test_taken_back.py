"""Access to a database that is taken back while a client comes in, or after."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gateway.wire.postgres import Startup
from router.access import AccessLevel
from tests.gateway.postgres.clients import (
    closed,
    connect,
)
from tests.gateway.postgres.scripted import (
    by_scram,
    database,
)
from tests.gateway.running import Running
from tests.peers import DEADLINE
from tests.upstreams import Serve, Upstream, upstream


@pytest.fixture
def held_up() -> Iterator[tuple[threading.Event, threading.Event, Serve]]:
    """Give a database that tells when it was asked, and answers when it is told to."""
    asked, go_on = threading.Event(), threading.Event()

    def steps(connection: socket.socket, startup: Startup) -> None:
        asked.set()
        go_on.wait(DEADLINE)
        by_scram()(connection, startup)

    yield asked, go_on, database(steps)
    go_on.set()


def test_a_session_whose_token_is_revoked_while_it_is_opened_does_not_begin(
    gateway: Running, ca_file: Path, held_up: tuple[threading.Event, threading.Event, Serve]
) -> None:
    asked, go_on, serve = held_up
    said: list[str] = []
    with upstream(serve) as server:
        closed(gateway, server)
        client = threading.Thread(target=lambda: said.append(refusal_of_query(gateway, ca_file)))
        client.start()
        assert asked.wait(DEADLINE)
        gateway.know(forget=["token:t1"])
        go_on.set()
        client.join(DEADLINE)
    assert "was taken back" in said[0]


def refusal_of_query(gateway: Running, ca_file: Path) -> str:
    try:
        with connect(gateway, ca_file) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError as error:
        return str(error)
    return "nothing"


@pytest.mark.parametrize("now", ["read", "none"])
def test_an_open_session_ends_with_the_level_it_was_opened_by(
    gateway: Running, server: Upstream, ca_file: Path, now: str
) -> None:
    closed(gateway, server)
    connection = connect(gateway, ca_file)
    closed(gateway, server, grants={"user:alice": AccessLevel.READ} if now == "read" else {})
    server.wait_until_idle()
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")


def test_an_open_session_goes_on_when_its_user_holds_more(gateway: Running, server: Upstream, ca_file: Path) -> None:
    closed(gateway, server)
    with connect(gateway, ca_file):
        closed(gateway, server, grants={"user:alice": AccessLevel.OWNER})
        (link,) = gateway.in_loop(lambda: list(gateway.services.relay.links))
        gateway.in_loop(gateway.revocation._begin)
        assert not link.closed
