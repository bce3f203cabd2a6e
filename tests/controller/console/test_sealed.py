"""Records in cookies: only ours, only for their purpose, only for their time."""

import pytest

from controller.console.sealed import open_record, seal_record
from router.credentials import Key
from router.sealing import Session, Ticket, Unsealable, seal, unseal

KEY = Key("k1", b"k" * 32)
KEYS = {"k1": b"k" * 32}
RECORD = {"id": "abc", "name": 'ü"\n'}


def test_a_record_comes_back() -> None:
    assert open_record("session", seal_record("session", RECORD, KEY, 100.0), KEYS, 99.9) == RECORD


@pytest.mark.parametrize(
    ("purpose", "keys", "now"),
    [("oidc", KEYS, 0.0), ("session", {"k2": b"k" * 32}, 0.0), ("session", {"k1": b"x" * 32}, 0.0),
     ("session", {}, 0.0), ("session", KEYS, 100.0)],
    ids=["another purpose", "unknown key", "another key", "no key", "over"],
)  # fmt: skip
def test_it_does_not(purpose: str, keys: dict[str, bytes], now: float) -> None:
    assert open_record(purpose, seal_record("session", RECORD, KEY, 100.0), keys, now) is None


def test_no_letter_of_it_can_be_another() -> None:
    text = seal_record("session", RECORD, KEY, 100.0)
    for at in range(len(text)):
        forged = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
        if forged.rpartition(".")[0] != text.rpartition(".")[0] or at < len(text) - 1:
            assert open_record("session", forged, KEYS, 0.0) is None, at
        assert open_record("session", text[:at], KEYS, 0.0) is None


def test_it_is_nothing_to_a_gateway_nor_a_gateways_to_it() -> None:
    record = seal_record("session", {"host": "a", "id": "b"}, KEY, 100.0)
    with pytest.raises(Unsealable):
        unseal(Session, record, KEYS, 0.0)
    with pytest.raises(Unsealable):
        unseal(Ticket, record, KEYS, 0.0)
    session = seal(Session("a", "b", 0.0, 100.0), KEY.id, KEY.secret)
    assert open_record("session", session, KEYS, 0.0) is None
