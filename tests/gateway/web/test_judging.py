"""Judging one request: what is asked in which order, and what is told to whom."""

import pytest

from gateway.web import cookies
from gateway.web.visit import Visit
from router.access import AccessLevel
from router.credentials import Credentials
from router.model import RouteState, WebRules
from router.routedocument import parse_network
from router.sealing import Session, unseal
from tests.gateway.web.site import (
    ALICE,
    BOB,
    CONSOLE,
    HOST,
    KEY,
    NOW,
    PEOPLE,
    READER,
    admitted,
    answered,
    bearer,
    cookie,
    request,
    route,
    session,
    status,
    token,
    values,
    visit,
)

PUBLIC, WRITE = AccessLevel.PUBLIC, AccessLevel.WRITE
HTML = "Accept: text/html,*/*"


def test_who_may_goes_to_the_pod_with_the_level_held() -> None:
    assert admitted(request(bearer(ALICE))).caller.level is AccessLevel.OWNER
    assert admitted(request(cookie(session("", link="l1")))).caller.level is WRITE
    assert admitted(request(), route(PUBLIC)).caller.principal is None


@pytest.mark.parametrize("host", ["other.pods.test", "web.pods.test.", "pods.test", None])
def test_a_foreign_host_is_misdirected_whoever_asks(host: str | None) -> None:
    line = "GET / HTTP/1.1" if host else "GET / HTTP/1.0"
    for lines in ([], [bearer(ALICE)], [cookie()]):
        answer = answered(request(*lines, host=host, line=line))
        assert (status(answer.data), answer.keeps_alive) == (421, False)


def test_a_host_that_is_gone_is_told_before_anything_else() -> None:
    assert status(answered(request(bearer(ALICE)), route(host="x.test")).data) == 404


# ---- in this order


def test_who_is_elsewhere_learns_nothing_of_the_pod() -> None:
    closed = route(PUBLIC, ip_allow=(parse_network("203.0.113.0/24"),), state=RouteState.FAILED)
    for lines in ([], [bearer(ALICE)], [cookie()]):
        assert status(answered(request(*lines), closed).data) == 403
    preflight = request("Origin: https://a.test", "Access-Control-Request-Method: PUT", line="OPTIONS / HTTP/1.1")
    cors = route(PUBLIC, ip_allow=(parse_network("203.0.113.0/24"),), web=WebRules(cors=("*",)))
    assert status(answered(preflight, cors).data) == 403
    assert status(answered(request(line="GET /.podgate/begin HTTP/1.1"), closed).data) == 403


@pytest.mark.parametrize("state", [state for state in RouteState if state is not RouteState.AVAILABLE])
def test_only_who_may_use_a_pod_is_told_what_it_is_doing(state: RouteState) -> None:
    away = route(state=state, message="disk is full")
    told = answered(request(bearer(ALICE)), away)
    assert status(told.data) == 503
    assert b"disk is full" in told.data
    for lines, expected in (([], 401), ([bearer("pgt_no")], 401), ([bearer(BOB)], 403), ([bearer(READER)], 403)):
        answer = answered(request(*lines), away)
        assert status(answer.data) == expected
        assert b"disk is full" not in answer.data
        assert str(state).encode() not in answer.data


def test_a_pod_that_starts_shows_browsers_a_page_that_waits() -> None:
    away = route(state=RouteState.STARTING)
    assert b"/.podgate/state" in answered(request(cookie(), HTML), away).data
    assert (
        b"/.podgate/state"
        not in answered(request(cookie(), HTML, "Content-Length: 0", line="POST / HTTP/1.1"), away).data
    )
    assert answered(request(cookie(), HTML, line="HEAD / HTTP/1.1"), away).data.endswith(b"\r\n\r\n")
    assert b"problem+json" in answered(request(bearer(ALICE)), away).data


def test_a_state_comes_before_the_size_of_a_body_and_after_the_level() -> None:
    small = WebRules(largest_body=5)
    large = request(bearer(ALICE), "Content-Length: 6", line="POST / HTTP/1.1")
    assert status(answered(large, route(web=small, state=RouteState.STOPPED)).data) == 503
    assert status(answered(large, route(web=small)).data) == 413
    strangers = request("Content-Length: 6", line="POST / HTTP/1.1")
    assert status(answered(strangers, route(web=small)).data) == 401


