"""Forms of other sites, of other browsers, and of no browser at all."""

import httpx
import pytest

from controller.console.forms import LONGEST_BODY
from tests.controller.console.conftest import ORIGIN, PASSWORD, Place, sign_in, token_of

GOOD = {"sec-fetch-site": "same-origin", "origin": "null"}
SENDERS: dict[str, tuple[dict[str, str], int]] = {
    "a browser under our policy": (GOOD, 303),
    "one that names itself": ({"sec-fetch-site": "same-origin", "origin": ORIGIN}, 303),
    "without an origin": ({"sec-fetch-site": "same-origin"}, 303),
    "an old browser": ({"origin": ORIGIN}, 303),
    "no browser": ({}, 403),
    "an old browser that hides its origin": ({"origin": "null"}, 403),
    "a pod": ({"sec-fetch-site": "cross-site", "origin": "https://evil.pods.localhost:8443"}, 403),
    "a sibling": ({"sec-fetch-site": "same-site", "origin": "https://x.podgate.localhost:8443"}, 403),
    "another port": ({"origin": "https://podgate.localhost:9443"}, 403),
    "plain": ({"origin": "http://podgate.localhost:8443"}, 403),
    "by hand": ({"sec-fetch-site": "none", "origin": ORIGIN}, 403),
    "two minds": ({"sec-fetch-site": "same-origin", "origin": "https://evil.example"}, 403),
    "cross-site with our origin": ({"sec-fetch-site": "cross-site", "origin": ORIGIN}, 403),
    "empty": ({"sec-fetch-site": "", "origin": ORIGIN}, 403),
}


@pytest.mark.parametrize(("headers", "status"), SENDERS.values(), ids=SENDERS)
async def test_who_may_send_a_form(browser: httpx.AsyncClient, headers: dict[str, str], status: int) -> None:
    form = {"form": token_of(await browser.get("/sign-in")), "user": "alice", "password": PASSWORD}
    assert (await browser.post("/sign-in", data=form, headers=headers)).status_code == status


PATHS = [
    "/sign-in", "/sign-out", "/link/x", "/account/password", "/account/sign-ins/end", "/account/tokens",
    "/account/tokens/revoke",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("token", [None, "", "x" * 43, "of another browser", "\udce4"])
async def test_every_form_needs_its_own_token(
    place: Place, browser: httpx.AsyncClient, path: str, token: str | None
) -> None:
    await sign_in(browser)
    if token == "of another browser":
        async with place.browser() as other:
            await sign_in(other)
            token = token_of(await other.get("/"))
    form = {"other": "field"} if token is None else {"form": token}
    fields = {name: value.encode("utf-8", "surrogateescape") for name, value in form.items()}
    answer = await browser.post(path, data=fields, headers=GOOD)
    assert answer.status_code in (400, 403)
    assert len(place.people.signins.of("alice")) >= 1
    assert place.people.tokens.of("alice") == []


@pytest.mark.parametrize("path", PATHS)
async def test_every_form_asks_who_sends_it(place: Place, browser: httpx.AsyncClient, path: str) -> None:
    await sign_in(browser)
    token = token_of(await browser.get("/"))
    answer = await browser.post(path, data={"form": token}, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403
    assert len(place.people.signins.of("alice")) == 1


@pytest.mark.parametrize("path", [path for path in PATHS if path.startswith("/account")])
async def test_the_account_is_for_those_signed_in(browser: httpx.AsyncClient, path: str) -> None:
    token = token_of(await browser.get("/sign-in"))
    assert (await browser.post(path, data={"form": token}, headers=GOOD)).status_code == 403


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("text/plain", b"form=a", 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
        ("application/x-www-form-urlencoded", b"user=a&user=b", 400),
        ("application/x-www-form-urlencoded", "user=é".encode(), 400),
        ("application/x-www-form-urlencoded", b"user=%ff", 400),
        ("application/x-www-form-urlencoded", b"&".join(b"a%d=" % number for number in range(65)), 400),
        ("application/x-www-form-urlencoded", b"a=" + b"b" * (LONGEST_BODY - 1), 413),
        ("application/x-www-form-urlencoded", b"a=" + b"b" * (LONGEST_BODY - 2), 403),
        ("application/x-www-form-urlencoded", b"", 403),
    ],
)
async def test_what_is_no_form(browser: httpx.AsyncClient, kind: str, body: bytes, status: int) -> None:
    answer = await browser.post("/sign-in", content=body, headers={**GOOD, "content-type": kind})
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
