"""Credentials: a set of records, and what proves that somebody knows a token."""

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.tokens import verifier_of
from router.credentials import (
    LEAST_ITERATIONS,
    MOST_ITERATIONS,
    Credential,
    Credentials,
    Ended,
    Issuer,
    Key,
    Token,
    User,
    Verifier,
    check_person_name,
    parse_verifier,
)


@pytest.mark.parametrize("name", ["a", "0", "a.b-c_d", "a" * 64])
def test_a_person_may_be_called_so(name: str) -> None:
    assert check_person_name(name) == name


def test_a_set_finds_what_is_in_it() -> None:
    every: list[Credential] = [
        User("alice"), Token("k3", "ab" * 32, "alice"), Key("s1", b"S" * 32), Ended("x1", 9.0),
        Issuer("https://i.test", "us"),
    ]  # fmt: skip
    known = Credentials(every)
    assert (list(known), len(known)) == (every, 5)
    assert (known.user("alice"), known.user("bob"), known.user("")) == (every[0], None, None)
    assert (known.token("k3"), known.token("k4")) == (every[1], None)
    assert known.tokens == {"ab" * 32: every[1]}
    assert (dict(known.keys), known.newest_key) == ({"s1": b"S" * 32}, "s1")
    assert (known.ended("x1"), known.ended("x2")) == (True, False)
    assert known.issuers == {"https://i.test": every[4]}
    assert Credentials().newest_key == ""


def test_a_change_makes_a_new_set_and_leaves_the_old() -> None:
    old = Credentials([User("alice"), User("bob")])
    new = old.changed([User("alice", frozenset(("lab",))), Key("s2", b"k" * 32)], ["user:bob", "user:nobody"])
    assert (len(old), len(new)) == (2, 2)
    assert old.user("bob") == User("bob")
    assert (new.user("bob"), new.user("alice")) == (None, User("alice", frozenset(("lab",))))
    assert new.newest_key == "s2"
    assert new != old == Credentials([User("bob"), User("alice")])
    assert new != 5
    with pytest.raises(TypeError):
        hash(new)


def test_the_tokens_of_a_user_are_found_by_the_user() -> None:
    first, second = Token("k1", "01" * 32, "alice"), Token("k2", "02" * 32, "alice")
    other = Token("k3", "03" * 32, "bob")
    known = Credentials([first, other, second, User("carol")])
    assert set(known.tokens_of("alice")) == {first, second}
    assert (known.tokens_of("bob"), known.tokens_of("carol"), known.tokens_of("")) == ((other,), (), ())
    assert known.changed([], ["token:k1"]).tokens_of("alice") == (second,)
    assert known.changed([Token("k2", "02" * 32, "bob")], ["token:k1"]).tokens_of("alice") == ()
    assert set(known.tokens_of("alice")) == {first, second}


SALT, STORED, SERVER = (base64.b64encode(byte * 32).decode() for byte in (b"a", b"b", b"c"))


def test_a_verifier_is_read() -> None:
    read = parse_verifier(f"4096:{SALT}:{STORED}:{SERVER}")
    assert read == Verifier(4096, b"a" * 32, b"b" * 32, b"c" * 32)
    assert "bbb" not in repr(read)
    assert "ccc" not in repr(read)
    for iterations in (LEAST_ITERATIONS, MOST_ITERATIONS):
        assert parse_verifier(f"{iterations}:YQ==:{STORED}:{SERVER}") == Verifier(
            iterations, b"a", b"b" * 32, b"c" * 32
        )


def test_the_verifier_that_the_controller_makes_is_read() -> None:
    made = parse_verifier(verifier_of("pgt_x", b"salt of alice"))
    assert made is not None
    client = hmac.digest(hashlib.pbkdf2_hmac("sha256", b"pgt_x", made.salt, made.iterations), b"Client Key", "sha256")
    assert (made.salt, made.stored) == (b"salt of alice", hashlib.sha256(client).digest())


@pytest.mark.parametrize(
    "text",
    [
        *(None, 5, b"4096:a:b:c", "", ":::", "4096", f"4096:{SALT}:{STORED}", f"4096:{SALT}:{STORED}:{SERVER}:"),
        *(f"{count}:{SALT}:{STORED}:{SERVER}" for count in ("", "0", "1", "4095", "-4096", "+4096", "04096", "4_096")),
        *(f"{count}:{SALT}:{STORED}:{SERVER}" for count in ("10000001", "9" * 400, "٤٠٩٦", "4096 ", "4096.0", "x")),
        *(f"4096:{SALT}:{STORED}:{bad}" for bad in ("", "YQ==", "!", SERVER[:-1], SERVER + "\n", "ä", SERVER * 2)),
        *(f"4096:{SALT}:{bad}:{SERVER}" for bad in ("", "YQ==", "!", STORED[:-1])),
        *(f"4096:{bad}:{STORED}:{SERVER}" for bad in ("", "!", "\ud800", "A" * 1024)),
        "4096:salt:stored:server",
    ],
)
def test_what_is_no_verifier_proves_nothing(text: object) -> None:
    assert parse_verifier(text) is None


@given(st.text())
def test_any_text_is_a_verifier_or_none(text: str) -> None:
    assert parse_verifier(text) is None
