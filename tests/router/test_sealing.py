"""Sealed values: whole, ours, of one kind, and valid now, or not opened at all."""

import base64
import hmac
import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.sealing import CLOCK_SKEW, LONGEST_SEALED, Session, Ticket, Unsealable, seal, unseal

KEYS = {"s1": bytes(range(32)), "s2": b"k" * 32}
NOW = 1_800_000_000.0
SESSION = Session("web.pods.test", "signin-1", NOW, NOW + 60, "alice")
TICKET = Ticket("web.pods.test", "/a?b", "state", "signin-1", NOW, NOW + 60, NOW + 3600, "alice")
texts = st.text(max_size=50)
times = st.floats(0, NOW)


def sealed(value: Session | Ticket = SESSION, key: str = "s1") -> str:
    return seal(value, key, KEYS[key])


@given(st.builds(Session, texts, texts, times, st.floats(NOW, 1e12, exclude_min=True), texts, texts, texts))
def test_a_session_opens_to_what_it_was(session: Session) -> None:
    assert unseal(Session, sealed(session), KEYS, NOW) == session


@given(
    st.builds(Ticket, texts, texts, texts, texts, times, st.floats(NOW, 1e12, exclude_min=True), times, texts, texts)
)
def test_a_ticket_opens_to_what_it_was(ticket: Ticket) -> None:
    assert unseal(Ticket, sealed(ticket), KEYS, NOW) == ticket


def test_every_key_that_is_known_opens() -> None:
    assert unseal(Session, sealed(key="s2"), KEYS, NOW) == SESSION
    with pytest.raises(Unsealable, match="key that is not known"):
        unseal(Session, sealed(key="s2"), {"s1": KEYS["s1"]}, NOW)
    with pytest.raises(Unsealable, match="seal does not fit"):
        unseal(Session, sealed(), {"s1": b"x" * 32}, NOW)


def test_no_bit_can_be_turned() -> None:
    whole = sealed().encode()
    for place in range(len(whole)):
        for bit in range(8):
            turned = whole[:place] + bytes((whole[place] ^ 1 << bit,)) + whole[place + 1 :]
            with pytest.raises(Unsealable):
                unseal(Session, turned.decode("latin-1"), KEYS, NOW)


def test_nothing_can_be_left_out_or_added() -> None:
    whole = sealed()
    broken = [whole[:end] for end in range(len(whole))] + [whole[begin:] for begin in range(1, len(whole))]
    for text in [*broken, whole + "A", whole + "=", whole + "\n", " " + whole, whole + ".A", "A" + whole]:
        with pytest.raises(Unsealable):
            unseal(Session, text, KEYS, NOW)


def test_one_kind_is_not_the_other() -> None:
    with pytest.raises(Unsealable, match="seal does not fit"):
        unseal(Ticket, sealed(SESSION), KEYS, NOW)
    with pytest.raises(Unsealable, match="seal does not fit"):
        unseal(Session, sealed(TICKET), KEYS, NOW)


def test_the_key_it_names_is_sealed_too() -> None:
    same = {"s1": KEYS["s1"], "s3": KEYS["s1"]}
    with pytest.raises(Unsealable, match="seal does not fit"):
        unseal(Session, "s3" + sealed()[2:], same, NOW)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"expires": NOW}, "expired"),
        ({"expires": NOW - 1}, "expired"),
        ({"issued": NOW + CLOCK_SKEW + 1}, "future"),
        ({"issued": NOW + CLOCK_SKEW}, None),
        ({"expires": NOW + 0.001}, None),
    ],
)
def test_it_is_good_for_its_time(change: dict[str, float], reason: str | None) -> None:
    value = replace(SESSION, **change)  # type: ignore[arg-type]
    if reason is None:
        assert unseal(Session, sealed(value), KEYS, NOW) == value
    else:
        with pytest.raises(Unsealable, match=reason):
            unseal(Session, sealed(value), KEYS, NOW)


def forged(payload: bytes) -> str:
    """Seal any payload, as another version of ours might."""
    encoded = base64.urlsafe_b64encode(payload).rstrip(b"=").decode()
    message = f"podgate session\ns1\n{encoded}".encode()
    seal_ = base64.urlsafe_b64encode(hmac.digest(KEYS["s1"], message, "sha256")).rstrip(b"=").decode()
    return f"s1.{encoded}.{seal_}"


def test_the_forger_of_these_tests_is_a_good_one() -> None:
    assert unseal(Session, forged(json.dumps(asdict(SESSION)).encode()), KEYS, NOW) == SESSION


_WRONG: tuple[object, ...] = (None, "soon", [], {}, "1900000000.0")


@pytest.mark.parametrize(
    "document",
    [
        *([], None, 5, "text", {}, {"host": "x"}),
        asdict(SESSION) | {"new": 1},
        {key: value for key, value in asdict(SESSION).items() if key != "id"},
        *(asdict(SESSION) | {"expires": value} for value in _WRONG),
        *(asdict(SESSION) | {"issued": value} for value in _WRONG),
    ],
)
def test_what_another_version_has_sealed_is_not_opened(document: Any) -> None:
    with pytest.raises(Unsealable):
        unseal(Session, forged(json.dumps(document).encode()), KEYS, NOW)


@pytest.mark.parametrize("payload", [b"\xff\xfe", b"{", b"nul", b"\x00", b"a"])
def test_what_is_no_document_is_not_opened(payload: bytes) -> None:
    with pytest.raises(Unsealable, match="another version"):
        unseal(Session, forged(payload), KEYS, NOW)


def test_it_is_as_long_as_a_browser_keeps_and_no_longer() -> None:
    room = LONGEST_SEALED - len(sealed(replace(SESSION, user="")))
    longest = next(
        text for size in range(room, 0, -1) if len(text := sealed(replace(SESSION, user="a" * size))) <= LONGEST_SEALED
    )
    assert LONGEST_SEALED - len(longest) < 3
    unseal(Session, longest, KEYS, NOW)
    with pytest.raises(Unsealable, match="shape"):
        unseal(Session, sealed(replace(SESSION, user="a" * (room + 10))), KEYS, NOW)


@given(st.text())
def test_garbage_is_not_opened_nor_told(text: str) -> None:
    with pytest.raises(Unsealable) as refused:
        unseal(Session, text, KEYS, NOW)
    assert len(text) < 4 or text not in str(refused.value)


def test_no_reason_holds_what_was_sealed() -> None:
    for text in (sealed(replace(SESSION, user="top-secret", expires=0.0)), forged(b'{"top-secret": 1}')):
        with pytest.raises(Unsealable) as refused:
            unseal(Session, text, KEYS, NOW)
        assert "top-secret" not in str(refused.value)
