"""What strangers write into the address of the sign-in page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.console.destination import LONGEST_PATH, BadDestination, Destination, read_destination, read_path

STATE = "s" * 43
GOOD = {"host": "app.pods.localhost", "path": "/", "state": STATE}


def test_it_is_read_and_written_back() -> None:
    fields = {"host": "APP.pods.localhost", "path": "/a%2Fb/?q=1&r=%0d", "state": STATE, "via": "link"}
    found = read_destination(fields)
    assert found == Destination("app.pods.localhost", "/a%2Fb/?q=1&r=%0d", STATE, "link")
    assert found is not None
    assert found.query == f"?host=app.pods.localhost&path=%2Fa%252Fb%2F%3Fq%3D1%26r%3D%250d&state={STATE}&via=link"
    assert read_destination(found.fields) == found


def test_without_any_of_it_there_is_none() -> None:
    assert read_destination({"user": "alice"}) is None


@pytest.mark.parametrize("path", ["/", "/a", "/a//b", "/a/../..//", "/?//evil", "/a\\b", "/~!$&'()*+,;=:@%00"])
def test_paths_that_are_taken(path: str) -> None:
    assert read_path(path) == path


BAD_PATHS = [
    "", "a", "//evil.example", "///evil", "/\\evil.example", "\\/evil", "\\\\evil", "https://evil.example/",
    "javascript:alert(1)", " /", "/ ", "/a b", "/\t/evil", "/a\r\nset-cookie: a=b", "/a\x00", "/\x7f", "/é",
    "/\u2028", "/\uff0fevil", "?a", "#a", "/.", "@evil",
]  # fmt: skip


@pytest.mark.parametrize("path", [path for path in BAD_PATHS if path != "/."])
def test_paths_that_are_refused(path: str) -> None:
    with pytest.raises(BadDestination):
        read_path(path)


def test_a_path_that_is_too_long_leads_to_the_front_page() -> None:
    assert read_path("/" + "a" * (LONGEST_PATH - 1)) != "/"
    assert read_path("/" + "a" * LONGEST_PATH) == "/"


BAD_HOSTS = [
    "", "evil.example/", "app.pods.localhost:8443", "user@app.pods.localhost", "127.0.0.1", "[::1]", "app..pods",
    "app.pods.localhost.", "app.pods.localhost\r\n", "app pods", "*.pods.localhost", "ápp.pods.localhost", "a" * 300,
    "app.pods.localhost#", "app.pods.localhost?", "app.pods.localhost\\", "%61pp.pods.localhost",
]  # fmt: skip


@pytest.mark.parametrize("host", BAD_HOSTS)
def test_hosts_that_are_none(host: str) -> None:
    with pytest.raises(BadDestination):
        read_destination({**GOOD, "host": host})


@pytest.mark.parametrize(
    "change",
    [{"state": ""}, {"state": "s" * 42}, {"state": "s" * 44}, {"state": "s" * 42 + "="}, {"state": "s" * 42 + "+"},
     {"state": "s" * 43 + "\n"}, {"via": "token"}],
)  # fmt: skip
def test_what_no_gateway_writes(change: dict[str, str]) -> None:
    with pytest.raises(BadDestination):
        read_destination({**GOOD, **change})


@pytest.mark.parametrize("missing", list(GOOD))
def test_what_is_missing(missing: str) -> None:
    with pytest.raises(BadDestination):
        read_destination({name: value for name, value in GOOD.items() if name != missing})


@given(st.text(max_size=40))
def test_whatever_is_taken_stays_on_its_host(path: str) -> None:
    try:
        found = read_path(path)
    except BadDestination:
        return
    assert found.startswith("/")
    assert found[1:2] not in ("/", "\\")
    assert found.isascii()
    assert found.isprintable()
    assert " " not in found
