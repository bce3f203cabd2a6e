"""Credentials: there and back, each bad field named, and no secret in any text."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.tokens import verifier_of
from router.access import AccessLevel
from router.credentials import (
    LEAST_ITERATIONS,
    MOST_ITERATIONS,
    Credential,
    Credentials,
    Ended,
    InvalidCredential,
    Issuer,
    Key,
    Token,
    User,
    Verifier,
    check_person_name,
    key_of_document,
    parse_credential,
    parse_verifier,
    to_document,
)
from router.sealing import Session, seal, unseal

names = st.from_regex(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", fullmatch=True).filter(lambda name: name != "everyone")
ids = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
times = st.floats(-(2.0**52), 2.0**52)
hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)
records = st.one_of(
    st.builds(User, names, st.frozensets(names, max_size=3), times),
    st.builds(Token, ids, hashes, names, ids | st.just(""), st.sampled_from(AccessLevel), st.none() | times, st.text()),
    st.builds(Key, ids.filter(lambda text: len(text) <= 32), st.binary(min_size=32, max_size=64)),
    st.builds(Ended, ids, times),
    st.builds(
        Issuer,
        st.text(min_size=1),
        st.text(min_size=1),
        st.lists(st.dictionaries(st.text(), st.text(), max_size=2), max_size=2).map(tuple),
        st.dictionaries(st.text(), names, max_size=2),
    ),
)

USER = {"kind": "user", "name": "alice", "groups": ["lab"], "since": 5}
TOKEN = {"kind": "token", "id": "k3", "hash": "ab" * 32, "user": "alice", "pod": "", "most": "owner", "expires": None,
         "verifier": "4096:salt:stored:server"}  # fmt: skip
SECRET = base64.b64encode(b"S" * 32).decode()
KEY = {"kind": "key", "id": "s1", "secret": SECRET}
ENDED = {"kind": "ended", "session": "x1", "until": 9.0}
ISSUER = {"kind": "issuer", "issuer": "https://i.test", "audience": "us", "users": {"sub": "alice"}, "keys": []}
ALL = (USER, TOKEN, KEY, ENDED, ISSUER)


@given(records)
def test_a_record_goes_through_json_and_back(record: Credential) -> None:
    document = json.loads(json.dumps(to_document(record)))
    assert parse_credential(document) == record
    assert key_of_document(document) == record.key


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({**USER, "name": "Alice"}, "name"),
        ({**USER, "name": "everyone"}, "name"),
        ({**USER, "name": ""}, "name"),
        ({**USER, "name": "a" * 65}, "name"),
        ({**USER, "name": "a b"}, "name"),
        ({**USER, "name": "a\n"}, "name"),
        ({**USER, "name": 5}, "name"),
        ({**USER, "groups": "lab"}, "groups"),
        ({**USER, "groups": [5]}, "groups"),
        ({**USER, "groups": ["Lab"]}, "name"),
        ({**USER, "since": "now"}, "since"),
        ({**USER, "since": True}, "since"),
        ({**USER, "since": float("nan")}, "since"),
        ({**USER, "since": None}, "since"),
        ({**USER, "since": 10**400}, "since"),
        ({**USER, "admin": True}, "admin"),
        ({**TOKEN, "id": ""}, "id"),
        ({**TOKEN, "id": "a/b"}, "id"),
        ({**TOKEN, "id": "a" * 65}, "id"),
        ({**TOKEN, "hash": "ab"}, "hash"),
        ({**TOKEN, "hash": "AB" * 32}, "hash"),
        ({**TOKEN, "user": ""}, "name"),
        ({**TOKEN, "user": None}, "user"),
        ({**TOKEN, "pod": "a b"}, "pod"),
        ({**TOKEN, "pod": None}, "pod"),
        ({**TOKEN, "most": "admin"}, "most"),
        ({**TOKEN, "most": None}, "most"),
        ({**TOKEN, "expires": "x"}, "expires"),
        ({**TOKEN, "expires": False}, "expires"),
        ({**TOKEN, "verifier": 5}, "verifier"),
        ({**TOKEN, "expires": -(10**400)}, "expires"),
        ({**TOKEN, "a": 1, "b": 2}, "a, b"),
        ({**KEY, "id": ""}, "id"),
        ({**KEY, "secret": "!"}, "secret"),
        ({**KEY, "secret": SECRET[:-1] + "Î"}, "secret"),
        ({**KEY, "secret": SECRET[:40]}, "secret"),
        ({**KEY, "secret": None}, "secret"),
        ({**KEY, "secret": SECRET + "\n!"}, "secret"),
        ({**ENDED, "session": "a b"}, "session"),
        ({**ENDED, "until": "x"}, "until"),
        ({**ISSUER, "issuer": 5}, "issuer"),
        ({**ISSUER, "issuer": ""}, "issuer"),
        ({**ISSUER, "audience": ""}, "audience"),
        ({**ISSUER, "audience": None}, "audience"),
        ({**ISSUER, "keys": {}}, "keys"),
        ({**ISSUER, "keys": ["k"]}, "keys"),
        ({**ISSUER, "users": []}, "users"),
        ({**ISSUER, "users": {"s": "Alice"}}, "name"),
        ({"kind": "root"}, "kind"),
        ({}, "kind"),
        ({"kind": ["user"]}, "kind"),
    ],
)
def test_a_bad_field_is_named(document: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidCredential, match=rf"^{field}: "):
        parse_credential(document)


@pytest.mark.parametrize("document", [None, 5, "user", [], [USER], True])
def test_what_is_no_table_is_refused(document: object) -> None:
    with pytest.raises(InvalidCredential, match=r"^expected a table of fields, got "):
        parse_credential(document)
    assert key_of_document(document) is None


@given(st.sampled_from(ALL), st.data())
def test_garbage_in_any_field_is_read_or_refused(document: dict[str, Any], data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(sorted(document)))
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    value = data.draw(st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
    try:
        parse_credential({**document, field: value})
    except InvalidCredential:
        return


@pytest.mark.parametrize(
    ("document", "secret"),
    [
        ({**TOKEN, "hash": "pgt_secret"}, "pgt_secret"),
        ({**TOKEN, "verifier": ["pgt_secret"]}, "pgt_secret"),
        ({**TOKEN, "id": "pgt_/secret"}, "pgt_/secret"),
        ({**KEY, "secret": "c2VjcmV0"}, "c2VjcmV0"),
        ({**KEY, "id": "", "secret": SECRET}, SECRET),
        ({**KEY, "extra": SECRET}, SECRET),
        ({**TOKEN, "most": "hunter2"}, "hunter3"),
    ],
)
def test_no_secret_is_in_a_reason(document: dict[str, Any], secret: str) -> None:
    with pytest.raises(InvalidCredential) as refused:
        parse_credential(document)
    assert secret not in str(refused.value)


def test_no_secret_is_in_what_a_record_is_shown_as() -> None:
    shown = repr([parse_credential(document) for document in ALL]) + repr(Credentials([parse_credential(KEY)]))
    for secret in (SECRET, "S" * 32, "ab" * 32, "stored"):
        assert secret not in shown


@pytest.mark.parametrize("name", ["a", "0", "a.b-c_d", "a" * 64])
def test_a_person_may_be_called_so(name: str) -> None:
    assert check_person_name(name) == name


def test_a_key_by_any_name_opens_what_it_seals() -> None:
    key = parse_credential({**KEY, "id": "k" * 32})
    assert isinstance(key, Key)
    session = Session("h", "s", 0.0, 9.0, "alice")
    assert unseal(Session, seal(session, key.id, key.secret), {key.id: key.secret}, 1.0) == session


@pytest.mark.parametrize(
    ("document", "key"),
    [
        *((document, parse_credential(document).key) for document in ALL),
        ({"kind": "user", "name": "Bad Name"}, "user:Bad Name"),
        ({"kind": "user"}, None),
        ({"name": "a"}, None),
        ({"kind": "token", "id": 5}, None),
        ({"kind": "token", "id": ""}, None),
        ({"kind": ["user"], "name": "a"}, None),
    ],
)
def test_even_a_bad_record_names_what_it_is_about(document: dict[str, Any], key: str | None) -> None:
    assert key_of_document(document) == key


def test_a_set_finds_what_is_in_it() -> None:
    every = [parse_credential(document) for document in ALL]
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
