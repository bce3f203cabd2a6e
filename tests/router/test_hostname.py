"""Host names, pod names and endpoint names: what is taken, what is refused, and how they make each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.hostname import (
    LONGEST_ENDPOINT_NAME,
    LONGEST_HOST,
    RESERVED_NAMES,
    InvalidName,
    check_endpoint_name,
    check_pattern,
    check_pod_name,
    host_of,
    normalise,
    wildcard_of,
)

LABEL_63 = "a" * 63
HOST_253 = ".".join([LABEL_63, LABEL_63, LABEL_63, "a" * 61])
LETTERS_AND_DIGITS = "abcdefghijklmnopqrstuvwxyz0123456789"

HOSTS = [
    "a",
    "localhost",
    "mydb.pods.localhost",
    "mydb--metrics.pods.example.org",
    "xn--bcher-kva.example",
    "_acme-challenge.example.org",
    "1.example",
    "0x7f.example",
    "1.2.3.4.example",
    LABEL_63,
    HOST_253,
]
NOT_HOSTS = {
    "empty": "",
    "a dot": ".",
    "leading dot": ".a",
    "trailing dot": "a.example.",
    "empty label": "a..b",
    "space": "a b",
    "leading space": " a",
    "newline at the end": "a.example\n",
    "NUL": "a\0.example",
    "hyphen first": "-a.example",
    "hyphen last": "a-.example",
    "hyphen alone": "-",
    "label of 64": "a" * 64,
    "254 characters": HOST_253 + "a",
    "IPv4": "127.0.0.1",
    "short IPv4": "127.1",
    "IPv4 as a number": "2130706433",
    "IPv6": "::1",
    "IPv6 in brackets": "[::1]",
    "port": "a.example:443",
    "wildcard": "*.example",
    "slash": "a/b",
    "unicode": "bücher.example",
    "a letter that lower-cases to ASCII": "\N{KELVIN SIGN}.example",
    "unicode digit": "a\N{ARABIC-INDIC DIGIT ONE}.example",
    "surrogate": "\ud800",
}
POD_NAMES = ["abc", "a-b", "my-db-2", "a1b", "x" * 40, "a-" * 19 + "ab", "admin2", "my-api"]
NOT_POD_NAMES = [
    *(
        "",
        "a",
        "ab",
        "x" * 41,
        "1ab",
        "-ab",
        "ab-",
        "a--b",
        "Abc",
        "aBc",
        "a_b",
        "a.b",
        "abc ",
        "abc\n",
        "äbc",
        "xn--abc",
    ),
    *("a\0b", "*ab", "a/b"),
]
ENDPOINT_NAMES = ["", "a", "ab", "metrics", "a-b", "a1", "x" * LONGEST_ENDPOINT_NAME]
NOT_ENDPOINT_NAMES = [
    "-",
    "a-",
    "-a",
    "a--b",
    "1",
    "A",
    "a.b",
    "a_b",
    "x" * (LONGEST_ENDPOINT_NAME + 1),
    "a\n",
    "ä",
    " ",
]

pod_names = st.from_regex(r"[a-z](?:[a-z0-9]|-(?!-)){0,30}[a-z0-9]{2}", fullmatch=True).filter(
    lambda name: "--" not in name and name not in RESERVED_NAMES
)
endpoint_names = st.text(LETTERS_AND_DIGITS, max_size=LONGEST_ENDPOINT_NAME).filter(
    lambda name: not name or name[0].isalpha()
)


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_name_is_its_own_normal_form(host: str) -> None:
    assert normalise(host) == host
    assert normalise(host.upper()) == host
    assert check_pattern(host) == host
    assert check_pattern(f"*.{host.upper()}") == f"*.{host}"


@pytest.mark.parametrize("text", NOT_HOSTS.values(), ids=NOT_HOSTS)
def test_what_is_no_host_name_is_refused(text: str) -> None:
    for call in (normalise, lambda name: check_pattern(f"*.{name}")):
        with pytest.raises(InvalidName, match=r"^host: .* is not a host name: expected"):
            call(text)


@pytest.mark.parametrize("pattern", ["*", "*.", "**.a", "a.*", "*a.b", "*.*.a", "a.*.b", ""])
def test_a_wildcard_is_the_whole_first_label_and_nothing_else(pattern: str) -> None:
    with pytest.raises(InvalidName):
        check_pattern(pattern)


def test_the_longest_host_has_253_characters() -> None:
    assert len(HOST_253) == LONGEST_HOST == 253


@given(st.text())
def test_normalise_gives_a_normal_form_or_refuses(text: str) -> None:
    try:
        host = normalise(text)
    except InvalidName:
        return
    assert normalise(host) == host == text.lower()
    assert host.isascii()
    assert 1 <= len(host) <= LONGEST_HOST


def test_a_message_shows_a_bounded_piece_of_what_was_given() -> None:
    with pytest.raises(InvalidName) as refused:
        normalise("a" * 100_000)
    assert len(str(refused.value)) < 250
    assert "…" in str(refused.value)


@pytest.mark.parametrize("name", POD_NAMES)
def test_a_pod_name_is_taken(name: str) -> None:
    assert check_pod_name(name) == name


@pytest.mark.parametrize("name", NOT_POD_NAMES)
def test_what_cannot_name_a_pod_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(InvalidName, match=r"^name: .* cannot name a pod: expected 3 to 40 characters"):
        check_pod_name(name)


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
def test_a_name_the_service_needs_is_reserved(name: str) -> None:
    with pytest.raises(InvalidName, match=r"^name: .*(is reserved for the service itself|cannot name a pod).*"):
        check_pod_name(name)


def test_a_reserved_name_comes_with_another_that_would_do() -> None:
    with pytest.raises(InvalidName, match="'api' is reserved for the service itself; choose another, such as 'my-api'"):
        check_pod_name("api")
    assert check_pod_name("my-api") == "my-api"


@pytest.mark.parametrize("name", ENDPOINT_NAMES)
def test_an_endpoint_name_is_taken(name: str) -> None:
    assert check_endpoint_name(name) == name


@pytest.mark.parametrize("name", NOT_ENDPOINT_NAMES)
def test_what_cannot_name_an_endpoint_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(InvalidName, match=r"^endpoint: .* cannot name an endpoint: expected at most 20 characters"):
        check_endpoint_name(name)


@pytest.mark.parametrize(
    ("pod", "endpoint", "host"),
    [
        ("mydb", "", "mydb.pods.example.org"),
        ("mydb", "metrics", "mydb--metrics.pods.example.org"),
        ("my-db", "a-b", "my-db--a-b.pods.example.org"),
    ],
)
def test_a_pod_and_an_endpoint_make_a_host(pod: str, endpoint: str, host: str) -> None:
    assert host_of(pod, endpoint, "pods.example.org") == host


def test_the_longest_pod_and_endpoint_fit_one_label() -> None:
    assert normalise(host_of("x" * 40, "y" * LONGEST_ENDPOINT_NAME, "pods.localhost"))


@given(pod_names, endpoint_names, pod_names, endpoint_names)
def test_different_endpoints_never_share_a_host(pod: str, endpoint: str, other: str, another: str) -> None:
    host, second = host_of(pod, endpoint, "d.e"), host_of(other, another, "d.e")
    assert normalise(host) == host
    assert wildcard_of(host) == "*.d.e"
    assert (host == second) == ((pod, endpoint) == (other, another))


@pytest.mark.parametrize(
    ("host", "wildcard"), [("a.b.c", "*.b.c"), ("b.c", "*.c"), ("c", ""), ("", ""), ("*.b.c", "*.b.c")]
)
def test_the_wildcard_of_a_host(host: str, wildcard: str) -> None:
    assert wildcard_of(host) == wildcard
