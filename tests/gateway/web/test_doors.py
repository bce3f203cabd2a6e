"""The paths that the gateway answers itself: who gets in by them, and that nobody is led astray."""

from dataclasses import replace
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from gateway.web import cookies
from gateway.web.answers import is_path
from router.access import AccessLevel
from router.credentials import Credential, Credentials, Ended, User
from router.model import RouteState
from router.sealing import Session, Ticket, seal, unseal
from tests.gateway.web.site import (
    ALICE,
    BOB,
    CONSOLE,
    HOST,
    KEY,
    NOW,
    PEOPLE,
    admitted,
    answered,
    bearer,
    cookie,
    request,
    route,
    status,
    values,
    visit,
)

NONCE = "n" * 43
STATE = f"Cookie: {cookies.STATE}={NONCE}"
TICKET = Ticket(HOST, "/a?b=c", cookies.state_of(NONCE), "signin-9", NOW - 5, NOW + 25, NOW + 3600, "alice")
HTML = "Accept: text/html"


def enter(ticket: Ticket | Session | str = TICKET, *lines: str, method: str = "GET", port: int = 8443) -> bytes:
    text = ticket if isinstance(ticket, str) else seal(ticket, KEY.id, KEY.secret)
    sent = request(*lines, line=f"{method} /.podgate/enter?ticket={text} HTTP/1.1")
    return answered(sent, by=visit(port=port)).data


def test_a_ticket_in_the_right_browser_becomes_a_session() -> None:
    data = enter(TICKET, STATE)
    assert (status(data), values(data, "location")) == (303, [f"https://{HOST}:8443/a?b=c"])
    made, forgotten, _met = values(data, "set-cookie")
    assert forgotten.startswith(f"{cookies.STATE}=;")
    assert "Max-Age=0" in forgotten
    value = made.partition(";")[0].removeprefix(f"{cookies.SESSION}=")
    session = unseal(Session, value, Credentials(PEOPLE).keys, NOW)
    assert session == Session(HOST, "signin-9", TICKET.issued, NOW + 3600, "alice")
    assert "Max-Age=3605" in made
    admitted(request(f"Cookie: {cookies.SESSION}={value}"))


@pytest.mark.parametrize(
    "people",
    [
        [Ended("signin-9", NOW + 9999)],
        [User("alice", since=NOW - 4)],
    ],
    ids=["signed out", "signed out everywhere"],
)
def test_a_ticket_from_before_a_sign_out_becomes_nothing(people: list[Credential]) -> None:
    sent = request(STATE, line=f"GET /.podgate/enter?ticket={seal(TICKET, KEY.id, KEY.secret)} HTTP/1.1")
    known = [record for record in PEOPLE if record.key not in {each.key for each in people}]
    data = answered(sent, people=[*known, *people]).data
    assert (status(data), values(data, "set-cookie")) == (403, [])


def test_what_another_pod_of_this_name_left_in_the_browser_is_cleared_once() -> None:
    first = enter(TICKET, STATE)
    assert values(first, "clear-site-data") == ['"cache", "storage"']
    met = values(first, "set-cookie")[2].partition(";")[0]
    assert met == f"{cookies.POD}=pod-1"
    again = enter(TICKET, f"{STATE}; {met}")
    assert (values(again, "clear-site-data"), len(values(again, "set-cookie"))) == ([], 2)
    assert values(enter(TICKET, f"{STATE}; {cookies.POD}=pod-0"), "clear-site-data") == ['"cache", "storage"']


def test_a_link_becomes_a_session_of_its_bearer() -> None:
    made = values(enter(replace(TICKET, user="", link="l1"), STATE), "set-cookie")[0]
    caller = admitted(request(f"Cookie: {made.partition(';')[0]}")).caller
    assert caller.principal is not None
    assert caller.principal.link == "l1"


