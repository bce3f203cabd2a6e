"""Transcripts of one HTTP connection with a side that cannot be trusted, or with a body that is refused."""

import pytest

from gateway.errors import Reason
from gateway.transform import Broken
from gateway.web.exchange import MOST_INTERIMS
from router.model import WebRules
from tests.gateway.web.messages import EMPTY, GET, OK, SECOND, chunks, post
from tests.gateway.web.site import engine, route
from tests.gateway.web.talking import PUBLIC, Talk, cut, refused, rewritten


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


@cut
def test_a_flood_of_interim_responses_is_a_bad_gateway(size: int) -> None:
    talk = Talk(GET, size)
    talk.upstream(b"HTTP/1.1 103 Early Hints\r\n\r\n" * MOST_INTERIMS)
    assert talk.take_down() == b"HTTP/1.1 103 Early Hints\r\n\r\n" * MOST_INTERIMS
    talk.upstream(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 2)
    assert refused(talk) is Reason.UNREACHABLE


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
