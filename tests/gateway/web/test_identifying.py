"""Who sends a request: what counts for it, and what counts only when the host's own pages have sent it."""

import base64
import itertools

import pytest

from certs.client import ClientName
from gateway.proof import CertificateProof
from gateway.web.identifying import identify
from gateway.web.visit import NOBODY, Caller, Visit
from router.access import AccessLevel
from router.credentials import Credentials
from router.sealing import Session
from tests.gateway.web.site import (
    ALICE,
    BOB,
    HOST,
    NOW,
    PEOPLE,
    bearer,
    cookie,
    head_of,
    request,
    route,
    session,
    visit,
)

CERTIFICATE = CertificateProof(ClientName("alice", NOW - 100), NOW + 100)
OWN, SIBLING = f"https://{HOST}", "https://evil.pods.test"


def caller(*lines: str, line: str = "GET / HTTP/1.1", by: Visit | None = None) -> Caller:
    return identify(head_of(request(*lines, line=line)), by or visit(), Credentials(PEOPLE), route(), NOW)


def user(*lines: str, line: str = "GET / HTTP/1.1", by: Visit | None = None) -> str | None:
    principal = caller(*lines, line=line, by=by).principal
    return principal.user if principal is not None else None


# ---- what a request carries


def test_who_shows_nothing_is_nobody() -> None:
    assert caller() == NOBODY


def test_a_token_tells_its_user_and_the_level_held() -> None:
    found = caller(bearer(ALICE))
    assert (found.principal and found.principal.user, found.level, found.is_token_ours) == (
        "alice", AccessLevel.OWNER, True
    )  # fmt: skip
    assert caller(bearer(BOB)).level is None


def basic(user: str, password: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("line", "who", "is_ours"),
    [
        (bearer(ALICE), "alice", True),
        (f"Authorization: bearer {ALICE}", "alice", True),
        (f"Authorization: BEARER   {ALICE}", "alice", True),
        (basic("alice", ALICE), "alice", True),
        (basic("", ALICE), "alice", True),
        (basic("bob", ALICE), None, True),
        (basic("ALICE", ALICE), None, True),
        (basic("alice", "pgt_wrong"), None, True),
        (basic("alice", "hunter2"), None, False),
        (bearer("pgt_wrong"), None, True),
        (bearer("pgt_"), None, True),
        (bearer("ghp_something"), None, False),
        (bearer("a.b.c"), None, False),
        (bearer(""), None, False),
        (f"Authorization: Token {ALICE}", None, True),
        (f"Authorization: Bearer,{ALICE}", None, True),
        (f'Authorization: Bearer "{ALICE}"', None, True),
        (basic(ALICE, ""), None, True),
        (basic(ALICE, "x-oauth-basic"), None, True),
        (basic("alice", f"x{ALICE}"), None, True),
        (basic("alice", ALICE).rstrip("="), "alice", True),
        ("Authorization: Basic !!!", None, False),
        ("Authorization: Basic /w==", None, False),
        ("Authorization: Bearer", None, False),
        ("Authorization: \xff\xfe", None, False),
        (f"Authorization: {ALICE}", None, True),
        (f"Authorization: Bearer\t{ALICE}", "alice", True),
    ],
)
def test_an_authorization_is_ours_or_left_to_the_pod(line: str, who: str | None, is_ours: bool) -> None:
    found = caller(line)
    assert (found.principal.user if found.principal else None, found.is_token_ours) == (who, is_ours)


def test_of_two_authorizations_none_tells_who_it_is() -> None:
    assert user(bearer(ALICE), bearer(BOB)) is None
    assert user(bearer(ALICE), bearer(ALICE)) is None


def test_a_session_tells_its_user() -> None:
    assert user(cookie()) == "alice"
    assert user("Cookie: a=b", cookie(), "Cookie: c=d") == "alice"


def test_a_link_is_its_bearer_and_no_user() -> None:
    found = caller(cookie(session("", link="l1")))
    assert (found.principal and found.principal.link, found.level) == ("l1", AccessLevel.WRITE)


@pytest.mark.parametrize(
    "value",
    [
        session(host="other.pods.test"),
        session(issued=NOW - 4000),
        session(issued=NOW + 120),
        session(issued=NOW - 1001, expires=NOW + 10),  # before her `since`
        session("nobody"),
        session(""),
        session(token="no-such"),
        session("bob", token="no-such"),
    ],
)
def test_a_session_that_does_not_hold_is_none(value: Session) -> None:
    assert user(cookie(value)) is None