@pytest.mark.parametrize(
    ("ticket", "lines"),
    [
        (TICKET, []),
        (TICKET, [f"Cookie: {cookies.STATE}={'m' * 43}"]),
        (TICKET, [STATE, STATE]),
        (TICKET, [f"Cookie: {cookies.STATE}={NONCE}x"]),
        (TICKET, [f"Cookie: {cookies.STATE}=\xe4"]),
        (replace(TICKET, state=""), [f"Cookie: {cookies.STATE}="]),
        (replace(TICKET, state=cookies.state_of("")), [f"Cookie: {cookies.STATE}="]),
        (replace(TICKET, host="other.pods.test"), [STATE]),
        (replace(TICKET, path="//evil.test/"), [STATE]),
        (replace(TICKET, path="/\\evil.test/"), [STATE]),
        (replace(TICKET, path="https://evil.test/"), [STATE]),
        (replace(TICKET, path=""), [STATE]),
        (replace(TICKET, path="/\r\nX: y"), [STATE]),
        (replace(TICKET, expires=NOW), [STATE]),
        (replace(TICKET, issued=NOW + 3600), [STATE]),
        (Session(HOST, "x", NOW, NOW + 99, "alice"), [STATE]),
        ("", [STATE]),
        ("x.y.z", [STATE]),
    ],
)
def test_with_any_defect_there_is_no_session(ticket: Ticket | Session | str, lines: list[str]) -> None:
    data = enter(ticket, *lines, HTML)
    assert status(data) == 403
    assert values(data, "set-cookie") == []
    assert values(data, "location") == []


def test_a_ticket_of_another_key_opens_nothing() -> None:
    assert status(enter(seal(TICKET, KEY.id, b"x" * 32), STATE)) == 403
    assert status(enter(seal(TICKET, "s2", KEY.secret), STATE)) == 403


PATHS = [
    "/",
    "//evil.test",
    "/\\evil.test",
    "\\\\evil.test",
    "https://evil.test",
    "evil.test",
    "///evil.test",
    "/\t/evil.test",
    "/%2F/evil.test",
    "@evil.test",
    ":80@evil.test",
    ".evil.test",
    "/@evil.test",
    "javascript:alert(1)",
    "/\r\nX: y",
    "",
    "/\x00",
    "/ä",
    "/a b",
    "/a?b=c&d=/e",
    "/#a",
    "/..//evil.test",
    "?x",
    "/;@evil.test",
    "/" + "a" * 3000,
]


@pytest.mark.parametrize("path", PATHS)
def test_every_door_leads_to_the_right_host(path: str) -> None:
    begin = answered(
        request(line=f"GET /.podgate/begin?path={quote(path, safe='')} HTTP/1.1"), by=visit(port=8443)
    ).data
    (place,) = values(begin, "location")
    parts = urlsplit(place)
    assert (parts.scheme, parts.netloc, parts.path) == ("https", f"{CONSOLE}:8443", "/sign-in")
    (back,) = parse_qs(parts.query)["path"]
    assert is_path(back)
    assert back in (path, "/")
    entered = values(enter(replace(TICKET, path=path), STATE), "location")
    assert all(urlsplit(place)[:2] == ("https", f"{HOST}:8443") for place in entered)
    assert "evil" not in "".join(urlsplit(place).netloc for place in entered)


@pytest.mark.parametrize("path", ["//x", "//evil.test/a", "/\\x"])
def test_who_wants_an_odd_path_can_sign_in_all_the_same(path: str) -> None:
    """What the way back would refuse is not sent on the way there."""
    data = answered(request(HTML, line=f"GET {path} HTTP/1.1")).data
    (back,) = parse_qs(urlsplit(values(data, "location")[0]).query)["path"]
    assert status(enter(replace(TICKET, path=back), STATE)) == 303


