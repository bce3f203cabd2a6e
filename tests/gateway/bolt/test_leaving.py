"""The places of sessions that are counted: taken by who gets in, kept until the database has ended them, too."""

import queue
import threading
import time
from collections.abc import Iterator

import pytest
import trustme

from gateway.asking import Document, Questions
from gateway.placing import WAITS
from gateway.quota import Quota
from gateway.wire.bolt import FAILURE, RUN, SUCCESS, Proposal, message
from router.access import AccessLevel
from router.database import Database
from tests.gateway.bolt.graphs import LOGINS, TOKEN, client_of, closed
from tests.gateway.bolt.scripted import Client, Graph, basic
from tests.gateway.running import Running
from tests.peers import DEADLINE, Ending
from tests.upstreams import Upstream


class Supervisor:
    """One that has a place for everybody, but for so many questions first."""

    def __init__(self, gateway: Running) -> None:
        self.full = 0
        self.heard: queue.Queue[Document] = queue.Queue()
        self.questions = Questions(self._hear)
        gateway.services.quota = Quota(self.questions)

    def _hear(self, document: Document) -> None:
        self.heard.put(document)
        if document["kind"] == "ask":
            self.full -= 1
            self.questions.answer({"id": document["id"], "full": "endpoint" if self.full >= 0 else None})


@pytest.fixture
def supervisor(gateway: Running) -> Supervisor:
    return Supervisor(gateway)


@pytest.fixture
def at_work(graph: Graph) -> Iterator[threading.Event]:
    """Have the database work on each query until the event is set."""
    done = threading.Event()
    graph.at_query = lambda _text: done.wait(DEADLINE)
    yield done
    done.set()


def logged_in(gateway: Running, ca: trustme.CA) -> Client:
    client = client_of(gateway, ca)
    client.greet(Proposal(5, 4, 0))
    assert client.log_in((5, 4), basic("alice", TOKEN)).tag == SUCCESS
    return client


def relayed_no_more(gateway: Running) -> None:
    last = time.monotonic() + DEADLINE
    while gateway.in_loop(gateway.services.relay.count):
        assert time.monotonic() < last


@pytest.mark.parametrize("limit", ["most_links", "most_links_of_user"])
@pytest.mark.parametrize("how", ["vanished", "revoked"])
def test_a_place_is_kept_while_the_database_is_at_work(
    gateway: Running, ca: trustme.CA, server: Upstream, graph: Graph, supervisor: Supervisor,
    at_work: threading.Event, limit: str, how: str,
) -> None:  # fmt: skip
    counted = Database("graph", LOGINS, **{limit: 5})
    closed(gateway, server, AccessLevel.WRITE, database=counted)
    client = logged_in(gateway, ca)
    client.send(message(RUN, "a long one", {}, {}))
    while RUN not in [each.tag for _, each in graph.seen]:
        pass
    if how == "vanished":
        client.peer.close()
    else:
        closed(gateway, server, grants={}, database=counted)
    relayed_no_more(gateway)
    assert supervisor.heard.get(timeout=DEADLINE)["kind"] == "ask"
    assert supervisor.heard.empty()
    at_work.set()
    assert supervisor.heard.get(timeout=DEADLINE)["kind"] == "left"
    server.wait_until_idle()
    client.peer.close()


def test_nothing_is_kept_where_nobody_counts(
    gateway: Running, ca: trustme.CA, server: Upstream, graph: Graph, at_work: threading.Event
) -> None:
    closed(gateway, server)
    client = logged_in(gateway, ca)
    client.send(message(RUN, "a long one", {}, {}))
    while RUN not in [each.tag for _, each in graph.seen]:
        pass
    client.peer.close()
    relayed_no_more(gateway)
    assert not gateway.in_loop(lambda: gateway.services.kept)


def test_a_database_that_talks_on_is_cut(
    gateway: Running, ca: trustme.CA, server: Upstream, graph: Graph, supervisor: Supervisor
) -> None:
    graph.talks_on = True
    closed(gateway, server, database=Database("graph", LOGINS, most_links=5))
    client = logged_in(gateway, ca)
    client.peer.close()
    server.wait_until_idle()
    assert [supervisor.heard.get(timeout=DEADLINE)["kind"] for _ in range(2)] == ["ask", "left"]


@pytest.mark.parametrize("access", [AccessLevel.PUBLIC, AccessLevel.READ])
def test_a_place_that_is_about_to_be_free_is_waited_for(
    gateway: Running, ca: trustme.CA, server: Upstream, supervisor: Supervisor, access: AccessLevel
) -> None:
    closed(gateway, server, access, database=Database("graph", LOGINS, most_links=1))
    shown = basic("alice", TOKEN) if access is AccessLevel.READ else basic("reader", "r" * 9)
    for full, expected in ((len(WAITS), SUCCESS), (len(WAITS) + 1, FAILURE)):
        supervisor.full = full
        client = client_of(gateway, ca)
        client.greet(Proposal(5, 4, 0))
        assert client.log_in((5, 4), shown).tag == expected
        client.peer.close()


@pytest.mark.parametrize("proposal", [Proposal(4, 4, 0), Proposal(5, 4, 0)])
def test_who_does_not_get_in_takes_no_place(
    gateway: Running, ca: trustme.CA, server: Upstream, supervisor: Supervisor, proposal: Proposal
) -> None:
    """Strangers may guess at the passwords of a public database, but not keep others out of it."""
    closed(gateway, server, AccessLevel.PUBLIC, database=Database("graph", LOGINS, most_links=1))
    client = client_of(gateway, ca)
    version = client.greet(proposal)
    assert version is not None
    assert client.log_in(version, basic("reader", "wrong")).tag == FAILURE
    assert client.peer.receive_to_end() == (b"", Ending.GOODBYE)
    assert supervisor.heard.empty()
    server.wait_until_idle()
    client.peer.close()
