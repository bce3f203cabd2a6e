"""Transcripts of one HTTP connection: each is played with all bytes at once and byte by byte."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Reason
from gateway.transform import BITE, Broken
from gateway.transform import WHOLE as WHOLE_BITE
from gateway.web.exchange import MOST_INTERIMS, Exchange, Leaving
from gateway.web.memory import MEMORY
from gateway.web.visit import Admitted
from gateway.wire.httphead import LARGEST_HEAD
from router.access import AccessLevel
from router.model import TcpAddress, WebRules
from tests.gateway.web.site import (
    ALICE,
    BOB,
    NOW,
    PEOPLE,
    Clock,
    bearer,
    engine,
    head_of,
    policy,
    request,
    route,
    status,
    token,
    values,
    visit,
)
from tests.gateway.web.talking import BYTES, PUBLIC, WHOLE, Talk, rewritten

cut = pytest.mark.parametrize("size", [WHOLE, BYTES, 7], ids=["whole", "bytes", "sevens"])

GET = request(line="GET /one HTTP/1.1")
SECOND = request(line="GET /two HTTP/1.1")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
UPGRADE = request("Upgrade: websocket", "Connection: Upgrade", line="GET /socket HTTP/1.1")


def post(body: bytes, *lines: str, length: int | None = None) -> bytes:
    """Make a POST; its body is chunked already if there is no length."""
    framing = (
        f"Content-Length: {len(body) if length is None else length}" if length != -1 else "Transfer-Encoding: chunked"
    )
    return request(framing, *lines, line="POST /form HTTP/1.1") + body


def chunks(*parts: bytes, trailers: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailers + b"\r\n"


def left(talk: Talk) -> Leaving:
    assert talk.exchange.leaving is not None
    return talk.exchange.leaving


def refused(talk: Talk) -> Reason:
    answer = left(talk).answer
    assert answer is not None
    return _REASONS[answer.data[:13]]


_REASONS = {
    b"HTTP/1.1 400 ": Reason.MALFORMED,
    b"HTTP/1.1 413 ": Reason.TOO_LARGE,
    b"HTTP/1.1 502 ": Reason.UNREACHABLE,
}


# ---- one request and its response


@cut
def test_a_request_goes_up_and_its_response_comes_down(size: int) -> None:
    talk = Talk(GET, size)
    assert talk.take_up() == rewritten(GET)
    talk.upstream(OK)
    assert talk.take_down() == OK
    assert talk.exchange.is_idle
    assert not talk.exchange.ending


@cut
@pytest.mark.parametrize(
    "body",
    [chunks(b"hello"), chunks(b"a" * 300, b"b", trailers=b"X-Sum: 5\r\n"), chunks()],
    ids=["one chunk", "chunks with trailers", "no chunk"],
)
def test_a_chunked_body_passes_with_its_trailers_both_ways(size: int, body: bytes) -> None:
    sent = post(body, length=-1)
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    talk = Talk(sent, size)
    assert talk.take_up() == rewritten(sent) + body
    talk.upstream(answer)
    assert talk.take_down() == answer
    assert talk.exchange.is_idle
    assert not talk.exchange.ending


@cut
def test_a_body_of_a_length_passes_and_what_follows_it_is_the_next_request(size: int) -> None:
    talk = Talk(post(b"GET /evil HTTP/1.1\r\n\r\n") + SECOND, size)
    assert talk.take_up() == rewritten(post(b"GET /evil HTTP/1.1\r\n\r\n")) + b"GET /evil HTTP/1.1\r\n\r\n"
    talk.upstream(OK)
    assert talk.take_up() == rewritten(SECOND)
    talk.upstream(EMPTY)
    assert talk.take_down() == OK + EMPTY


@cut
def test_pipelined_requests_are_served_one_at_a_time_and_in_order(size: int) -> None:
    requests = [request(line=f"GET /{number} HTTP/1.1") for number in range(5)]
    talk = Talk(b"".join(requests), size)
    for number, sent in enumerate(requests):
        assert talk.take_up() == rewritten(sent)
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number
        talk.upstream(answer)
        assert talk.take_down() == answer
    assert talk.exchange.is_idle


@cut
@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n"),
    ],
)
def test_a_response_without_a_body_is_complete_with_its_head(size: int, method: str, answer: bytes) -> None:
    talk = Talk(request(line=f"{method} / HTTP/1.1") + SECOND, size)
    talk.take_up()
    talk.upstream(answer)
    assert talk.take_down() == answer
    assert talk.take_up() == rewritten(SECOND)


@cut
def test_what_is_only_announced_passes_before_the_answer(size: int) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    talk = Talk(GET, size)
    talk.upstream(hints + hints + OK)
    assert talk.take_down() == hints + hints + OK
    assert talk.exchange.is_idle


@cut
def test_a_client_that_waits_to_be_told_to_continue_is_told_by_the_pod(size: int) -> None:
    sent = post(b"", "Expect: 100-continue", length=5)
    talk = Talk(sent, size)
    assert b"Expect: 100-continue\r\n" in talk.take_up()
    talk.upstream(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert talk.take_down() == b"HTTP/1.1 100 Continue\r\n\r\n"
    talk.client(b"hello" + SECOND)
    assert talk.take_up() == b"hello"
    talk.upstream(OK)
    assert talk.take_down() == OK
    assert talk.take_up() == rewritten(SECOND)


@cut
def test_http_1_0_is_told_nothing_beforehand_and_the_connection_ends(size: int) -> None:
    sent = request("Connection: keep-alive", line="GET / HTTP/1.0")
    talk = Talk(sent, size)
    up = talk.take_up()
    assert up.startswith(b"GET / HTTP/1.0\r\n")
    assert values(up, "connection") == ["close"]
    talk.upstream(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
    down = talk.take_down()
    assert down.startswith(b"HTTP/1.0 200 OK\r\n")
    assert down.endswith(b"\r\n\r\nhello")
    assert values(down, "connection") == ["close"]
    assert talk.exchange.ending


@cut
def test_http_1_0_cannot_be_given_chunks(size: int) -> None:
    talk = Talk(request(line="GET / HTTP/1.0"), size)
    talk.upstream(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"hello"))
    assert refused(talk) is Reason.UNREACHABLE
    assert talk.down == b""


@cut
@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200\r\nX: y\r\n\r\n"], ids=["1.1", "1.0"])
def test_a_response_may_last_until_its_upstream_ends(size: int, head: bytes) -> None:
    talk = Talk(GET, size)
    talk.upstream(head + b"hello" * 100)
    assert talk.exchange.answers_until_close
    assert not talk.exchange.ending
    assert talk.exchange.upstream_ended()
    assert talk.exchange.ending
    assert talk.take_down().endswith(b"\r\n\r\n" + b"hello" * 100)


@cut
@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (request("Connection: close"), OK),
        (GET, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"),
        (GET, b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    ],
    ids=["client", "upstream", "old upstream"],
)
def test_when_either_side_says_close_the_response_says_so_and_is_the_last(
    size: int, sent: bytes, answer: bytes
) -> None:
    talk = Talk(sent + SECOND, size)
    talk.take_up()
    talk.upstream(answer)
    down = talk.take_down()
    assert values(down, "connection") == ["close"]
    assert down.endswith(b"\r\n\r\nhello")
    assert talk.exchange.ending
    assert talk.take_up() == b""


# ---- answers before the request is complete


@cut
def test_an_early_answer_is_the_last_since_the_rest_of_the_request_may_never_come(size: int) -> None:
    talk = Talk(post(b"abc", length=10), size)
    talk.take_up()
    talk.upstream(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nn")
    assert not talk.exchange.ending
    talk.upstream(b"o")
    down = talk.take_down()
    assert (status(down), values(down, "connection"), down[-2:]) == (413, ["close"], b"no")
    assert talk.exchange.ending
    talk.client(b"defghij" + SECOND)
    assert talk.take_up() == b""


@cut
def test_an_early_answer_that_closes_ends_the_connection_at_once(size: int) -> None:
    early = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    talk = Talk(post(b"abc", length=10), size)
    talk.upstream(early)
    assert status(talk.down) == 413
    assert values(talk.down, "connection") == ["close"]
    assert talk.exchange.ending


@cut
def test_an_upstream_that_ends_after_an_early_answer_ends_the_connection(size: int) -> None:
    talk = Talk(post(b"abc", length=10), size)
    talk.upstream(EMPTY)
    assert talk.exchange.upstream_ended()
    assert talk.exchange.ending
    assert talk.exchange.leaving is None


@cut
def test_a_body_goes_on_while_its_early_answer_comes(size: int) -> None:
    talk = Talk(post(b"abc", length=10), size)
    talk.take_up()
    talk.upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nn")
    talk.client(b"defghij")
    assert talk.take_up() == b"defghij"
    talk.upstream(b"o")
    assert talk.exchange.ending


# ---- leaving HTTP


@cut
def test_an_upgrade_passes_early_bytes_of_both_sides(size: int) -> None:
    talk = Talk(UPGRADE, size)
    up = talk.take_up()
    assert values(up, "upgrade") == ["websocket"]
    assert values(up, "connection") == ["Upgrade"]
    talk.client(b"early up")
    assert talk.take_up() == b""
    talk.upstream(SWITCHING + b"early down")
    assert talk.take_down() == SWITCHING + b"early down"
    assert talk.exchange.raw
    assert talk.take_up() == b"early up"
    talk.client(b"GET / HTTP/1.1\r\n\r\n")
    talk.upstream(b"HTTP/1.1 garbage")
    assert (talk.take_up(), talk.take_down()) == (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 garbage")
    assert talk.exchange.upstream_ended()


@cut
def test_early_bytes_in_the_same_record_as_the_upgrade_are_kept(size: int) -> None:
    talk = Talk(UPGRADE + b"early up", size)
    talk.take_up()
    talk.upstream(SWITCHING)
    assert talk.take_up() == b"early up"


@cut
@pytest.mark.parametrize("answer", [OK, b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n"])
@pytest.mark.parametrize("early", [SECOND, b"\x81\x85\x00\x00\x00\x00hello", b""], ids=["request", "frame", "none"])
def test_a_declined_upgrade_stays_http_and_is_the_last_request(size: int, answer: bytes, early: bytes) -> None:
    talk = Talk(UPGRADE + early, size)
    talk.take_up()
    talk.upstream(answer)
    assert values(talk.down, "connection") == ["close"]
    assert talk.down.endswith(answer.partition(b"\r\n\r\n")[2])
    assert talk.exchange.ending
    assert not talk.exchange.raw
    talk.client(SECOND)
    assert talk.take_up() == b""


@cut
def test_a_switch_that_nobody_asked_for_is_no_answer(size: int) -> None:
    talk = Talk(GET, size)
    talk.upstream(SWITCHING + b"raw")
    assert refused(talk) is Reason.UNREACHABLE
    assert talk.down == b""
    assert not talk.exchange.raw


# ---- ends of the upstream


@cut
def test_an_upstream_that_ends_without_an_answer_is_a_bad_gateway(size: int) -> None:
    talk = Talk(GET, size)
    assert talk.exchange.upstream_ended()
    assert refused(talk) is Reason.UNREACHABLE


@cut
@pytest.mark.parametrize("part", [1, 20, 37])
def test_an_upstream_that_ends_within_its_head_is_a_bad_gateway(size: int, part: int) -> None:
    talk = Talk(GET, size)
    talk.upstream(OK)
    talk.client(SECOND)
    talk.take_down()
    talk.upstream(OK[:part])
    assert talk.exchange.upstream_ended()
    assert refused(talk) is Reason.UNREACHABLE
    assert talk.down == b""


@cut
@pytest.mark.parametrize(
    "answer",
    [OK[:-1], b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"],
    ids=["length", "chunks"],
)
def test_an_upstream_that_ends_within_its_body_is_no_good_end(size: int, answer: bytes) -> None:
    talk = Talk(GET, size)
    talk.upstream(answer)
    assert not talk.exchange.upstream_ended()
    assert talk.exchange.leaving is None


@cut
def test_an_upstream_that_ends_between_requests_ends_well(size: int) -> None:
    talk = Talk(GET, size)
    talk.upstream(OK)
    assert talk.exchange.upstream_ended()
    assert talk.exchange.leaving is None


@cut
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_safe_request_on_a_connection_that_had_grown_stale_is_sent_again(size: int, method: str) -> None:
    second = request(line=f"{method} /two HTTP/1.1")
    talk = Talk(GET, size)
    talk.upstream(OK)
    talk.client(second + SECOND)
    assert talk.exchange.upstream_ended()
    assert left(talk).answer is None
    assert (second + SECOND).startswith(left(talk).unread)
    assert left(talk).unread.startswith(second)


@cut
@pytest.mark.parametrize(
    "second",
    [
        request("Content-Length: 0", line="POST /two HTTP/1.1"),
        request(line="DELETE /two HTTP/1.1"),
        request(line="PUT /two HTTP/1.1"),
        request("Content-Length: 1", line="GET /two HTTP/1.1") + b"x",
    ],
    ids=["post", "delete", "put", "get with a body"],
)
def test_no_other_request_is_ever_sent_again(size: int, second: bytes) -> None:
    talk = Talk(GET, size)
    talk.upstream(OK)
    talk.client(second)
    assert talk.exchange.upstream_ended()
    assert refused(talk) is Reason.UNREACHABLE


@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH"])
def test_not_even_if_its_head_is_remembered(method: str) -> None:
    sent = request("Content-Length: 0", line=f"{method} /pay HTTP/1.1")
    talk = Talk(sent)
    talk.upstream(OK)
    talk.client(sent)
    assert talk.exchange.upstream_ended()
    assert refused(talk) is Reason.UNREACHABLE


@cut
def test_a_request_is_not_sent_again_once_its_answer_has_begun(size: int) -> None:
    talk = Talk(GET, size)
    talk.upstream(OK)
    talk.client(SECOND)
    talk.upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    assert not talk.exchange.upstream_ended()
    assert talk.exchange.leaving is None


# ---- an upstream that cannot be trusted


@cut
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"garbage that is no http\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
)
def test_a_head_that_cannot_be_read_is_a_bad_gateway(size: int, answer: bytes) -> None:
    talk = Talk(GET, size)
    talk.upstream(answer)
    assert refused(talk) is Reason.UNREACHABLE
    assert talk.down == b""


def test_bytes_after_an_answer_are_dropped_and_the_connection_ends() -> None:
    talk = Talk(GET + SECOND)
    talk.take_up()
    talk.upstream(OK + OK)
    assert talk.take_down() == OK
    assert talk.exchange.ending
    assert talk.take_up() == b""


def test_an_answer_before_the_question_breaks_the_connection() -> None:
    talk = Talk(GET)
    talk.upstream(OK)
    with pytest.raises(Broken, match="nobody asked"):
        talk.upstream(OK)


@cut
def test_a_broken_chunk_breaks_the_connection_since_its_answer_has_begun(size: int) -> None:
    talk = Talk(GET, size)
    with pytest.raises(Broken, match="breaks off"):
        talk.upstream(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n")
    assert not talk.exchange.is_idle


def test_a_head_in_two_pieces_is_read_as_one_even_if_the_second_looks_like_a_head() -> None:
    talk = Talk(GET)
    talk.upstream(EMPTY)
    talk.client(GET)
    talk.take_down()
    odd = b"HTTP/1.1 200 OK\r\nX-Odd: "
    talk.upstream(odd)
    talk.upstream(EMPTY)
    assert talk.take_down() == odd + EMPTY
    talk.client(GET)
    talk.upstream(EMPTY)
    assert talk.take_down() == EMPTY


# ---- the next request is judged like the first


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
def test_a_flood_of_interim_responses_is_a_bad_gateway(size: int) -> None:
    talk = Talk(GET, size)
    talk.upstream(b"HTTP/1.1 103 Early Hints\r\n\r\n" * MOST_INTERIMS)
    assert talk.take_down() == b"HTTP/1.1 103 Early Hints\r\n\r\n" * MOST_INTERIMS
    talk.upstream(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 2)
    assert refused(talk) is Reason.UNREACHABLE


def test_what_is_looked_at_comes_in_bites_and_what_is_only_counted_does_not() -> None:
    talk = Talk(GET)
    assert (talk.exchange.bite, talk.exchange.up_bite) == (BITE, BITE)
    talk.upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
    assert talk.exchange.bite == WHOLE_BITE
    talk = Talk(post(b"", length=9))
    assert talk.exchange.up_bite == WHOLE_BITE
    talk = Talk(GET)
    talk.upstream(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
    assert talk.exchange.bite == BITE
    talk = Talk(UPGRADE)
    talk.upstream(SWITCHING)
    assert (talk.exchange.bite, talk.exchange.up_bite) == (WHOLE_BITE, WHOLE_BITE)


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
    clock = Clock()
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


# ---- bodies that are refused


@cut
@pytest.mark.parametrize("body", [b"5\r\nhelloX\r\n0\r\n\r\n", b"z\r\n", b"5;x=y\r\nhello\r\n0\r\n\r\n"])
def test_a_broken_chunk_of_a_request_is_refused(size: int, body: bytes) -> None:
    talk = Talk(post(body, length=-1), size)
    assert refused(talk) is Reason.MALFORMED


def test_of_a_request_that_is_refused_at_sight_nothing_goes_up() -> None:
    talk = Talk(post(b"z\r\n", length=-1))
    assert refused(talk) is Reason.MALFORMED
    assert talk.up == b""


@cut
def test_a_broken_chunk_while_its_early_answer_comes_breaks_the_connection(size: int) -> None:
    talk = Talk(post(b"5\r\nhel", length=-1), size)
    talk.upstream(OK[:-1])
    with pytest.raises(Broken):
        talk.client(b"loX\r\n")


@cut
def test_a_chunked_body_may_be_as_large_as_is_allowed(size: int) -> None:
    site = engine(route(PUBLIC, web=WebRules(largest_body=10)))
    body = chunks(b"hello", b"world")
    sent = post(body, length=-1)
    talk = Talk(sent, size, site)
    assert talk.exchange.leaving is None
    assert talk.take_up() == rewritten(sent, site) + body


@cut
def test_a_chunked_body_may_not_be_larger_than_is_allowed(size: int) -> None:
    site = engine(route(PUBLIC, web=WebRules(largest_body=1000)))
    talk = Talk(post(chunks(b"x" * 1000, b"y"), length=-1), size, site)
    assert refused(talk) is Reason.TOO_LARGE
    assert b"y\r\n0\r\n" not in talk.up


# ---- slow heads


def test_a_head_that_is_begun_has_a_beginning_in_time() -> None:
    clock = Clock()
    talk = Talk(GET, engine=engine(route(PUBLIC), clock=clock))
    talk.upstream(OK)
    assert talk.exchange.head_began == 0
    clock.now += 5
    talk.client(SECOND[:10])
    clock.now += 5
    talk.client(SECOND[10:20])
    assert talk.exchange.head_began == NOW + 5
    talk.client(SECOND[20:])
    assert talk.exchange.head_began == 0
    assert talk.take_up().endswith(rewritten(SECOND))


# ---- any conversation


_BODIES = st.binary(max_size=40)
_LINES = st.lists(st.sampled_from(["X-A: 1", "Accept: */*", "Cookie: a=b"]), max_size=2)


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A request's head and its framed body."""
    kind = draw(st.sampled_from(["get", "head", "length", "chunks"]))
    lines = draw(_LINES)
    if kind in ("get", "head"):
        return request(*lines, line=f"{kind.upper()} /{draw(st.integers(0, 9))} HTTP/1.1"), b""
    if kind == "length":
        body = draw(_BODIES)
        return request(f"Content-Length: {len(body)}", *lines, line="POST /p HTTP/1.1"), body
    body = chunks(*draw(st.lists(st.binary(min_size=1, max_size=20), max_size=3)))
    return request("Transfer-Encoding: chunked", *lines, line="POST /c HTTP/1.1"), body