def test_a_state_that_is_there_is_kept_since_another_tab_may_be_signing_in() -> None:
    begin = request(STATE, line="GET /.podgate/begin HTTP/1.1")
    data = answered(begin).data
    assert values(data, "set-cookie")[0].startswith(f"{cookies.STATE}={NONCE};")
    assert f"state={cookies.state_of(NONCE)}" in values(data, "location")[0]
    for bad in (f"{cookies.STATE}=short", f"{cookies.STATE}={NONCE}; {cookies.STATE}={NONCE}"):
        anew = values(answered(request(f"Cookie: {bad}", line="GET /.podgate/begin HTTP/1.1")).data, "set-cookie")[0]
        assert NONCE not in anew
        assert "short" not in anew


def test_a_link_says_so_at_the_sign_in() -> None:
    for query, via in (("via=link", ["link"]), ("via=evil", None), ("", None)):
        data = answered(request(line=f"GET /.podgate/begin?{query} HTTP/1.1")).data
        assert parse_qs(urlsplit(values(data, "location")[0]).query).get("via") == via


def test_beginning_is_for_whoever_one_was_before() -> None:
    assert status(answered(request(cookie(), line="GET /.podgate/begin HTTP/1.1")).data) == 303


def test_signing_out_forgets_the_session_and_goes_where_the_sign_in_is_ended() -> None:
    data = answered(request(cookie(), line="GET /.podgate/sign-out HTTP/1.1"), by=visit(port=8443)).data
    assert values(data, "location") == [f"https://{CONSOLE}:8443/sign-out?host={HOST}"]
    (forgotten,) = values(data, "set-cookie")
    assert forgotten.startswith(f"{cookies.SESSION}=;")
    assert "Max-Age=0" in forgotten


@pytest.mark.parametrize("door", ["begin", "enter", "sign-out"])
def test_doors_are_for_browsers_and_for_where_there_is_a_sign_in(door: str) -> None:
    target = f"/.podgate/{door}"
    for sent, by in (
        (request("Content-Length: 0", line=f"POST {target} HTTP/1.1"), visit()),
        (request(line=f"HEAD {target} HTTP/1.1"), visit()),
        (request("Upgrade: websocket", "Connection: upgrade", line=f"GET {target} HTTP/1.1"), visit()),
        (request(line=f"GET {target} HTTP/1.1"), visit(console="")),
    ):
        data = answered(sent, by=by).data
        assert (status(data), values(data, "location"), values(data, "set-cookie")) == (404, [], [])


@pytest.mark.parametrize("door", ["begin", "enter", "sign-out"])
def test_more_questions_than_there_are_answers_to_are_no_fault(door: str) -> None:
    query = "&".join(f"a{number}=b" for number in range(200))
    assert status(answered(request(line=f"GET /.podgate/{door}?{query} HTTP/1.1")).data) in (303, 400, 403)


# ---- for those who may use the pod


@pytest.mark.parametrize("state", RouteState)
def test_the_state_is_told_to_who_may_use_the_pod(state: RouteState) -> None:
    sent = request(bearer(ALICE), line="GET /.podgate/state HTTP/1.1")
    answer = answered(sent, route(state=state))
    assert (status(answer.data), answer.keeps_alive) == (200, True)
    assert answer.data.endswith(b'{"state": "%b"}' % str(state).encode())
    assert status(answered(request(line="GET /.podgate/state HTTP/1.1"), route(state=state)).data) == 401
    assert status(answered(request(bearer(BOB), line="GET /.podgate/state HTTP/1.1"), route(state=state)).data) == 403


@pytest.mark.parametrize("path", ["/.podgate/", "/.podgate/x", "/.podgate/state/", "/.podgate/enter/", "/.podgate/?x"])
def test_nothing_else_below_reaches_the_pod(path: str) -> None:
    assert status(answered(request(line=f"GET {path} HTTP/1.1"), route(AccessLevel.PUBLIC)).data) == 404
    assert status(answered(request(line=f"GET {path} HTTP/1.1")).data) in (401, 303)


@pytest.mark.parametrize("path", ["/.podgate", "/.podgatex/", "/x/.podgate/state", "//.podgate/state"])
def test_what_is_beside_is_the_pods_own(path: str) -> None:
    admitted(request(line=f"GET {path} HTTP/1.1"), route(AccessLevel.PUBLIC))
