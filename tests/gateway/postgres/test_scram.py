"""SCRAM by itself: the example of RFC 7677, and what each side says to peers that do not keep to it."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from gateway.postgres.scram import (
    FEWEST_ITERATIONS,
    LONGEST_NONCE,
    MOST_ITERATIONS,
    PLAIN,
    PLUS,
    Denied,
    ScramClient,
    ScramServer,
    end_point_hash,
    salt_of_nobody,
)
from gateway.wire.pgmessage import LARGEST_SASL
from tests.gateway.postgres.logins import ITERATIONS, NONCE, SALT, TOKEN, verifier
from tests.peers import leaf_of

BINDING = hashlib.sha256(b"a certificate").digest()
FIRST = b"n=,r=abc"
PROOF = b"p=" + base64.b64encode(bytes(32))
KNOWN = verifier(TOKEN)


def server(*tokens: str, binding: bytes | None = None) -> ScramServer:
    return ScramServer([(token, verifier(token)) for token in tokens], SALT, ITERATIONS, binding, NONCE)


def log_in(side: ScramServer, client: ScramClient) -> str:
    answer = side.first(client.mechanism, client.first())
    token, last = side.final(client.final(answer))
    client.verify(last)
    return token


def denied(call: Callable[..., object], *arguments: object) -> tuple[str, str]:
    """Give the text and the SQLSTATE that `call` is denied with."""
    with pytest.raises(Denied) as raised:
        call(*arguments)
    return str(raised.value), raised.value.sqlstate


# ---- the example of RFC 7677, section 3

USER_NONCE, SERVER_NONCE = "rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
RFC_FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
RFC_ANSWER = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
RFC_UNPROVEN = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
RFC_FINAL = RFC_UNPROVEN + b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
RFC_LAST = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_the_example_of_the_rfc() -> None:
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    side = ScramServer([("one", verifier("pencil", salt))], salt, 4096, None, SERVER_NONCE)
    assert side.first(PLAIN, RFC_FIRST) == RFC_ANSWER
    assert side.final(RFC_FINAL) == ("one", RFC_LAST)


def test_the_example_of_the_rfc_as_its_client() -> None:
    client = ScramClient("pencil", [PLAIN], None, USER_NONCE)
    assert client.first() == b"n,,n=,r=rOprNGfwEbeRWgbNEkqO"  # as libpq's, without the user: other proofs follow
    proof = client.final(RFC_ANSWER)
    assert proof.startswith(RFC_UNPROVEN + b",p=")
    assert not client.done
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)
    signed = b",".join((b"n=,r=rOprNGfwEbeRWgbNEkqO", RFC_ANSWER, RFC_UNPROVEN))
    signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")
    client.verify(b"v=" + base64.b64encode(signature))
    assert client.done


# ---- both sides together


@pytest.mark.parametrize("binding", [None, BINDING])
def test_each_of_several_tokens_is_found(binding: bytes | None) -> None:
    tokens = ["first", "second", "third"]
    for token in tokens:
        side = server(*tokens, binding=binding)
        client = ScramClient(token, side.mechanisms, binding)
        assert client.mechanism == (PLUS if binding else PLAIN)
        assert log_in(side, client) == token
        assert client.done


def test_a_client_that_would_bind_gets_in_where_it_is_not_offered() -> None:
    side = server(TOKEN)
    assert log_in(side, ScramClient(TOKEN, side.mechanisms, BINDING)) == TOKEN


@pytest.mark.parametrize(
    ("offered", "ours", "mechanism", "begin"),
    [
        ([PLAIN], None, PLAIN, b"n,,"),
        ([PLAIN], BINDING, PLAIN, b"y,,"),
        ([PLUS, PLAIN], None, PLAIN, b"n,,"),
        ([PLUS, PLAIN], BINDING, PLUS, b"p=tls-server-end-point,,"),
        (["OAUTHBEARER", PLUS], BINDING, PLUS, b"p=tls-server-end-point,,"),
    ],
)
def test_the_client_binds_where_it_can(offered: list[str], ours: bytes | None, mechanism: str, begin: bytes) -> None:
    client = ScramClient(TOKEN, offered, ours)
    assert client.mechanism == mechanism
    assert client.first().startswith(begin + b"n=,r=")


@pytest.mark.parametrize(("offered", "binding"), [([], None), (["SCRAM-SHA-1"], None), ([PLUS], None)])
def test_the_client_knows_no_other_mechanism(offered: list[str], binding: bytes | None) -> None:
    assert denied(ScramClient, TOKEN, offered, binding)[0] == "scram: the server offers no mechanism that we know"


def test_nonces_are_new_each_time() -> None:
    assert len({ScramClient(TOKEN, [PLAIN]).first() for _ in range(100)}) == 100
    answers = {ScramServer([], SALT, ITERATIONS).first(PLAIN, b"n,," + FIRST) for _ in range(100)}
    assert len(answers) == 100
    assert all(answer.startswith(b"r=abc") for answer in answers)


def test_a_wrong_token_is_denied() -> None:
    side = server("right")
    client = ScramClient("wrong", side.mechanisms)
    final = client.final(side.first(PLAIN, client.first()))
    assert denied(side.final, final) == ("scram: the proof fits no token of the user", "28P01")


def test_a_user_who_is_not_there_is_told_a_salt_and_denied() -> None:
    side = server()
    client = ScramClient(TOKEN, side.mechanisms)
    assert denied(side.final, client.final(side.first(PLAIN, client.first())))[1] == "28P01"


def test_the_proof_of_nothing_fits_nobody() -> None:
    """A client that could guess what the stored key of nobody is must still not get in."""
    side = server()
    answer = side.first(PLAIN, b"n,," + FIRST)
    unproven = b"c=biws,r=abc" + NONCE.encode()
    signature = hmac.digest(bytes(32), b",".join((FIRST, answer, unproven)), "sha256")
    assert denied(side.final, unproven + b",p=" + base64.b64encode(signature))[1] == "28P01"


def test_the_salt_of_nobody_is_always_the_same_and_everybodys_own() -> None:
    assert salt_of_nobody("bob", b"pepper") == salt_of_nobody("bob", b"pepper")
    salts = {salt_of_nobody(name, pepper) for name in ("bob", "eve", "\udce9") for pepper in (b"pepper", b"salt")}
    assert len(salts) == 6
    assert {len(salt) for salt in salts} == {16}
    assert len(salt_of_nobody("bob", b"pepper", 20)) == 20


# ---- clients that do not keep to it


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


def begun() -> ScramServer:
    side = server(TOKEN)
    side.first(PLAIN, b"n,," + FIRST)
    return side


WHOLE_NONCE = b"r=abc" + NONCE.encode()
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


# ---- servers that do not keep to it


def asked() -> ScramClient:
    client = ScramClient(TOKEN, [PLAIN], None, "mine")
    client.first()
    return client


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


# ---- what a channel is bound to


def certificate(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey,
                algorithm: hashes.HashAlgorithm | None) -> x509.Certificate:  # fmt: skip
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pods.test")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    return builder.sign(key, algorithm)  # type: ignore[arg-type]


@pytest.mark.parametrize("algorithm", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
def test_the_binding_is_by_the_hash_of_the_signature(algorithm: hashes.HashAlgorithm) -> None:
    made = certificate(ec.generate_private_key(ec.SECP256R1()), algorithm)
    assert end_point_hash(made) == made.fingerprint(algorithm)


def test_a_signature_without_a_hash_binds_nothing() -> None:
    assert end_point_hash(certificate(ed25519.Ed25519PrivateKey.generate(), None)) is None


def test_old_hashes_are_replaced() -> None:
    """RFC 5929, 4.1: SHA-256 where the signature has MD5 or SHA-1."""
    for old in (hashes.SHA1(), hashes.MD5()):  # noqa: S303
        assert end_point_hash(_Signed(old)) == b"sha256"  # type: ignore[arg-type]


class _Signed:
    """A certificate such as today's libraries do not make any more."""

    def __init__(self, algorithm: hashes.HashAlgorithm) -> None:
        self.signature_hash_algorithm = algorithm

    def fingerprint(self, algorithm: hashes.HashAlgorithm) -> bytes:
        return algorithm.name.encode()


def test_an_unknown_signature_binds_nothing() -> None:
    assert end_point_hash(_Unknown()) is None  # type: ignore[arg-type]


class _Unknown:
    @property
    def signature_hash_algorithm(self) -> hashes.HashAlgorithm:
        raise UnsupportedAlgorithm("of tomorrow")


def test_certificates_of_tests_can_be_bound_to() -> None:
    leaf = leaf_of(trustme.CA(key_type=trustme.KeyType.ECDSA), "pods.test")
    assert end_point_hash(x509.load_pem_x509_certificate(leaf.chain_pem)) is not None