@pytest.mark.parametrize(("largest", "length", "is_let_in"), [(5, 5, True), (5, 6, False), (0, 0, True), (0, 1, False)])
def test_a_body_may_be_so_large_and_no_larger(largest: int, length: int, is_let_in: bool) -> None:
    data = request(f"Content-Length: {length}", line="POST / HTTP/1.1")
    limited = route(PUBLIC, web=WebRules(largest_body=largest))
    if is_let_in:
        admitted(data, limited)
    else:
        assert status(answered(data, limited).data) == 413


def test_the_length_of_chunks_is_not_known_yet() -> None:
    admitted(request("Transfer-Encoding: chunked", line="POST / HTTP/1.1"), route(PUBLIC, web=WebRules(largest_body=0)))


# ---- where the client is


@pytest.mark.parametrize(
    ("address", "networks", "is_let_in"),
    [
        ("192.0.2.1", [], True),
        ("", [], True),
        ("192.0.2.1", ["192.0.2.0/24"], True),
        ("192.0.3.1", ["192.0.2.0/24"], False),
        ("192.0.3.1", ["192.0.2.0/24", "192.0.3.1"], True),
        ("::ffff:192.0.2.1", ["192.0.2.0/24"], True),
        ("::ffff:192.0.3.1", ["192.0.2.0/24"], False),
        ("2001:db8::1", ["2001:db8::/32"], True),
        ("2001:db9::1", ["2001:db8::/32"], False),
        ("2001:db8::1", ["0.0.0.0/0"], False),
        ("192.0.2.1", ["::/0"], False),
        ("::ffff:192.0.2.1", ["::/0"], False),
        ("fe80::1%eth0", ["fe80::/10"], True),
        ("", ["0.0.0.0/0", "::/0"], False),
        ("unix", ["0.0.0.0/0", "::/0"], False),
    ],
)
def test_clients_come_from_the_networks_that_are_allowed(address: str, networks: list[str], is_let_in: bool) -> None:
    limited = route(PUBLIC, ip_allow=tuple(parse_network(text) for text in networks))
    by = visit(address=address)
    if is_let_in:
        admitted(request(), limited, by=by)
    else:
        assert status(answered(request(), limited, by=by).data) == 403


# ---- nobody, and somebody with too little


def test_a_program_nobody_knows_is_told_what_to_send() -> None:
    answer = answered(request())
    assert status(answer.data) == 401
    assert values(answer.data, "www-authenticate") == ['Bearer realm="podgate"']
    assert values(answer.data, "content-type") == ["application/problem+json"]
    assert not answer.keeps_alive


def test_a_person_nobody_knows_is_sent_to_sign_in() -> None:
    answer = answered(request(HTML, line="GET /a?b=c HTTP/1.1"), by=visit(port=8443))
    assert status(answer.data) == 303
    (place,), (kept,) = values(answer.data, "location"), values(answer.data, "set-cookie")
    assert place.startswith(f"https://{CONSOLE}:8443/sign-in?host={HOST}&path=%2Fa%3Fb%3Dc&state=")
    nonce = kept.partition(";")[0].removeprefix(f"{cookies.STATE}=")
    assert place.endswith(f"&state={cookies.state_of(nonce)}")
    assert nonce not in place


@pytest.mark.parametrize(
    ("lines", "line", "by"),
    [
        ([HTML], "POST / HTTP/1.1", visit()),
        ([HTML], "HEAD / HTTP/1.1", visit()),
        ([HTML, "Sec-Fetch-Dest: iframe"], "GET / HTTP/1.1", visit()),
        ([HTML, "Sec-Fetch-Dest: empty"], "GET / HTTP/1.1", visit()),
        ([HTML, "Upgrade: websocket", "Connection: upgrade"], "GET / HTTP/1.1", visit()),
        ([HTML], "GET / HTTP/1.1", visit(console="")),
        (["Accept: */*"], "GET / HTTP/1.1", visit()),
        ([HTML, bearer("pgt_no")], "GET / HTTP/1.1", visit()),
    ],
)
def test_everything_else_is_not_sent_anywhere(lines: list[str], line: str, by: Visit) -> None:
    assert status(answered(request(*lines, line=line), by=by).data) == 401


