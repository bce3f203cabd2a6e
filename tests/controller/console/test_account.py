"""Your pods and your account."""

import re

import httpx
import pytest

from router.access import AccessLevel
from tests.controller.console.conftest import OURS, PASSWORD, Place, post, sign_in, token_of

COOKIE = "__Host-podgate-console"


async def test_one_sees_ones_pods_and_their_addresses(place: Place, browser: httpx.AsyncClient) -> None:
    await place.pod("mine")
    await place.pod("read-only", owner="bob", access=AccessLevel.WRITE, grants={"everyone": AccessLevel.READ})
    await place.pod("hidden", owner="bob")
    await place.pod("db", template="db")
    await sign_in(browser)
    page = (await browser.get("/")).text
    assert '<a href="https://mine.pods.localhost:8443/">mine.pods.localhost</a>' in page
    assert "read-only.pods.localhost" in page
    assert 'href="https://read-only.pods.localhost' not in page, "one holds too little to open it"
    assert '<a href="https://db--metrics.pods.localhost:8443/">' in page
    assert 'href="https://db.pods' not in page, "no browser speaks Postgres"
    assert "hidden.pods" not in page


async def test_a_new_password_signs_out_all_others(place: Place, browser: httpx.AsyncClient) -> None:
    await sign_in(browser)
    async with place.browser() as other:
        await sign_in(other)
        before = browser.cookies[COOKIE]
        fields = {"current": PASSWORD, "password": "another horse", "again": "another horse"}
        answer = await post(browser, "/account/password", "/account", **fields)
        assert answer.headers["location"] == "/account?done=password"
        assert browser.cookies[COOKIE] != before
        assert "The password is changed." in (await browser.get("/account?done=password")).text
        assert "Signed in as" not in (await other.get("/")).text
        assert (await sign_in(other)).status_code == 403
        assert (await sign_in(other, password="another horse")).status_code == 303


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"current": "wrong", "password": "another horse", "again": "another horse"}, 403),
        ({"current": PASSWORD, "password": "another horse", "again": "a different one"}, 422),
        ({"current": PASSWORD, "password": "short", "again": "short"}, 422),
        ({"current": PASSWORD, "password": "x" * 1025, "again": "x" * 1025}, 422),
        ({}, 422),
    ],
)
async def test_a_password_that_is_not_taken(
    place: Place, browser: httpx.AsyncClient, fields: dict[str, str], status: int
) -> None:
    await sign_in(browser)
    answer = await post(browser, "/account/password", "/account", **fields)
    assert answer.status_code == status
    assert 'role="alert"' in answer.text
    assert await place.people.check_password("alice", PASSWORD) is not None


async def test_one_ends_ones_own_sign_ins_only(place: Place, browser: httpx.AsyncClient) -> None:
    await sign_in(browser)
    async with place.browser() as other, place.browser() as bobs:
        await sign_in(other)
        await sign_in(bobs, "bob")
        [theirs] = place.people.signins.of("bob")
        for each in [*place.people.signins.of("alice")[1:], theirs]:
            await post(browser, "/account/sign-ins/end", "/account", id=each.id)
        assert "Signed in as" in (await browser.get("/")).text
        assert "Signed in as" not in (await other.get("/")).text
        assert "Signed in as" in (await bobs.get("/")).text


async def test_a_token_is_shown_once(place: Place, browser: httpx.AsyncClient) -> None:
    pod = await place.pod("app")
    await sign_in(browser)
    fields = {"name": "ci", "pod": pod.key, "level": "write", "lasting": "7"}
    answer = await post(browser, "/account/tokens", "/account", **fields)
    assert answer.status_code == 201
    found = re.search(r"pgt_[\w-]{43}", answer.text)
    assert found
    [kept] = place.people.tokens.of("alice")
    assert (kept.name, kept.pod, kept.level) == ("ci", pod.key, AccessLevel.WRITE)
    assert kept.expires == pytest.approx(place.clock.now() + 7 * 24 * 3600.0, abs=60.0)
    principal = place.people.principal(found[0])
    assert principal is not None
    assert (principal.user, principal.pod) == ("alice", pod.key)
    assert found[0] not in (await browser.get("/account")).text
    again = await post(browser, "/account/tokens", "/account", **fields)
    assert (again.status_code, len(place.people.tokens.of("alice"))) == (409, 1)
    await post(browser, "/account/tokens/revoke", "/account", id=kept.id)
    assert place.people.tokens.of("alice") == []
    assert place.people.principal(found[0]) is None


