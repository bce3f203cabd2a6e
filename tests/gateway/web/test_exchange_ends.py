"""Transcripts of one HTTP connection that leaves HTTP, or whose upstream ends: what is sent again, and what is not."""

import pytest

from gateway.errors import Reason
from tests.gateway.web.messages import GET, OK, SECOND, SWITCHING, UPGRADE
from tests.gateway.web.site import request, values
from tests.gateway.web.talking import Talk, cut, left, refused

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
