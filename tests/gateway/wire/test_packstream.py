import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.packstream import DEEPEST, LARGEST, MOST_VALUES, Structure, Value, decode, encode
from tests.gateway.wire.prefixes import check_total, malformed

# Value and its shortest form, at both ends of each form.
FORMS: list[tuple[Value, str]] = [
    (None, "c0"),
    (False, "c2"),
    (True, "c3"),
    (0, "00"),
    (1, "01"),
    (127, "7f"),
    (-1, "ff"),
    (-16, "f0"),
    (-17, "c8ef"),
    (-128, "c880"),
    (128, "c90080"),
    (-129, "c9ff7f"),
    (32767, "c97fff"),
    (-32768, "c98000"),
    (32768, "ca00008000"),
    (-(2**31), "ca80000000"),
    (2**31, "cb0000000080000000"),
    (2**63 - 1, "cb7fffffffffffffff"),
    (-(2**63), "cb8000000000000000"),
    (1.5, "c13ff8000000000000"),
    ("", "80"),
    ("é", "82c3a9"),
    ("a" * 15, "8f" + "61" * 15),
    ("a" * 16, "d010" + "61" * 16),
    ("a" * 255, "d0ff" + "61" * 255),
    ("a" * 256, "d10100" + "61" * 256),
    (b"", "cc00"),
    (b"ab", "cc026162"),
    (bytes(256), "cd0100" + "00" * 256),
    ([], "90"),
    ([1, [2]], "92019102"),
    ([0] * 16, "d410" + "00" * 16),
    ([0] * 256, "d50100" + "00" * 256),
    ({}, "a0"),
    ({"a": None}, "a18161c0"),
    ({f"{n:02}": n for n in range(16)}, "d810" + "".join(f"82{f'{n:02}'.encode().hex()}{n:02x}" for n in range(16))),
    (Structure(0x7F, ({},)), "b17fa0"),
    (Structure(0x01, ()), "b001"),
]

LONGER_FORMS = [
    ("c801", 1),
    ("cb0000000000000001", 1),
    ("d00161", "a"),
    ("d200000001" + "61", "a"),
    ("ce0000000161", b"a"),
    ("d60000000101", [1]),
    ("da00000001816101", {"a": 1}),
    ("d90001816101", {"a": 1}),
]

BROKEN = [
    ("", "marker of 1 bytes, 0 left"),
    ("c4", "marker 0xc4 means nothing"),
    ("df", "marker 0xdf means nothing"),
    ("e0", "marker 0xe0 means nothing"),
    ("0101", "1 bytes after the end of the value"),
    ("c900", "integer of 2 bytes, 1 left"),
    ("c100", "float of 8 bytes, 1 left"),
    ("d1ff", "size of 2 bytes, 1 left"),
    ("8261", "text of 2 bytes, 1 left"),
    ("d2ffffffff61", "text of 4294967295 bytes, 1 left"),
    ("ce0000000261", "bytes of 2 bytes, 1 left"),
    ("81ff", "text of 1 bytes is not utf-8"),
    ("91", "marker of 1 bytes, 0 left"),
    ("d6ffffffff", f"more than {MOST_VALUES} values"),
    ("daffffffff", f"more than {MOST_VALUES} values"),
    ("a10102", "map key is not a text, or was there before"),
    ("a2816101816102", "map key is not a text, or was there before"),
    ("b0", "tag of 1 bytes, 0 left"),
]

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=300)
    | st.binary(max_size=300),
    lambda inner: (
        st.lists(inner, max_size=20)
        | st.dictionaries(st.text(max_size=20), inner, max_size=20)
        | st.builds(Structure, st.integers(0, 127), st.lists(inner, max_size=15).map(tuple))
    ),
    max_leaves=12,
).filter(lambda value: depth_of(value) <= DEEPEST)


def depth_of(value: Value) -> int:
    match value:
        case list():
            inner = value
        case dict():
            inner = list(value.values())
        case Structure():
            inner = list(value.fields)
        case _:
            return 0
    return 1 + max(map(depth_of, inner), default=0)


@pytest.mark.parametrize(("value", "form"), FORMS)
def test_forms(value: Value, form: str) -> None:
    assert encode(value).hex() == form
    decoded = decode(bytes.fromhex(form))
    assert decoded == value
    assert type(decoded) is type(value)


@pytest.mark.parametrize(("form", "value"), LONGER_FORMS)
def test_longer_forms_are_read_too(form: str, value: Value) -> None:
    assert decode(bytes.fromhex(form)) == value


@given(values)
def test_what_is_encoded_decodes_to_the_same(value: Value) -> None:
    assert decode(encode(value)) == value


@pytest.mark.parametrize(("form", "text"), BROKEN)
def test_broken_values_are_named(form: str, text: str) -> None:
    assert malformed(decode, bytes.fromhex(form)) == f"packstream: {text}"


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, Structure(1, (None,) * 16)])
def test_values_without_a_form_are_refused(value: Value) -> None:
    with pytest.raises(ValueError, match=r"^packstream: "):
        encode(value)


def test_a_lone_surrogate_is_replaced() -> None:
    assert decode(encode("a\udce9")) == "a?"


def test_limits_hold_to_the_byte() -> None:
    assert decode(encode("a" * (LARGEST - 3))) == "a" * (LARGEST - 3)
    assert malformed(decode, encode("a" * (LARGEST - 2))) == f"packstream: {LARGEST + 1} bytes, limit {LARGEST}"


def test_limits_hold_to_the_value() -> None:
    assert decode(encode([0] * (MOST_VALUES - 1))) == [0] * (MOST_VALUES - 1)
    assert malformed(decode, encode([0] * MOST_VALUES)) == f"packstream: more than {MOST_VALUES} values"
    assert malformed(decode, encode([[0] * 100] * 41)) == f"packstream: more than {MOST_VALUES} values"


def test_limits_hold_to_the_depth() -> None:
    deepest = bytes([0x91] * (DEEPEST - 1) + [0x90])
    assert encode(decode(deepest)) == deepest
    assert malformed(decode, b"\x91" + deepest) == f"packstream: more than {DEEPEST} values inside values"
    assert decode(b"\x92" + deepest[1:] * 2) == [decode(deepest[1:])] * 2  # depth, not number


@given(st.binary(max_size=200))
def test_garbage_is_malformed_or_a_value(data: bytes) -> None:
    check_total(decode, data, LARGEST)


@given(values, st.integers(0, 10_000))
def test_no_prefix_of_a_value_is_a_value(value: Value, end: int) -> None:
    form = encode(value)
    assert malformed(decode, form[: end % len(form)])
