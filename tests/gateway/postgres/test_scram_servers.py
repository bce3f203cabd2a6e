"""SCRAM with servers that do not keep to it, and what is not to be seen of it."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.postgres.scram import FEWEST_ITERATIONS, MOST_ITERATIONS, PLAIN, ScramClient
from gateway.wire.pgmessage import LARGEST_SASL
from tests.gateway.postgres.exchanges import KNOWN, asked, begun, denied, server
from tests.gateway.postgres.logins import TOKEN


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (b"", "is not made of"),
        (b"e=other-error", "is not made of"),
        (b"m=x,r=mineyours,s=AAAA,i=4096", "is not made of"),
        (b"r=mineyours,s=AAAA", "is not made of"),
        (b"r=mineyours,i=4096,s=AAAA", "is not made of"),
        (b"r=mineyours,s=,i=4096", "is not made of"),
        (b"r=mineyours,s=AAAA,i=04096", "is not made of"),
        (b"r=mineyours,s=AAAA,i=-4096", "is not made of"),
        (b"r=mineyours,s=AAAA,i=" + b"9" * 10, "is not made of"),
        (b"r=mineyours,s=AAAAA,i=4096", "a salt that is not base64"),
        (b"r=mine,s=AAAA,i=4096", "the nonce does not go on where ours ended"),
        (b"r=yours,s=AAAA,i=4096", "the nonce does not go on where ours ended"),
        (b"r=mine\xe9,s=AAAA,i=4096", "is not made of"),
        (b"r=mineyours,s=AAAA,i=%d" % (FEWEST_ITERATIONS - 1), "iterations, expected 4096 to 20000"),
        (b"r=mineyours,s=AAAA,i=%d" % (MOST_ITERATIONS + 1), "iterations, expected 4096 to 20000"),
        (b"r=mine" + b"a" * LARGEST_SASL, "limit 1024"),
    ],
)
def test_an_answer_that_is_none(message: bytes, text: str) -> None:
    assert text in denied(asked().final, message)[0]


@pytest.mark.parametrize("iterations", [FEWEST_ITERATIONS, MOST_ITERATIONS])
def test_iterations_within_bounds_are_done(iterations: int) -> None:
    assert asked().final(b"r=mineyours,s=AAAA,i=%d,x=optional" % iterations).startswith(b"c=biws,r=mineyours,p=")


def test_a_server_that_does_not_know_the_password() -> None:
    client = asked()
    client.final(b"r=mineyours,s=AAAA,i=4096")
    text = "scram: the server does not know the password"
    assert denied(client.verify, b"v=" + base64.b64encode(bytes(32)))[0] == text
    assert not client.done


@pytest.mark.parametrize(
    ("message", "text", "sqlstate"),
    [
        (b"", "is not made of", "08P01"),
        (b"v=", "is not made of", "08P01"),
        (b"v=AAAA", "is not made of", "08P01"),
        (b"e=invalid-proof", "does not accept the proof", "28P01"),
    ],
)
def test_a_last_word_that_is_none(message: bytes, text: str, sqlstate: str) -> None:
    client = asked()
    client.final(b"r=mineyours,s=AAAA,i=4096")
    found = denied(client.verify, message)
    assert text in found[0]
    assert found[1] == sqlstate


def test_answers_out_of_turn() -> None:
    client = ScramClient(TOKEN, [PLAIN], None, "mine")
    assert "out of turn" in denied(client.final, b"r=mineyours,s=AAAA,i=4096")[0]
    assert "out of turn" in denied(client.verify, b"v=")[0]
    client.first()
    client.final(b"r=mineyours,s=AAAA,i=4096")
    assert "out of turn" in denied(client.final, b"r=mineyours,s=AAAA,i=4096")[0]


def test_the_last_word_counts_once() -> None:
    side, client = server(TOKEN), ScramClient(TOKEN, [PLAIN])
    _token, last = side.final(client.final(side.first(PLAIN, client.first())))
    client.verify(last)
    assert "out of turn" in denied(client.verify, last)[0]


# ---- what is not to be seen


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_denials_hold_nothing_that_was_sent(first: bytes, final: bytes) -> None:
    side = server(TOKEN)
    for call, arguments in ((side.first, (PLAIN, b"n,,secret" + first)), (begun().final, (b"secret" + final,))):
        text, _sqlstate = denied(call, *arguments)
        assert "secret" not in text


def test_reprs_hold_no_secret() -> None:
    side, client = server(TOKEN), asked()
    assert TOKEN not in f"{side!r} {client!r} {KNOWN!r}"