@st.composite
def responses(draw: st.DrawFn, *, is_head: bool) -> bytes:
    announced = draw(st.sampled_from([b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"]))
    body = draw(_BODIES)
    if draw(st.booleans()):
        head, framed = b"Content-Length: %d" % len(body), body
    else:
        head, framed = b"Transfer-Encoding: chunked", chunks(*([body] if body else []))
    return announced + b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + (b"" if is_head else framed)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[begin:end] for begin, end in itertools.pairwise(places)]


@given(st.data())
def test_any_conversation_arrives_once_in_order_and_whole(data: st.DataObject) -> None:
    sent = data.draw(st.lists(requests(), min_size=1, max_size=4))
    stream = b"".join(head + body for head, body in sent)
    first = len(sent[0][0]) + data.draw(st.integers(0, len(stream) - len(sent[0][0])))
    talk = Talk(stream[:first])
    todo = split(stream[first:], data.draw(st.lists(st.integers(0, 1000), max_size=6)))
    received = b""
    for head, body in sent:
        expected = rewritten(head) + body
        while len(received + talk.up) < len(expected):
            talk.client(todo.pop(0))
        received += talk.take_up()
        assert received == expected, "the next request went up before this one was answered"
        received = b""
        answer = data.draw(responses(is_head=head.startswith(b"HEAD")))
        for part in split(answer, data.draw(st.lists(st.integers(0, 1000), max_size=4))):
            talk.upstream(part)
        assert talk.take_down() == answer
    for rest in todo:
        talk.client(rest)
    assert (talk.up, talk.exchange.leaving, talk.exchange.is_idle) == (b"", None, True)
