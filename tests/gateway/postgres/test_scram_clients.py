"""SCRAM with clients that do not keep to it."""

import base64
import hashlib

import pytest

from gateway.postgres.scram import LONGEST_NONCE, PLAIN, PLUS, ScramClient
from gateway.wire.pgmessage import LARGEST_SASL
from tests.gateway.postgres.exchanges import BINDING, FIRST, PROOF, WHOLE_NONCE, begun, denied, server
from tests.gateway.postgres.logins import TOKEN


@pytest.mark.parametrize(
    ("mechanism", "message", "text"),
    [
        ("SCRAM-SHA-1", b"n,," + FIRST, "a mechanism that was not offered"),
        (PLUS, b"n,," + FIRST, "mechanism and channel binding do not go together"),
        (PLUS, b"y,," + FIRST, "mechanism and channel binding do not go together"),
        (PLAIN, b"p=tls-server-end-point,," + FIRST, "mechanism and channel binding do not go together"),
        (PLUS, b"p=tls-unique,," + FIRST, "another kind of channel binding than tls-server-end-point"),
        (PLUS, b"p=tls-exporter,," + FIRST, "another kind of channel binding than tls-server-end-point"),
        (PLAIN, b"y,," + FIRST, "the client was not told that we offer channel binding"),
    ],
)
def test_mechanism_and_binding_go_together(mechanism: str, message: bytes, text: str) -> None:
    assert denied(server(TOKEN, binding=BINDING).first, mechanism, message)[0] == f"scram: {text}"


def test_a_downgrade_has_its_own_sqlstate() -> None:
    assert denied(server(TOKEN, binding=BINDING).first, PLAIN, b"y,," + FIRST)[1] == "28000"


def test_binding_cannot_be_had_where_it_is_not_offered() -> None:
    side = server(TOKEN)
    assert side.mechanisms == [PLAIN]
    assert "not offered" in denied(side.first, PLUS, b"p=tls-server-end-point,," + FIRST)[0]
    assert side.first(PLAIN, b"y,," + FIRST)  # true: we do not offer it


def test_another_channel_is_denied() -> None:
    side = server(TOKEN, binding=BINDING)
    client = ScramClient(TOKEN, side.mechanisms, hashlib.sha256(b"another certificate").digest())
    final = client.final(side.first(PLUS, client.first()))
    assert denied(side.final, final) == ("scram: bound to another channel than this one", "28000")


NOT_FIRST = [
    b"",
    b"n",
    b"n,,",
    b"n,,n=",
    b"n,,r=abc",
    b"n,,n=,r=",
    b"n,,n=,r=,x=1",
    b"n,,r=abc,n=",
    b"n,n=,r=abc",
    b",,n=,r=abc",
    b"N,,n=,r=abc",
    b"z,,n=,r=abc",
    b"p,,n=,r=abc",
    b"p=,,n=,r=abc",
    b"p=tls server,,n=,r=abc",
    b"n,a=alice,n=,r=abc",
    b"n,,m=x,n=,r=abc",
    b"n,,n=,r=abc,m=x",
    b"n,, n=,r=abc",
    b"n,,n=,r=a c",
    b"n,,n=,r=abc\0",
    b"n,,n=,r=abc\n",
    b"n,,n=,r=\x7f",
    b"n,,n=,r=\xc3\xa9",
    b"n,,n=,r=abc,",
    b"n,,n=,r=abc,x",
    b"n,,n=,r=abc,1=x",
    b"n,,n=,r=" + b"a" * (LONGEST_NONCE + 1),
]


@pytest.mark.parametrize("message", NOT_FIRST)
def test_a_first_message_that_is_none(message: bytes) -> None:
    text = "scram: client-first message is not made of the attributes it must have"
    assert denied(server(TOKEN).first, PLAIN, message) == (text, "08P01")