def test_two_session_cookies_are_none() -> None:
    assert user(cookie(), cookie(session("bob"))) is None
    assert user(f"{cookie()}; {cookie()[len('Cookie: ') :]}") is None


def test_a_token_goes_before_a_session_and_that_before_a_certificate() -> None:
    with_certificate = visit(certificate=CERTIFICATE)
    assert user(bearer(BOB), cookie()) == "bob"
    assert user(bearer("pgt_wrong"), cookie()) is None  # who shows a token means to be somebody
    assert user(bearer("foreign"), cookie()) == "alice"
    assert user(cookie(session("bob")), by=with_certificate) == "bob"
    assert user(cookie(session(host="x")), by=with_certificate) == "alice"
    assert user(by=with_certificate) == "alice"


# ---- who made the browser send it

METHODS = ("GET", "HEAD", "POST", "PUT", "OPTIONS")
SITES = (None, "same-origin", "same-site", "cross-site", "none", "nonsense")
MODES = (None, "navigate", "cors", "no-cors", "websocket", "same-origin")
DESTS = (None, "document", "empty", "iframe", "image", "script")
ORIGINS = (None, OWN, SIBLING, "null", f"{OWN}:8443", "http://web.pods.test")


def is_of_the_host(method: str, site: str | None, mode: str | None, dest: str | None, origin: str | None) -> bool:
    """The rule once more, as PROTOCOLS.md has it."""
    if site in ("same-origin", "none"):
        return True
    if site is not None:
        return method == "GET" and mode == "navigate" and dest == "document"
    return origin in (None, OWN)


@pytest.mark.parametrize("proof", ["session", "certificate", "token"])
@pytest.mark.parametrize("method", METHODS)
def test_what_browsers_show_by_themselves_counts_for_the_hosts_own_pages(proof: str, method: str) -> None:
    shown = {"session": [cookie()], "certificate": [], "token": [bearer(ALICE)]}[proof]
    by = visit(certificate=CERTIFICATE if proof == "certificate" else None)
    for site, mode, dest, origin in itertools.product(SITES, MODES, DESTS, ORIGINS):
        fetch = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest, "Origin": origin}
        lines = [f"{name}: {value}" for name, value in fetch.items() if value is not None]
        known = user(*shown, *lines, line=f"{method} / HTTP/1.1", by=by) == "alice"
        assert known == (proof == "token" or is_of_the_host(method, site, mode, dest, origin)), lines


@pytest.mark.parametrize("proof", ["session", "certificate", "token"])
@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("origin", [*ORIGINS, "https://WEB.pods.test", f"{OWN}/", f"{OWN}.evil.test"])
def test_a_websocket_is_opened_by_the_hosts_own_pages_only(proof: str, site: str | None, origin: str | None) -> None:
    shown = {"session": [cookie()], "certificate": [], "token": [bearer(ALICE)]}[proof]
    by = visit(certificate=CERTIFICATE if proof == "certificate" else None)
    lines = ["Upgrade: websocket", "Connection: Upgrade", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"]
    lines += [f"Sec-Fetch-Site: {site}"] if site else []
    lines += [f"Origin: {origin}"] if origin else []
    assert (user(*shown, *lines, by=by) == "alice") == (proof == "token" or origin == OWN)


@pytest.mark.parametrize(
    "lines",
    [
        ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"],
        ["Sec-Fetch-Site: same-origin, cross-site"],
        ["Sec-Fetch-Site: Same-Origin"],
        ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: document"],
        [f"Origin: {OWN}", f"Origin: {SIBLING}"],
        [f"Origin: {OWN}", f"Origin: {OWN}"],
        [f"Origin: {OWN}, {SIBLING}"],
    ],
)
def test_what_is_said_twice_counts_for_nothing(lines: list[str]) -> None:
    assert user(cookie(), *lines) is None


def test_the_port_is_part_of_the_origin() -> None:
    by = visit(port=8443)
    assert user(cookie(), f"Origin: {OWN}:8443", by=by) == "alice"
    assert user(cookie(), f"Origin: {OWN}", by=by) is None


def test_who_is_not_known_because_of_a_page_has_not_shown_a_token() -> None:
    assert caller(cookie(), "Sec-Fetch-Site: cross-site") == NOBODY
