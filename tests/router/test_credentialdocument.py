"""Credentials as documents: there and back, each bad field named, and no secret in any text."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.credentialdocument import key_of_document, parse_credential, to_document
from router.credentials import (
    Credential,
    Credentials,
    InvalidCredential,
    Key,
)
from router.sealing import Session, seal, unseal
from tests.router.credentials import records

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