@pytest.mark.parametrize(
    "message",
    [
        b"n,,n=,r=" + b"a" * LONGEST_NONCE,
        b"n,,n=*,r=abc",
        b"n,,n=a=2Cb=3Dc,r=abc",
        b"n,,n=\xc3\xa9,r=abc",  # the user's name in here is nobody's business
        b"n,,n=,r=abc,x=optional,y=",
        b"n,,n=,r=!+-~/=",
    ],
)
def test_a_first_message_that_is_one(message: bytes) -> None:
    assert server(TOKEN).first(PLAIN, message).startswith(b"r=" + message.split(b"r=", 1)[1].split(b",")[0])


def test_messages_are_bounded() -> None:
    for size, text in ((LARGEST_SASL, "attributes"), (LARGEST_SASL + 1, f"limit {LARGEST_SASL}")):
        assert text in denied(server(TOKEN).first, PLAIN, b"\0" * size)[0]
    assert server(TOKEN).first(PLAIN, b"n,,n=".ljust(LARGEST_SASL - 6, b"u") + b",r=abc")
    side = server(TOKEN)
    side.first(PLAIN, b"n,," + FIRST)
    assert "limit" in denied(side.final, b"c" * (LARGEST_SASL + 1))[0]


NOT_FINAL = [
    b"",
    b"c=biws," + WHOLE_NONCE,
    b"c=biws," + PROOF,
    WHOLE_NONCE + b"," + PROOF,
    WHOLE_NONCE + b",c=biws," + PROOF,
    b"c=biws," + PROOF + b"," + WHOLE_NONCE,
    b"c=," + WHOLE_NONCE + b"," + PROOF,
    b"c=biws," + WHOLE_NONCE + b"," + PROOF + b",x=1",
    b"c=biws," + WHOLE_NONCE + b"," + PROOF + b"\n",
    b"c=biws," + WHOLE_NONCE + b",p=",
    b"c=biws," + WHOLE_NONCE + b",p=" + base64.b64encode(bytes(31)),
    b"c=biws," + WHOLE_NONCE + b",p=" + base64.b64encode(bytes(33)),
    b"c=biws," + WHOLE_NONCE + b",p=" + b"-" * 43 + b"=",
    b"c=bi\xffs," + WHOLE_NONCE + b"," + PROOF,
    b"m=x,c=biws," + WHOLE_NONCE + b"," + PROOF,
]


@pytest.mark.parametrize("message", NOT_FINAL)
def test_a_final_message_that_is_none(message: bytes) -> None:
    text = "scram: client-final message is not made of the attributes it must have"
    assert denied(begun().final, message) == (text, "08P01")


@pytest.mark.parametrize(
    ("message", "text", "sqlstate"),
    [
        (b"c=biws,r=abc," + PROOF, "the nonce of the proof is not that of the exchange", "08P01"),
        (b"c=biws," + WHOLE_NONCE + b"x," + PROOF, "the nonce of the proof is not that of the exchange", "08P01"),
        (b"c=eSws," + WHOLE_NONCE + b"," + PROOF, "bound to another channel than this one", "28000"),
        (b"c=biws=," + WHOLE_NONCE + b"," + PROOF, "bound to another channel than this one", "28000"),
        (b"c=biws," + WHOLE_NONCE + b"," + PROOF, "the proof fits no token of the user", "28P01"),
        (b"c=biws," + WHOLE_NONCE + b",x=1," + PROOF, "the proof fits no token of the user", "28P01"),
    ],
)
def test_a_final_message_of_another_exchange(message: bytes, text: str, sqlstate: str) -> None:
    assert denied(begun().final, message) == (f"scram: {text}", sqlstate)


def test_messages_out_of_turn() -> None:
    assert "before the first" in denied(server(TOKEN).final, b"c=biws," + WHOLE_NONCE + b"," + PROOF)[0]
    side = begun()
    assert "after the first" in denied(side.first, PLAIN, b"n,," + FIRST)[0]
    denied(side.final, b"c=biws," + WHOLE_NONCE + b"," + PROOF)
    assert "second" in denied(side.final, b"c=biws," + WHOLE_NONCE + b"," + PROOF)[0]


def test_one_exchange_has_one_try() -> None:
    side, client = server(TOKEN), ScramClient(TOKEN, [PLAIN])
    final = client.final(side.first(PLAIN, client.first()))
    denied(side.final, b"")
    assert "second" in denied(side.final, final)[0]