@pytest.mark.parametrize("access", AccessLevel)
def test_a_token_that_is_not_valid_is_told_even_where_nobody_needs_one(access: AccessLevel) -> None:
    answer = answered(request(bearer("pgt_no"), HTML), route(access))
    assert status(answer.data) == 401
    assert b"token create" in answer.data
    assert b"pgt_no" not in answer.data


def test_a_session_that_is_not_valid_is_nobody_where_nobody_needs_one() -> None:
    assert admitted(request(cookie(session(issued=1.0))), route(PUBLIC)).caller.principal is None


def test_who_holds_too_little_is_told_whom_to_ask_and_it_is_noted() -> None:
    answer = answered(request(bearer(READER)))
    assert status(answer.data) == 403
    assert b"Ask alice to run: podgate share web --with rita --level write" in answer.data
    assert answer.refused is not None
    assert answer.refused.user == "rita"
    assert b"link does not reach" in answered(request(cookie(session("", link="l9")))).data


def test_what_a_user_is_called_is_not_told_to_strangers() -> None:
    assert b"alice" not in answered(request()).data


# ---- CORS


def preflight(*lines: str, origin: str = "https://a.test") -> bytes:
    return request(f"Origin: {origin}", "Access-Control-Request-Method: PUT", *lines, line="OPTIONS /x HTTP/1.1")


def test_a_preflight_is_answered_for_the_origins_that_are_named() -> None:
    ruled = route(web=WebRules(cors=("https://a.test",)))
    answer = answered(preflight("Access-Control-Request-Headers: authorization, x-a"), ruled)
    assert (status(answer.data), answer.keeps_alive) == (204, True)
    assert values(answer.data, "access-control-allow-origin") == ["https://a.test"]
    assert values(answer.data, "access-control-allow-headers") == ["authorization, x-a"]
    assert values(answer.data, "access-control-allow-credentials") == []
    assert values(answer.data, "content-length") == []
    assert "Origin" in values(answer.data, "vary")[0]
    everyone = answered(preflight(), route(web=WebRules(cors=("*",))))
    assert values(everyone.data, "access-control-allow-origin") == ["*"]


@pytest.mark.parametrize(
    "data",
    [
        preflight(origin="https://b.test"),
        preflight(origin="https://a.test.evil"),
        preflight(origin="null"),
        preflight("Origin: https://a.test"),
        request("Origin: https://a.test", line="OPTIONS / HTTP/1.1"),
        request("Origin: https://a.test", "Access-Control-Request-Method: PUT"),
        preflight("Content-Length: 1"),
    ],
)
def test_what_is_no_preflight_of_theirs_is_judged_like_any_request(data: bytes) -> None:
    assert status(answered(data, route(web=WebRules(cors=("https://a.test",)))).data) == 401


# ---- a token in the URL


def trade(
    target: str, *lines: str, method: str = "GET", access: AccessLevel = WRITE
) -> tuple[int, list[str], list[str]]:
    data = answered(request(*lines, line=f"{method} {target} HTTP/1.1"), route(access), by=visit(port=8443)).data
    return status(data), values(data, "location"), values(data, "set-cookie")


@pytest.mark.parametrize(
    ("target", "place"),
    [
        (f"/?token={ALICE}", "/"),
        (f"/a/b?token={ALICE}", "/a/b"),
        (f"/a?x=1&token={ALICE}&y=2", "/a?x=1&y=2"),
        (f"/a?token={ALICE}&next=//evil.test", "/a?next=//evil.test"),
        (f"//evil.test/?token={ALICE}", "//evil.test/"),
        (f"/\\evil.test/?token={ALICE}", "/%5Cevil.test/"),
        (f"/@evil.test/?token={ALICE}", "/@evil.test/"),
        (f"/.evil.test?token={ALICE}", "/.evil.test"),
        (f"/%0d%0aSet-Cookie:x?token={ALICE}", "/%0d%0aSet-Cookie:x"),
        (f"/a?token={ALICE}&token=foreign", "/a?token=foreign"),
    ],
)
@pytest.mark.parametrize("access", [PUBLIC, WRITE])
def test_a_token_in_a_url_becomes_a_session_at_this_host(target: str, place: str, access: AccessLevel) -> None:
    code, places, kept = trade(target, access=access)
    assert (code, places) == (303, [f"https://{HOST}:8443{place}"])
    name, _, value = kept[0].partition(";")[0].partition("=")
    found = unseal(Session, value, Credentials(PEOPLE).keys, NOW)
    assert (name, found.host, found.token, found.user) == (cookies.SESSION, HOST, "alice", "")
    assert ALICE not in "".join(places + kept)
    assert admitted(request(f"Cookie: {name}={value}")).caller.principal is not None