@pytest.mark.parametrize(
    "change",
    [{"name": ""}, {"name": "x" * 65}, {"name": "a\nb"}, {"level": "public"}, {"level": "god"}, {"level": ""},
     {"lasting": "8"}, {"pod": "no-such-pod"}],
)  # fmt: skip
async def test_a_token_that_is_not_made(place: Place, browser: httpx.AsyncClient, change: dict[str, str]) -> None:
    await sign_in(browser)
    fields = {"name": "ci", "pod": "", "level": "write", "lasting": "7", **change}
    assert (await post(browser, "/account/tokens", "/account", **fields)).status_code == 422
    assert place.people.tokens.of("alice") == []


async def test_one_revokes_ones_own_tokens_only(place: Place, browser: httpx.AsyncClient) -> None:
    from controller.identity import By

    made = await place.people.tokens.create("bob", "ci", by=By("bob"))
    await sign_in(browser)
    assert (await post(browser, "/account/tokens/revoke", "/account", id=made.kept.id)).status_code == 404
    assert len(place.people.tokens.of("bob")) == 1


async def test_a_token_without_an_end_is_good_for_ever_and_not_revoked(
    place: Place, browser: httpx.AsyncClient
) -> None:
    await sign_in(browser)
    made = await post(browser, "/account/tokens", "/account", name="ci", pod="", level="owner", lasting="")
    assert "until you revoke it" in made.text
    assert "give it to Postgres and graph pods as your password" in made.text
    page = (await browser.get("/account")).text
    assert '<td data-of="Until">never</td>' in page
    assert ">revoked<" not in page


async def test_names_are_escaped(place: Place, browser: httpx.AsyncClient) -> None:
    await sign_in(browser)
    evil = '"><img src=x onerror=alert(1)>'
    fields = {"name": evil, "pod": "", "level": "read", "lasting": "1"}
    made = await post(browser, "/account/tokens", "/account", **fields)
    account = await browser.get("/account", headers={"user-agent": evil})
    for page in (made, account):
        assert "<img" not in page.text
    async with place.browser() as other:
        other.headers["user-agent"] = evil
        await sign_in(other)
        assert "<img" not in (await other.get("/account")).text


async def test_every_answer_is_closed_up(place: Place, browser: httpx.AsyncClient) -> None:
    await place.pod("app")
    answers = [
        await browser.get(path) for path in ("/", "/sign-in", "/sign-out", "/account", "/link/x", "/none", "/a/b")
    ]
    await sign_in(browser)
    answers += [await browser.get(path) for path in ("/", "/sign-in", "/sign-out", "/account", "/link/x", "/none")]
    answers += [
        await browser.post("/sign-in", headers=OURS),
        await browser.put("/"),
        await browser.request("TRACE", "/"),
    ]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none';")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert {name: answer.headers.get(name) for name in EVERYWHERE} == EVERYWHERE
        assert "strict-transport-security" not in answer.headers, "everybody has a podgate.localhost of their own"
        assert "<script" not in answer.text
        assert answer.status_code < 500


EVERYWHERE = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


async def test_a_get_of_the_token_page_is_nothing(browser: httpx.AsyncClient) -> None:
    await sign_in(browser)
    assert token_of(await browser.get("/account"))
    assert (await browser.get("/account/tokens")).status_code == 405
