"""Our own cookies: found, made, and kept from pods in both directions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web import cookies
from gateway.web.cookies import SESSION, STATE


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([], None),
        ([b""], None),
        ([b"__Host-podgate=abc"], "abc"),
        ([b"a=b; __Host-podgate=abc; c=d"], "abc"),
        ([b"a=b;\t__Host-podgate=abc"], "abc"),
        ([b"a=b", b"__Host-podgate=abc"], "abc"),
        ([b"__Host-podgate="], ""),
        ([b"__Host-podgate=a=b"], "a=b"),
        ([b"__Host-podgate"], None),
        ([b"__host-podgate=abc"], None),
        ([b"__Host-podgate-state=abc"], None),
        ([b"x__Host-podgate=abc"], None),
        ([b"__Host-podgate=abc; __Host-podgate=def"], None),
        ([b"__Host-podgate=abc; __Host-podgate=abc"], None),
        ([b"__Host-podgate=abc", b"__Host-podgate=def"], None),
        ([b"__Host-podgate=\xff"], "\ufffd"),
    ],
)
def test_a_cookie_is_found_if_it_is_there_once(values: list[bytes], found: str | None) -> None:
    assert cookies.find(values, SESSION) == found


@pytest.mark.parametrize(
    ("value", "left"),
    [
        (b"a=b; c=d", b"a=b; c=d"),
        (b"a=b;c=d", b"a=b;c=d"),
        (b"__Host-podgate=x", b""),
        (b"__Host-podgate=x; a=b", b"a=b"),
        (b"a=b; __Host-podgate=x", b"a=b"),
        (b"a=b; __Host-podgate=x; c=d", b"a=b; c=d"),
        (b"a=b; __Host-podgate=x; __Host-podgate-state=y; c=d", b"a=b; c=d"),
        (b"a=b;\t __HOST-PODGATE=x", b"a=b"),
        (b"__Host-podgate", b""),
        (b"__Host-podgateway=x", b""),
        (b"a=__Host-podgate=x", b"a=__Host-podgate=x"),
        (b"__Host-other=x", b"__Host-other=x"),
    ],
)
def test_ours_are_taken_out_and_nothing_else_is(value: bytes, left: bytes) -> None:
    assert cookies.without_ours(value) == left


@given(st.lists(st.sampled_from([b"a=b", b" a=b", b"__Host-podgate=x", b"\t__Host-podgate-state=y ", b"", b'"'])))
def test_what_is_left_holds_nothing_that_would_be_found(pairs: list[bytes]) -> None:
    left = cookies.without_ours(b";".join(pairs))
    assert cookies.find([left], SESSION) is None
    assert cookies.find([left], STATE) is None
    assert b"podgate" not in left
    assert left.count(b"a=b") == sum(b"a=b" in pair for pair in pairs)


@pytest.mark.parametrize(
    "value",
    [
        b"__Host-podgate=x; Path=/; Secure",
        b" __Host-podgate=x",
        b"__HOST-Podgate-State=x",
        b'"__Host-podgate=x"',
        b"__Host-podgate",
        b"=__Host-podgate=x",  # a cookie without a name, which older browsers send back as one of ours
        b"= __Host-podgate=x; Domain=pods.test",
        b"==__Host-podgate=x",
    ],
)
def test_no_pod_sets_ours(value: bytes) -> None:
    assert cookies.sets_ours(value)


@pytest.mark.parametrize("value", [b"a=b", b"a=__Host-podgate=x", b"__Host-session=x", b"", b"x__Host-podgate=1"])
def test_pods_set_their_own(value: bytes) -> None:
    assert not cookies.sets_ours(value)


def test_a_cookie_is_made_for_this_host_only_and_not_for_scripts() -> None:
    name, value = cookies.set_cookie(SESSION, "abc", 60)
    assert name == "Set-Cookie"
    assert value.split("; ") == [
        "__Host-podgate=abc", "Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age=60"
    ]  # fmt: skip
    assert "Domain" not in value
    assert cookies.sets_ours(value.encode())


def test_a_state_tells_the_right_browser_and_not_its_nonce() -> None:
    nonces = {cookies.new_nonce() for _ in range(100)}
    assert len(nonces) == len({cookies.state_of(nonce) for nonce in nonces}) == 100
    assert all(cookies.NONCE.fullmatch(nonce) and cookies.NONCE.fullmatch(cookies.state_of(nonce)) for nonce in nonces)
    assert cookies.state_of("a" * 43) == cookies.state_of("a" * 43) != "a" * 43
