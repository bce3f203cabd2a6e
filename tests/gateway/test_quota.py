"""Quota: limits of an endpoint and of one user, counted over the workers of a replica."""

import os
import queue
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme

from certs.leaf import Leaf
from gateway import quota as module
from gateway.asking import Document, Questions
from gateway.loop import Loop
from gateway.quota import Full, Leave, Limit, Places, Quota
from router.access import AccessLevel
from router.database import Database as Limits
from router.model import Protocol, Route, TcpAddress
from tests.gateway.database_site import Site, site
from tests.gateway.databases import database
from tests.gateway.driving import drive
from tests.peers import DEADLINE

HOST, OTHER = "db.pods.test", "other.pods.test"


def route(most: int = 0, most_of_user: int = 0) -> Route:
    limits = Limits(most_links=most, most_links_of_user=most_of_user)
    return Route(HOST, Protocol.POSTGRES, (TcpAddress("127.0.0.1", 1),), AccessLevel.WRITE, database=limits)


def question(ticket: int, user: str = "alice", host: str = HOST, most: int = 0, most_of_user: int = 0) -> Document:
    return {"ticket": ticket, "host": host, "user": user, "most": most, "most_of_user": most_of_user}


# ---- counting


def test_an_endpoint_takes_as_many_as_it_may_over_all_workers() -> None:
    places = Places()
    assert places.enter("one", question(1, "alice", most=2)) is None
    assert places.enter("two", question(1, "bob", most=2)) is None
    assert places.enter("two", question(2, "carol", most=2)) is Limit.ENDPOINT
    assert places.enter("two", question(3, "carol", host=OTHER, most=2)) is None
    places.leave("two", 2)  # had none
    assert places.enter("two", question(4, most=2)) is Limit.ENDPOINT
    places.leave("two", 1)
    places.leave("two", 1)
    assert places.enter("two", question(5, most=2)) is None
    assert places.enter("two", question(6, most=2)) is Limit.ENDPOINT


def test_a_user_takes_as_many_as_they_may_of_each_endpoint() -> None:
    places = Places()
    assert places.enter("one", question(1, most_of_user=1)) is None
    assert places.enter("two", question(1, most_of_user=1)) is Limit.USER
    assert places.enter("two", question(2, most=1, most_of_user=1)) is Limit.USER  # which they can mend
    assert places.enter("two", question(3, "bob", most_of_user=1)) is None
    assert places.enter("two", question(4, host=OTHER, most_of_user=1)) is None
    places.leave("one", 1)
    assert places.enter("two", question(5, most_of_user=1)) is None


def test_nobody_known_is_not_one_user() -> None:
    places = Places()
    assert [places.enter("one", question(n, "", most=2, most_of_user=1)) for n in range(3)] == [
        None, None, Limit.ENDPOINT,
    ]  # fmt: skip


def test_who_is_within_one_limit_only_takes_no_place() -> None:
    places = Places()
    assert places.enter("one", question(1, most=1, most_of_user=2)) is None
    assert places.enter("one", question(2, most=1, most_of_user=2)) is Limit.ENDPOINT
    assert places.enter("one", question(3, most=2, most_of_user=2)) is None


def test_a_worker_that_ends_gives_back_all_it_had_and_nothing_else() -> None:
    places = Places()
    for ticket in range(3):
        assert places.enter("one", question(ticket, most=4)) is None
    assert places.enter("two", question(1, most=4)) is None
    places.drop("one")
    places.drop("one")
    assert [places.enter("two", question(n, most=4)) for n in range(2, 6)] == [None, None, None, Limit.ENDPOINT]
    places.drop("two")
    assert not places._by_endpoint
    assert not places._by_user


# ---- a worker's part


class Answering:
    """A supervisor that answers at once, or not at all."""

    def __init__(self, answer: Document | None) -> None:
        self.heard: queue.Queue[Document] = queue.Queue()
        self.questions = Questions(self.hear)
        self._answer = answer

    def hear(self, document: Document) -> None:
        self.heard.put(document)
        if document["kind"] == "ask" and self._answer is not None:
            self.questions.answer({"id": document["id"], **self._answer})


