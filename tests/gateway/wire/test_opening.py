import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.opening import Opening, recognise
from gateway.wire.verdict import NOT_THIS, More
from tests.gateway.wire.prefixes import RECORDINGS, recorded

CANCEL = bytes.fromhex("04d2162e")

# The shortest bytes that decide, and what they decide.
DECISIVE = [
    ("1603", Opening.TLS),
    ("0000000804d2162f", Opening.POSTGRES_SSL),
    ("0000000804d21630", Opening.POSTGRES_GSS),
    ("0000001004d2162e", Opening.POSTGRES_CANCEL),
    ("0000010c04d2162e", Opening.POSTGRES_CANCEL),
    ("0000002a0003", Opening.POSTGRES_STARTUP),
    ("000000080003", Opening.POSTGRES_STARTUP),
    ("000027100003", Opening.POSTGRES_STARTUP),
    ("6060b017", Opening.BOLT),
    *(
        (f"{method} ".encode().hex(), Opening.HTTP)
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]
    ),
]

NEITHER = [
    "17",  # a TLS record, but not of the handshake
    "1602",
    "802e",  # an SSLv2 hello
    "0001",
    "000000ff04d2162f",  # an SSLRequest has 8 bytes
    "0000000904d2162f",
    "0000000804d21631",
    "0000000f04d2162e",  # a secret of 3 bytes
    "0000010d04d2162e",  # a secret of 257 bytes
    "00000007",
    "00002711",  # one byte more than PostgreSQL reads
    "0000002a0002",  # protocol 2.0
    "6060b016",
    b"get ".hex(),
    b"GET\t".hex(),
    b"PUTS".hex(),
    b"PRI * HTTP/2.0".hex(),
    b"SSH-2.0-".hex(),
    b"PROXY TCP4".hex(),
]

FIRST = {"curl_http": Opening.HTTP, "curl_post": Opening.HTTP, "chromium_http": Opening.HTTP} | {
    "psql15_starttls": Opening.POSTGRES_SSL,
    "libpq18_starttls": Opening.POSTGRES_SSL,
    "psql15_plain": Opening.POSTGRES_STARTUP,
    "libpq18_plain32": Opening.POSTGRES_STARTUP,
    "libpq18_cancel": Opening.POSTGRES_CANCEL,
    "libpq18_cancel32": Opening.POSTGRES_CANCEL,
    "neo4j_bolt44": Opening.BOLT,
    "neo4j_bolt54": Opening.BOLT,
}


@pytest.mark.parametrize(("head", "opening"), DECISIVE)
def test_decides_at_the_first_byte_that_tells(head: str, opening: Opening) -> None:
    data = bytes.fromhex(head)
    for end in range(len(data)):
        assert recognise(data[:end]) == More(end + 1)
    assert recognise(data) is opening
    assert recognise(data + b"\xff\0") is opening


@pytest.mark.parametrize("head", NEITHER)
def test_refuses_what_is_none_of_them(head: str) -> None:
    assert recognise(bytes.fromhex(head)) is NOT_THIS


@pytest.mark.parametrize("name", RECORDINGS)
def test_recognises_real_clients(name: str) -> None:
    assert recognise(recorded(name)) is FIRST.get(name, Opening.TLS)


@given(
    st.one_of(st.binary(max_size=12), st.sampled_from(DECISIVE).map(lambda case: bytes.fromhex(case[0]))), st.binary()
)
def test_a_decision_stands_whatever_follows(head: bytes, rest: bytes) -> None:
    for end in range(len(head) + 1):
        early = recognise(head[:end])
        if not isinstance(early, More):
            assert recognise(head + rest) is early
        else:
            assert early.at_least > end