def test_who_is_known_stays_who_they_are_whoever_made_the_url() -> None:
    assert trade(f"/?token={BOB}", cookie()) == (303, [f"https://{HOST}:8443/"], [])


@pytest.mark.parametrize(
    ("target", "lines", "method", "code"),
    [
        (f"/?token={ALICE}", ["Content-Length: 0"], "POST", 400),
        (f"/?token={ALICE}", [], "HEAD", 400),
        (f"/?token={ALICE}", ["Upgrade: websocket", "Connection: upgrade"], "GET", 403),
        (f"/?token={ALICE}", ["Upgrade: websocket", "Connection: upgrade", f"Origin: https://{HOST}"], "GET", 400),
        (f"/?token={ALICE}", ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"], "GET", 403),
        (f"/?token={ALICE}&token={BOB}", [], "GET", 400),
        (f"/?next=/?token={ALICE}", [], "GET", 400),
        ("/?token=pgt_wrong", [], "GET", 401),
    ],
)
@pytest.mark.parametrize("access", [PUBLIC, WRITE])
def test_no_token_in_a_url_ever_goes_to_a_pod(
    target: str, lines: list[str], method: str, code: int, access: AccessLevel
) -> None:
    data = answered(request(*lines, line=f"{method} {target} HTTP/1.1"), route(access)).data
    assert (status(data), values(data, "set-cookie")) == (code, [])
    assert ALICE.encode() not in data


def test_a_session_does_not_outlive_the_token_it_comes_from() -> None:
    people = [*PEOPLE, token("pgt_short", "alice", expires=NOW + 60)]
    data = answered(request(line="GET /?token=pgt_short HTTP/1.1"), people=people).data
    (kept,) = values(data, "set-cookie")
    assert "Max-Age=60" in kept
    without_keys = [record for record in people if record is not KEY]
    assert status(answered(request(line="GET /?token=pgt_short HTTP/1.1"), people=without_keys).data) == 401
    expired = [*PEOPLE, token("pgt_short", "alice", expires=NOW)]
    assert status(answered(request(line="GET /?token=pgt_short HTTP/1.1"), people=expired).data) == 401


LONG = "pgt_" + "x" * 43


@pytest.mark.parametrize(
    ("target", "line"),
    [
        (f"/?access_token={LONG}", ""),
        (f"/?Token={LONG}", ""),
        (f"/a;token={LONG}", ""),
        (f"/?tok%65n={LONG}", ""),
        (f"/?token=%70gt_{LONG[4:]}", ""),
        (f"/files/{LONG}", ""),
        ("/", f"Sec-WebSocket-Protocol: bearer, {LONG}"),
    ],
)
def test_a_token_where_the_pod_would_see_it_is_refused(target: str, line: str) -> None:
    sent = request(*([line] if line else []), cookie(), line=f"GET {target} HTTP/1.1")
    for level in (PUBLIC, WRITE):
        assert status(answered(sent, route(level)).data) == 400


def test_a_token_for_one_pod_is_nobody_at_another_not_even_a_public_one() -> None:
    people = [*PEOPLE, token("pgt_scoped", "alice", pod="pod-2")]
    for level in (PUBLIC, WRITE):
        data = answered(request(bearer("pgt_scoped")), route(level), people=people).data
        assert status(data) == 403
        assert b"is for another pod" in data


@pytest.mark.parametrize(("lines", "code"), [([], 403), (["Sec-Fetch-User: ?1"], 303)])
def test_a_page_cannot_lead_somebody_into_another_ones_session_without_a_click(lines: list[str], code: int) -> None:
    fetched = ["Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", *lines]
    assert trade(f"/?token={ALICE}", *fetched)[0] == code


def test_the_pods_own_tokens_in_urls_are_its_own() -> None:
    admitted(request(line="GET /?token=abc HTTP/1.1"), route(PUBLIC))
