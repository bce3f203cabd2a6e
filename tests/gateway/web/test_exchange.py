"""Transcripts of one HTTP connection: each is played with all bytes at once and byte by byte."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Reason
from gateway.transform import BITE
from gateway.transform import WHOLE as WHOLE_BITE
from tests.clock import Clock
from tests.gateway.web.messages import EMPTY, GET, OK, SECOND, SWITCHING, UPGRADE, chunks, post
from tests.gateway.web.site import NOW, engine, request, route, status, values
from tests.gateway.web.talking import PUBLIC, Talk, cut, refused, rewritten

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


# ---- slow heads


def test_a_head_that_is_begun_has_a_beginning_in_time() -> None:
    clock = Clock(NOW)
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
