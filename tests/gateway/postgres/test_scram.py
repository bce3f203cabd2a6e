"""SCRAM by itself: the example of RFC 7677, and both sides together."""

import base64
import hashlib
import hmac

import pytest

from gateway.postgres.scram import PLAIN, PLUS, ScramClient, ScramServer, salt_of_nobody
from tests.gateway.postgres.exchanges import BINDING, FIRST, denied, log_in, server
from tests.gateway.postgres.logins import ITERATIONS, NONCE, SALT, TOKEN, verifier

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
