"""The hostile corpus: read as its table says, never otherwise than h11 reads it, and however it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.httphead import LARGEST_HEAD, parse_head
from tests.fuzz.invariants import check_request
from tests.gateway.wire.corpus.cases import Hostile, Reading, Refused
from tests.gateway.wire.corpus.judge import h11s, ours
from tests.gateway.wire.hostile import CASES
from tests.gateway.wire.prefixes import check_total

EVERY = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
TRAILING = (b"\0", b"\n", b"\r\n GET", b"GET / HTTP/1.1\r\n\r\n")


def test_the_corpus_is_large_and_its_names_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES) > 500


@EVERY
def test_it_is_read_as_the_table_says(case: Hostile) -> None:
    answer = ours(case.request)
    if isinstance(case.expected, Refused):
        assert isinstance(answer, Refused), answer
        assert answer.text.startswith(case.expected.text)
    else:
        assert answer == case.expected
        assert all(ours(case.request + surplus) == answer for surplus in TRAILING)


@EVERY
def test_h11_reads_it_alike_or_we_refuse_it(case: Hostile) -> None:
    if isinstance(case.expected, Reading):
        assert h11s(case.request) == case.expected


@EVERY
def test_it_is_read_alike_however_it_is_cut(case: Hostile) -> None:
    size = len(case.request)
    check_request(case.request, range(size) if size <= 800 else [*range(0, size, size // 40), size - 1])


@pytest.mark.parametrize("case", [case for case in CASES if isinstance(case.expected, Refused)][::7], ids=str)
def test_what_is_refused_stays_refused_with_more_behind_it(case: Hostile) -> None:
    for surplus in TRAILING:
        assert isinstance(ours(case.request + surplus), Refused)


_NAMES = st.sampled_from(
    "Host Content-Length Transfer-Encoding Connection Upgrade Expect TE X content_length Trailer Accept".split()
)
_VALUES = st.one_of(
    st.sampled_from(
        "a b:80 0 3 03 +3 3,3 chunked CHUNKED gzip,chunked close keep-alive,upgrade host websocket h2c 100-continue"
        " text/html".split()
    ),
    st.text('ab:/,;@[]="#0123456789 \t\0\r\n\xa0\xff', max_size=8),
)
_FIELDS = st.lists(
    st.builds("{}{}{}{}".format, _NAMES, st.sampled_from((":", ": ", ":\t", " :", "")), _VALUES, st.just("\r\n")),
    max_size=5,
).map("".join)
_LINES = st.builds(
    "{}{} {} HTTP/{}\r\n".format,
    st.sampled_from(("", "", "", "\r\n", "\r\n\r\n", " ")),
    st.sampled_from(("GET", "POST", "HEAD", "OPTIONS", "CONNECT", "TRACE", "get")),
    st.sampled_from(("/", "*", "/a?b", "http://a/", "http://b?c", "https://a", "a:80", "/a#b", "//b/", "ftp://a/")),
    st.sampled_from(("1.1", "1.1", "1.1", "1.0", "1.2", "2.0")),
)
_BODIES = st.lists(
    st.sampled_from(
        (
            b"0\r\n",
            b"\r\n",
            b"3\r\nabc\r\n",
            b"03\r\nabc\r\n",
            b"3\r\nabc",
            b"3;a\r\n",
            b"abc",
            b"X: a\r\n",
            b"Host: b\r\n",
        )
    ),
    max_size=6,
).map(b"".join)


@given(_LINES, st.sampled_from(("", "Host: a\r\n", "Host: a\r\n", "Host: a\r\n")), _FIELDS, _BODIES, st.data())
def test_made_requests_are_read_as_h11_reads_them(
    line: str, host: str, fields: str, body: bytes, data: st.DataObject
) -> None:
    request = f"{line}{host}{fields}\r\n".encode("latin-1") + body
    check_request(request, data.draw(st.lists(st.integers(0, len(request)), max_size=4)))
    check_total(parse_head, request, LARGEST_HEAD)
