"""Signing in and out."""

import httpx
import pytest

from tests.controller.console.conftest import OURS, PASSWORD, Place, post, sign_in, token_of, wanted

COOKIE = "__Host-podgate-console"


async def test_a_password_signs_in(place: Place, browser: httpx.AsyncClient) -> None:
    answer = await sign_in(browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = next(value for value in answer.headers.get_list("set-cookie") if value.startswith(COOKIE))
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    page = await browser.get("/")
    assert page.status_code == 200
    assert "Signed in as <strong>alice</strong>" in page.text
    [sign_in_] = place.people.signins.of("alice")
    assert (sign_in_.address, sign_in_.agent) == ("192.0.2.1", "a test")


@pytest.mark.parametrize(
    ("user", "password"),
    [("alice", "wrong"), ("alice", ""), ("nobody", PASSWORD), ("", ""), ("admin", ""), ("x" * 5000, PASSWORD),
     ("alice\x00", PASSWORD), ("'; --", "é" * 2000)],
)  # fmt: skip
async def test_nothing_else_does(browser: httpx.AsyncClient, user: str, password: str) -> None:
    answer = await sign_in(browser, user, password)
    assert answer.status_code == 403
    assert "The user name or the password is not right." in answer.text
    assert COOKIE not in browser.cookies
    assert (await browser.get("/")).text.count("<h1>Sign in</h1>") == 1


async def test_a_name_is_shown_again_escaped(browser: httpx.AsyncClient) -> None:
    answer = await sign_in(browser, '"><script>alert(1)</script>', "wrong")
    assert "<script>" not in answer.text
    assert "&#34;&gt;&lt;script&gt;" in answer.text


async def test_guessing_is_slowed_down_for_a_name_from_anywhere(place: Place) -> None:
    statuses = []
    for number in range(12):
        async with place.browser(f"198.51.100.{number}") as client:
            statuses.append((await sign_in(client, password="wrong")).status_code)
    assert (statuses[:10], 429 in statuses[10:]) == ([403] * 10, True)
    async with place.browser() as client:
        refused = await sign_in(client)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert "Too many attempts failed" in refused.text
        place.clock.ahead += 1000.0
        assert (await sign_in(client)).status_code == 303


async def test_signing_in_makes_a_new_session_and_ends_the_one_before(place: Place, browser: httpx.AsyncClient) -> None:
    early = await browser.get("/sign-in")
    fixed = "k00000001.e30.{}".format("A" * 43)
    browser.cookies.set(COOKIE, fixed, domain="podgate.localhost")
    assert (await browser.get("/")).text.count("<h1>Sign in</h1>") == 1
    browser.cookies.delete(COOKIE)
    await sign_in(browser)
    first = browser.cookies[COOKIE]
    assert first != fixed
    await post(browser, "/sign-in", early, user="bob", password=PASSWORD)
    second = browser.cookies[COOKIE]
    assert second != first
    assert len(place.people.signins.of("bob")) == 1
    assert place.people.signins.of("alice") == []
    async with place.browser() as thief:
        thief.cookies.set(COOKIE, first, domain="podgate.localhost")
        assert "Signed in as" not in (await thief.get("/")).text


async def test_the_id_of_a_sign_in_alone_is_no_cookie(place: Place, browser: httpx.AsyncClient) -> None:
    """It stands readable in tickets, so in addresses."""
    await sign_in(browser)
    [found] = place.people.signins.of("alice")
    async with place.browser() as thief:
        thief.cookies.set(COOKIE, found.id, domain="podgate.localhost")
        assert "Signed in as" not in (await thief.get("/")).text


async def test_signing_out_ends_it_for_ever(place: Place, browser: httpx.AsyncClient) -> None:
    await sign_in(browser)
    stolen = browser.cookies[COOKIE]
    page = await browser.get("/sign-out")
    assert "Sign out everywhere" in page.text
    assert len(place.people.signins.of("alice")) == 1, "a GET changes nothing"
    answer = await post(browser, "/sign-out", page)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-out")
    assert answer.headers["clear-site-data"] == '"cache", "storage"'
    assert COOKIE not in browser.cookies
    assert "You are signed out" in (await browser.get("/sign-out")).text
    browser.cookies.set(COOKIE, stolen, domain="podgate.localhost")
    assert "Signed in as" not in (await browser.get("/")).text
    assert place.people.signins.of("alice") == []


async def test_a_sign_in_ends_by_itself(place: Place, browser: httpx.AsyncClient) -> None:
    await sign_in(browser)
    place.clock.ahead += 12 * 3600.0 + 1.0
    assert "Signed in as" not in (await browser.get("/")).text


async def test_a_disabled_user_is_out_at_once(place: Place, browser: httpx.AsyncClient) -> None:
    await sign_in(browser)
    await place.people.disable("alice")
    assert "Signed in as" not in (await browser.get("/")).text
    assert (await sign_in(browser)).status_code == 403


async def test_leaving_a_pod_names_it_only_if_it_is_one(place: Place, browser: httpx.AsyncClient) -> None:
    await place.pod("app")
    await sign_in(browser)
    assert "signed out of <strong>app.pods.localhost" in (await browser.get("/sign-out?host=app.pods.localhost")).text
    assert "evil" not in (await browser.get("/sign-out?host=evil.example")).text


async def test_as_someone_else_leads_back_to_the_same_place(place: Place, browser: httpx.AsyncClient) -> None:
    await place.pod("app", owner="bob")
    await sign_in(browser)
    refused = await browser.get("/sign-in", params=wanted(path="/deep?a=1"))
    assert refused.status_code == 403
    answer = await post(browser, "/sign-out", refused, again="1", **wanted(path="/deep?a=1"))
    page = await browser.get(answer.headers["location"])
    assert "To open <strong>app.pods.localhost</strong>" in page.text
    _, ticket = place.ticket(
        await post(browser, "/sign-in", page, user="bob", password=PASSWORD, **wanted(path="/deep?a=1"))
    )
    assert (ticket.user, ticket.path) == ("bob", "/deep?a=1")


async def test_sign_out_without_a_session_needs_nothing(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/sign-out", headers=OURS)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-out")


async def test_the_token_of_a_form_changes_with_the_session(browser: httpx.AsyncClient) -> None:
    early = token_of(await browser.get("/sign-in"))
    await sign_in(browser)
    later = token_of(await browser.get("/"))
    assert early != later
    answer = await browser.post("/sign-out", data={"form": early}, headers=OURS)
    assert answer.status_code == 403