def enter(supervisor: Answering, where: Route) -> Coroutine[Any, Any, Leave | Full]:
    return Quota(supervisor.questions).enter(where, "alice")


def test_a_route_without_limits_is_not_asked_about() -> None:
    supervisor = Answering(None)
    leave = drive(enter(supervisor, route()))
    assert isinstance(leave, Leave)
    leave()
    assert supervisor.heard.empty()


def test_a_place_is_given_back_once() -> None:
    supervisor = Answering({"full": None})
    leave = drive(enter(supervisor, route(most=5, most_of_user=2)))
    assert isinstance(leave, Leave)
    asked = supervisor.heard.get_nowait()
    assert asked == {"kind": "ask", "id": 1, "what": "enter", **question(1, most=5, most_of_user=2)}
    assert supervisor.heard.empty()
    leave()
    leave()
    assert supervisor.heard.get_nowait() == {"kind": "left", "ticket": 1}
    assert supervisor.heard.empty()


@pytest.mark.parametrize(("limit", "most"), [("endpoint", 5), ("user", 2)])
def test_it_tells_which_limit_was_hit(limit: str, most: int) -> None:
    found = drive(enter(Answering({"full": limit}), route(most=5, most_of_user=2)))
    assert found == Full(Limit(limit), most)


def test_a_limit_that_nobody_can_tell_is_taken_for_hit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    supervisor = Answering(None)
    assert drive(enter(supervisor, route(most=5))) == Full(Limit.UNKNOWN)
    assert [supervisor.heard.get_nowait()["kind"] for _ in range(2)] == ["ask", "left"]  # should it live after all
    supervisor.questions.end()
    assert drive(enter(supervisor, route(most=5))) == Full(Limit.UNKNOWN)


def test_who_is_ended_while_they_wait_takes_no_place() -> None:
    supervisor = Answering(None)
    loop = Loop()
    thread = loop.start()
    try:
        loop.call(lambda: loop.spawn(enter(supervisor, route(most=5))))
        ticket = supervisor.heard.get(timeout=DEADLINE)["ticket"]
        loop.call(loop.cancel_tasks)
        assert supervisor.heard.get(timeout=DEADLINE) == {"kind": "left", "ticket": ticket}
    finally:
        loop.stop()
        thread.join(DEADLINE)


# ---- over real workers


async def let_in(gateway: Site, tries: int) -> list[str]:
    """Try to log in so often at once; give what those were told who were not let in."""
    refused: list[str] = []

    async def log_in() -> None:
        try:
            await gateway.log_in()
        except EOFError as error:
            refused.append(str(error))

    async with trio.open_nursery() as nursery:
        for _ in range(tries):
            nursery.start_soon(log_in)
    return refused


async def until_let_in(gateway: Site) -> None:
    """Try until a place is free again."""
    with trio.fail_after(DEADLINE):
        while await let_in(gateway, 1):
            pass


async def test_two_workers_together_let_in_exactly_as_many_as_they_may(
    tmp_path: Path, ca: trustme.CA, leaf: Leaf
) -> None:
    with database() as real:
        async with site(tmp_path, ca, leaf, real, 2, limits=Limits(most_links=3)) as gateway:
            refused = await let_in(gateway, 12)
            assert len(refused) == 9
            assert all("53300" in told and "takes 3 connections" in told for told in refused)
            gateway.sessions.pop().client.close()
            await until_let_in(gateway)
            assert len(await let_in(gateway, 3)) == 3


async def test_a_killed_worker_gives_back_its_places_and_no_others(tmp_path: Path, ca: trustme.CA, leaf: Leaf) -> None:
    most = 20  # that the kernel gives all of them to one of two workers happens once in 524,288 times
    with database() as real:
        async with site(tmp_path, ca, leaf, real, 2, limits=Limits(most_links=most)) as gateway:
            assert len(await let_in(gateway, most + 1)) == 1
            victim = gateway.sessions[0].owner.worker
            lost = [session for session in gateway.sessions if session.owner.worker == victim]
            assert 0 < len(lost) < most
            os.kill(gateway.supervisor.workers[victim], signal.SIGKILL)
            await until_let_in(gateway)
            assert len(await let_in(gateway, len(lost) + 1)) == 2
