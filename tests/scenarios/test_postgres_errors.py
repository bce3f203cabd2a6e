"""What people read who do not get to their database, and its SQLSTATE: pg8000 shows every field, psycopg the words."""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.running import PATIENCE, Pod, Podgate, needs_resolver
from tests.scenarios.api import call, create, delete, in_force
from tests.scenarios.clients.pure import Pg8000, Refused
from tests.scenarios.databases import Way, into
from tests.scenarios.people import add, make_token

pytestmark = needs_resolver


def is_refused(way: Way, sqlstate: str, message: str, hint: str) -> None:
    """Check all that one is told, by two clients."""
    with pytest.raises(Refused) as refused:
        Pg8000(way).close()
    told = refused.value
    assert (told.severity, told.sqlstate) == ("FATAL", sqlstate)
    assert re.search(message, told.message), told.message
    assert re.search(hint, told.hint), told.hint
    with pytest.raises(psycopg.OperationalError) as seen:
        way.connect().close()
    assert f"FATAL:  {told.message}\nHINT:  {told.hint}" in str(seen.value)


def test_a_pod_that_is_not_there(podgate: Podgate, public: Way) -> None:
    way = Way("nowhere.pods.localhost", podgate.port, podgate.ca, "nowhere", "anna", "wrong")
    is_refused(way, "3D000", r"^there is no pod behind nowhere\.pods\.localhost$", "podgate pod list")


def test_a_wrong_token(closed: Way) -> None:
    way = closed.with_password(closed.password[:-1])
    is_refused(way, "28P01", "no valid API token of a user .anna.$", "podgate token create")


def test_a_level_that_is_not_held(podgate: Podgate, vault: Pod) -> None:
    add(podgate, "bob")
    way = into(podgate, vault, "bob", make_token(podgate, "errors", "bob"))
    is_refused(way, "28000", r"vault.* asks for access level read, and bob holds none", "share")


@pytest.fixture(scope="module")
def spare(podgate: Podgate) -> Iterator[Pod]:
    """A pod that is stopped."""
    made = create(podgate, "spare", "postgres", "public")
    call(podgate, "POST", "pods/spare/stop")
    call(podgate, "GET", f"pods/spare/wait?until=stopped&timeout={PATIENCE}")
    yield made
    delete(podgate, "spare")


def test_a_pod_that_is_stopped(podgate: Podgate, spare: Pod) -> None:
    way = into(podgate, spare, "owner", "not asked for")
    is_refused(way, "57P03", r"spare.* is stopped", "podgate pod start")


def test_a_pod_that_is_starting(podgate: Podgate, spare: Pod) -> None:
    """As a replica that lets nobody in it never gets ready."""
    cluster = podgate.home / "pods" / spare["key"] / "data" / "cluster"
    signal = cluster / "standby.signal"
    signal.touch()
    owner = (cluster / "PG_VERSION").stat()
    os.chown(signal, owner.st_uid, owner.st_gid)
    with (cluster / "postgresql.auto.conf").open("a") as settings:
        settings.write("hot_standby = off\n")
    call(podgate, "POST", "pods/spare/start")
    way = into(podgate, spare, "owner", "not asked for")
    until(lambda: is_refused(way, "57P03", r"spare.* is starting$", "^Try again in a moment"))


def test_a_database_that_has_gone(podgate: Podgate, database: Pod, public: Way) -> None:
    """Nobody listens any more, and nobody has noticed."""
    socket = podgate.home / "pods" / database["key"] / "run" / ".s.PGSQL.5432"
    hidden = socket.rename(socket.with_name("hidden"))
    try:
        is_refused(public, "08006", r"mydb", "podgate pod")
    finally:
        hidden.rename(socket)


@pytest.mark.parametrize("limit", ["most_links", "most_links_of_user"])
def test_too_many_connections(podgate: Podgate, closed: Way, limit: str) -> None:
    with limited(podgate, closed, limit), closed.connect(), closed.connect() as second:
        is_refused(closed, "53300", "takes 2 connections", "Close one")
        second.close()
        until(lambda: closed.connect().close())  # the gateway has to learn of it too


def test_too_many_connections_of_whoever_it_is(podgate: Podgate, public: Way) -> None:
    podgate.run("pod", "access", public.database, "--most-connections", "2")
    in_force(podgate, public.database)
    try:
        with public.connect(), public.connect():
            is_refused(public, "53300", "takes 2 connections, and", "--most-connections")
    finally:
        call(podgate, "PATCH", f"pods/{public.database}/endpoints/default", most_links=0)
        in_force(podgate, public.database)


@contextmanager
def limited(podgate: Podgate, way: Way, limit: str) -> Iterator[None]:
    """Let two in, as long as the block goes on."""
    endpoint = f"pods/{way.database}/endpoints/default"
    call(podgate, "PATCH", endpoint, **{limit: 2})
    in_force(podgate, way.database)
    try:
        yield
    finally:
        call(podgate, "PATCH", endpoint, **{limit: 0})
        in_force(podgate, way.database)


def until(works: Callable[[], None]) -> None:
    """Try until it is as it has to be; each try is a whole connection."""
    last = time.monotonic() + PATIENCE
    while True:
        try:
            return works()
        except (psycopg.OperationalError, AssertionError):
            assert time.monotonic() < last
