"""Transcripts of one HTTP connection whose next request is judged like the first, and what is remembered of it."""

import pytest

from gateway.web.exchange import Exchange, Leaving
from gateway.web.memory import MEMORY
from gateway.web.visit import Admitted
from gateway.wire.httphead import LARGEST_HEAD
from router.access import AccessLevel
from router.model import TcpAddress, WebRules
from tests.clock import Clock
from tests.gateway.web.messages import GET, OK, SECOND
from tests.gateway.web.site import (
    ALICE,
    BOB,
    NOW,
    PEOPLE,
    bearer,
    engine,
    head_of,
    policy,
    request,
    route,
    token,
    values,
    visit,
)
from tests.gateway.web.talking import PUBLIC, Talk, cut, left, rewritten


@cut
@pytest.mark.parametrize(
    "second",
    [
        b"GET / HTTP/1.1\nHost: web.pods.test\n\n",
        request(host=None),
        request("Content-Length: 1", "Transfer-Encoding: chunked", line="POST / HTTP/1.1"),
        b"\x16\x03\x01\x02\x00\x01\x00",
        request("X: " + "y" * LARGEST_HEAD),
    ],
    ids=["bare lf", "no host", "smuggling", "tls", "too large"],
)
def test_a_second_request_that_cannot_be_read_is_for_the_opening_to_refuse(size: int, second: bytes) -> None:
    talk = Talk(GET + second, size)
    assert talk.take_up() == rewritten(GET)
    assert talk.exchange.leaving is None
    talk.upstream(OK)
    assert talk.take_down() == OK
    assert talk.take_up() == b""
    assert left(talk).answer is None
    assert second.startswith(left(talk).unread)


@cut
def test_a_second_request_for_another_host_goes_nowhere(size: int) -> None:
    talk = Talk(GET + request(host="other.pods.test"), size)
    talk.take_up()
    talk.upstream(OK)
    assert talk.take_up() == b""
    assert left(talk).answer is None


@cut
def test_a_second_request_of_somebody_who_was_shut_out_goes_nowhere(size: int) -> None:
    site = engine(route(AccessLevel.WRITE))
    sent = request(bearer(ALICE))
    talk = Talk(sent, size, site)
    talk.upstream(OK)
    talk.take_up()
    site.policy = policy(route(AccessLevel.WRITE, grants={}))
    talk.client(sent)
    assert talk.take_up() == b""
    assert left(talk) == Leaving(sent[: len(left(talk).unread)])


@cut
def test_a_second_request_may_be_of_somebody_else(size: int) -> None:
    site = engine(route(AccessLevel.WRITE, grants={"user:alice": AccessLevel.OWNER, "user:bob": AccessLevel.WRITE}))
    talk = Talk(request(bearer(ALICE)) + request(bearer(BOB)), size, site)
    assert values(talk.take_up(), "x-podgate-user") == ["alice"]
    talk.upstream(OK)
    up = talk.take_up()
    assert (values(up, "x-podgate-user"), values(up, "x-podgate-level")) == (["bob"], ["write"])
    assert talk.exchange.caller.proof is not None


@cut
def test_a_pod_that_has_moved_is_left_for_its_new_place(size: int) -> None:
    site = engine(route(PUBLIC))
    talk = Talk(GET, size, site)
    talk.upstream(OK)
    talk.take_up()
    site.policy = policy(route(PUBLIC, upstreams=(TcpAddress("127.0.0.1", 9),)))
    talk.client(SECOND)
    assert talk.take_up() == b""
    assert left(talk).answer is None
    assert SECOND.startswith(left(talk).unread)


@cut
def test_a_policy_that_leads_to_the_same_place_leaves_the_connection_alone(size: int) -> None:
    site = engine(route(PUBLIC))
    talk = Talk(GET, size, site)
    talk.upstream(OK)
    talk.take_up()
    site.policy = policy(route(PUBLIC))
    talk.client(GET)
    assert talk.take_up() == rewritten(GET)


# ---- what is remembered


def remembered() -> Talk:
    """Play the same request twice, so that its head is one that is remembered."""
    site = engine(route(AccessLevel.WRITE))
    talk = Talk(request(bearer(ALICE)), engine=site)
    talk.upstream(OK)
    talk.client(request(bearer(ALICE)))
    talk.upstream(OK)
    assert talk.take_down() == 2 * talk_answer()
    talk.take_up()
    return talk


def talk_answer() -> bytes:
    """Give what a client reads of `OK` at an endpoint that is not public."""
    talk = Talk(request(bearer(ALICE)), engine=engine(route(AccessLevel.WRITE)))
    talk.upstream(OK)
    return talk.take_down()


