"""Share links: previews cost nothing, a use lets one browser in at one host."""

import logging
from urllib.parse import urlsplit

import httpx
import pytest

from controller.model import Pod
from router.access import AccessLevel
from tests.controller.console.conftest import Place, post, sign_in, wanted

COOKIE = "__Host-podgate-link"


def uses_left(place: Place) -> int | None:
    pod = place.control.pods.named("app")
    return pod.links[0].uses_left


async def opened(browser: httpx.AsyncClient, secret: str, **fields: str) -> httpx.Response:
    return await post(browser, f"/link/{secret}", f"/link/{secret}", **fields)


async def made(place: Place, **wanted_of_it: object) -> tuple[Pod, str]:
    pod = await place.pod("app")
    return pod, await place.link(pod, **wanted_of_it)


async def test_the_whole_way(place: Place, browser: httpx.AsyncClient) -> None:
    pod, secret = await made(place, uses=1)
    await browser.get(f"/link/{secret}")
    for page in [await browser.get(f"/link/{secret}") for _preview in range(2)]:
        assert (page.status_code, "Somebody shared app with you" in page.text) == (200, True)
        assert "app.pods.localhost" in page.text
        assert "form-action 'self' https://app.pods.localhost:8443;" in page.headers["content-security-policy"]
    assert uses_left(place) == 1
    answer = await opened(browser, secret)
    assert answer.status_code == 303
    assert answer.headers["location"] == "https://app.pods.localhost:8443/.podgate/begin?path=/&via=link"
    assert uses_left(place) == 0
    origin, ticket = place.ticket(await browser.get("/sign-in", params=wanted(via="link")))
    assert origin == "https://app.pods.localhost:8443"
    assert (ticket.user, ticket.link) == ("", place.control.pods.named("app").links[0].id)
    assert ticket.session_expires <= place.clock.now() + 3600.0
    assert COOKIE not in browser.cookies
    again = await browser.get("/sign-in", params=wanted(via="link"))
    assert "<h1>Sign in</h1>" in again.text
    assert (await browser.get(f"/link/{secret}")).status_code == 404
    assert pod.key


async def test_a_session_of_it_is_twelve_hours_at_the_most(place: Place, browser: httpx.AsyncClient) -> None:
    _, secret = await made(place, expires_in=90 * 24 * 3600.0)
    await opened(browser, secret)
    _, ticket = place.ticket(await browser.get("/sign-in", params=wanted(via="link")))
    assert ticket.session_expires == pytest.approx(place.clock.now() + 12 * 3600.0, abs=60.0)


async def test_a_password_is_asked_for_and_costs_no_use(place: Place, browser: httpx.AsyncClient) -> None:
    _, secret = await made(place, password="open sesame", uses=1)
    assert 'type="password"' in (await browser.get(f"/link/{secret}")).text
    wrong = await opened(browser, secret, password="guess")
    assert (wrong.status_code, uses_left(place)) == (403, 1)
    assert "The password is not right." in wrong.text
    assert (await opened(browser, secret, password="open sesame")).status_code == 303


async def test_guessing_its_password_is_slowed_down(place: Place, browser: httpx.AsyncClient) -> None:
    _, secret = await made(place, password="open sesame")
    for _try in range(10):
        await opened(browser, secret, password="guess")
    answer = await opened(browser, secret, password="open sesame")
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1


async def test_somebody_who_is_signed_in_chooses_it(place: Place, browser: httpx.AsyncClient) -> None:
    await place.pod("app", owner="bob")
    secret = await place.link(place.control.pods.named("app"))
    await sign_in(browser)
    assert "You are signed in as alice" in (await browser.get(f"/link/{secret}")).text
    assert (await browser.get("/sign-in", params=wanted())).status_code == 403
    await opened(browser, secret)
    _, ticket = place.ticket(await browser.get("/sign-in", params=wanted(via="link")))
    assert (ticket.user, bool(ticket.link)) == ("", True)


async def test_it_opens_one_host_in_one_browser_for_five_minutes(place: Place, browser: httpx.AsyncClient) -> None:
    _, secret = await made(place)
    await place.pod("other", owner="bob")
    await opened(browser, secret)
    other = await browser.get("/sign-in", params=wanted("other.pods.localhost", via="link"))
    assert "<h1>Sign in</h1>" in other.text
    async with place.browser() as stranger:
        assert "<h1>Sign in</h1>" in (await stranger.get("/sign-in", params=wanted(via="link"))).text
    place.clock.ahead += 301.0
    assert "<h1>Sign in</h1>" in (await browser.get("/sign-in", params=wanted(via="link"))).text


async def test_one_that_was_withdrawn_meanwhile_opens_nothing(place: Place, browser: httpx.AsyncClient) -> None:
    from controller.identity import By

    pod, secret = await made(place)
    await opened(browser, secret)
    id_ = place.control.pods.named("app").links[0].id
    await place.people.sharing.remove_link(pod.key, id_, held=lambda _pod: AccessLevel.OWNER, by=By("alice"))
    answer = await browser.get("/sign-in", params=wanted(via="link"))
    assert (answer.status_code, "location" in answer.headers) == (403, False)
    assert (await browser.get(f"/link/{secret}")).status_code == 404


async def test_one_that_is_over_opens_nothing(place: Place, browser: httpx.AsyncClient) -> None:
    _, secret = await made(place)
    page = await browser.get(f"/link/{secret}")
    place.clock.ahead += 3600.0
    assert (await browser.get(f"/link/{secret}")).status_code == 404
    assert (await post(browser, f"/link/{secret}", page)).status_code == 404


@pytest.mark.parametrize("secret", ["x", "pgl_x", "x" * 5000, "%2e%2e", "%00", "%ff", "pgl_%22%3E%3Cscript%3E"])
async def test_there_is_no_other(place: Place, browser: httpx.AsyncClient, secret: str) -> None:
    await made(place)
    answer = await browser.get(f"/link/{secret}")
    assert answer.status_code == 404
    assert "script>" not in answer.text


async def test_its_secret_is_in_no_log(
    place: Place, browser: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, secret = await made(place)

    def broken(_secret: str) -> None:
        raise ZeroDivisionError

    caplog.set_level(logging.DEBUG)
    await opened(browser, secret)
    monkeypatch.setattr(place.people.sharing, "peek", broken)
    answer = await browser.get(f"/link/{secret}")
    assert answer.status_code == 500
    ours = [record for record in caplog.records if not record.name.startswith("httpx")]
    assert "unexpected failure" in ours[-1].getMessage()
    assert not any(secret in record.getMessage() for record in ours)
    assert urlsplit(str(answer.url)).path.endswith(secret)


async def test_a_pod_without_a_page_has_no_link(place: Place, browser: httpx.AsyncClient) -> None:
    pod = await place.pod("app")
    secret = await place.link(pod)
    place.control.feed.put(pod.key, ())
    assert (await browser.get(f"/link/{secret}")).status_code == 404