def test_the_same_head_again_is_rewritten_as_before() -> None:
    talk = remembered()
    talk.client(request(bearer(ALICE)))
    assert values(talk.take_up(), "x-podgate-user") == ["alice"]


@pytest.mark.parametrize("target", ["/", "/two?a=b", "//x", "/" + "x" * 8000, "/.podgate", "/.podgatex/"])
def test_the_same_head_with_another_target_is_rewritten_as_if_it_was_new(target: str) -> None:
    talk, again = remembered(), request(bearer(ALICE), line=f"GET {target} HTTP/1.1")
    talk.client(again)
    assert talk.take_up() == rewritten(again, talk.engine)


@pytest.mark.parametrize(
    "line",
    [
        "GET /.podgate/state HTTP/1.1",
        "GET /.podgate/enter?ticket=x HTTP/1.1",
        f"GET /?token={ALICE} HTTP/1.1",
        "GET http://other.pods.test/ HTTP/1.1",
        "GET /a#b HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /" + "x" * LARGEST_HEAD + " HTTP/1.1",
        "GET /\xe4 HTTP/1.1",
        "GET  HTTP/1.1",
        "GET * HTTP/1.1",
        "GET / HTTP/1.1\r\nX: y\r\n\r\nGET / HTTP/1.1",
    ],
)
def test_a_target_that_is_not_for_the_pod_is_not_taken_for_a_remembered_one(line: str) -> None:
    talk = remembered()
    talk.client(request(bearer(ALICE), line=line))
    assert talk.take_up() == b""
    assert talk.exchange.leaving is not None


def test_what_is_remembered_does_not_outlive_the_policy() -> None:
    talk = remembered()
    talk.engine.policy = policy(route(AccessLevel.WRITE), people=[])
    talk.client(request(bearer(ALICE)))
    assert talk.take_up() == b""
    assert talk.exchange.leaving is not None


def test_what_is_remembered_does_not_outlive_its_second() -> None:
    clock = Clock(NOW)
    short = [record if record.key != "token:alice" else token(ALICE, "alice", expires=NOW + 0.5) for record in PEOPLE]
    site = engine(route(AccessLevel.WRITE), people=short, clock=clock)
    sent = request(bearer(ALICE))
    talk = Talk(sent, engine=site)
    talk.upstream(OK)
    clock.now = NOW + MEMORY
    talk.take_up()
    talk.client(sent)
    assert talk.take_up() == b""
    assert talk.exchange.leaving is not None


def test_a_head_judged_by_an_earlier_policy_is_not_remembered_under_a_later_one() -> None:
    """The policy may change while the first request's upstream is dialled."""
    site, sent = engine(route(AccessLevel.WRITE)), request(bearer(ALICE))
    head = head_of(sent)
    decision = site.decide(head, visit())
    assert isinstance(decision, Admitted)
    site.policy = policy(route(AccessLevel.WRITE, grants={}))  # alice is shut out
    exchange = Exchange(site, visit(), decision)
    exchange.start(head, sent)
    exchange.down(OK)
    assert exchange.up(sent) == b""
    assert exchange.leaving is not None


def test_a_response_like_the_one_before_is_rewritten_alike_and_only_for_the_same_request() -> None:
    cors = route(PUBLIC, web=WebRules(cors=("https://a.test",)))
    talk = Talk(request("Origin: https://a.test"), engine=engine(cors))
    talk.upstream(OK)
    assert values(talk.take_down(), "access-control-allow-origin") == ["https://a.test"]
    talk.client(request("Origin: https://b.test"))
    talk.upstream(OK)
    assert values(talk.take_down(), "access-control-allow-origin") == []
    talk.client(request(line="HEAD / HTTP/1.1"))
    talk.upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    assert talk.exchange.is_idle


def test_a_rate_counts_every_request_however_alike() -> None:
    limited = route(PUBLIC, web=WebRules(rate=1.0, burst=2))
    talk = Talk(GET, engine=engine(limited))
    for _ in range(2):
        talk.upstream(OK)
        talk.client(GET)
        assert talk.exchange.leaving is None
    talk.upstream(OK)
    talk.client(GET)
    assert talk.exchange.leaving is not None


def test_a_request_that_moves_to_another_upstream_counts_once() -> None:
    """It is judged here and again by the opening that it is given back to."""
    web = WebRules(rate=1.0, burst=2)
    site = engine(route(PUBLIC, web=web))
    talk = Talk(GET, engine=site)
    talk.upstream(OK)
    site.policy = policy(route(PUBLIC, web=web, upstreams=(TcpAddress("127.0.0.1", 9),)))
    talk.client(SECOND)
    again = Talk(left(talk).unread, engine=site)  # the opening, with the same pacer
    again.upstream(OK)
    again.client(GET)
    assert again.exchange.leaving is None
