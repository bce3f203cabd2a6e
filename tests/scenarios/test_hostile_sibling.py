"""A hostile pod in a signed-in person's browser tries all that a page can against a sibling, the sign-in and the API.

What it tries is in `served/attack.js`. The sibling must see no request as the person but for followed links, the page
must learn nothing, and the person must be at the end who they were: not signed out, and nobody else.
"""

import json
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.running import Podgate
from tests.scenarios.api import delete, share
from tests.scenarios.apps import App, app
from tests.scenarios.browser import chromium, needs_chromium, person, picture
from tests.scenarios.people import Person, add, console, make_token, sign_in
from tests.scenarios.replicas import eventually

pytestmark = needs_chromium
FOLLOWED_LINKS = {"popup", "popup-redirected", "popup-other-session"}
IS_ITS_OWN = {"toss-by-header", "toss-host", "toss-wide"}  # a page may read its own pod, and set cookies for the domain


@pytest.fixture(scope="module")
def browser(podgate: Podgate) -> Iterator[Browser]:
    with chromium(podgate.ca) as running:
        yield running


@pytest.fixture(scope="module")
def dora(podgate: Podgate) -> Person:
    return add(podgate, "dora")


@pytest.fixture(scope="module")
def victim(podgate: Podgate, dora: Person) -> App:
    made = app(podgate, "victim", "read")
    share(podgate, "victim", dora.name, "manage")
    return made


@pytest.fixture(scope="module")
def hostile(podgate: Podgate) -> App:
    return app(podgate, "hostile", "public")


@pytest.fixture(scope="module")
def mallory(podgate: Podgate, victim: App) -> str:
    """A token of somebody who may use the victim, too, and would like others to do so as them."""
    add(podgate, "mallory")
    share(podgate, victim.name, "mallory", "read")
    return make_token(podgate, "mallory", "mallory")


@pytest.fixture
def signed_in(browser: Browser, dora: Person, victim: App) -> Iterator[BrowserContext]:
    """Give a browser in which dora uses the victim."""
    with person(browser) as somebody:
        page = somebody.new_page()
        page.goto(victim.origin)
        sign_in(page, dora)
        expect(page.locator("#socket")).to_have_text("hello")
        page.close()
        victim.forget()
        yield somebody


def attack(context: BrowserContext, podgate: Podgate, hostile: App, victim: App, token: str) -> dict[str, str]:
    """Open the hostile page; give what it says of each attempt."""
    api = f"https://api.pods.localhost:{podgate.port}"
    told = {"victim": victim.origin, "sign_in": console(podgate), "api": api, "as": token.removeprefix("pgt_")}
    page = context.new_page()
    page.goto(f"{hostile.origin}/attack.html?{urlencode(told)}")
    expect(page).to_have_title("done")
    picture(page, "attack")
    found: dict[str, str] = json.loads(page.inner_text("#result"))
    for frame in page.frames[1:]:
        assert "Password" not in frame.content(), f"the sign-in is framed: {frame.url}"
        assert '"dora"' not in frame.content(), f"the victim is framed as dora: {frame.url}"
    return found


def sessions(context: BrowserContext, *hosts: str) -> dict[tuple[str, str], str]:
    """Give our cookies a browser has for some hosts."""
    kept = [cookie for cookie in context.cookies() if "podgate" in cookie["name"] and cookie["domain"] in hosts]
    return {(cookie["domain"], cookie["name"]): cookie["value"] for cookie in kept}


def seen_attempts(app: App) -> dict[str, list[str]]:
    """Tell which attempts a pod saw, and as whom."""
    requests = ((parse_qs(urlsplit(request.path).query), request) for request in app.received())
    return {query["attempt"][0]: request.all("x-podgate-user") for query, request in requests if "attempt" in query}


def test_nothing_works(
    podgate: Podgate, signed_in: BrowserContext, hostile: App, victim: App, dora: Person, mallory: str
) -> None:
    before = sessions(signed_in, victim.host, "podgate.localhost")
    results = attack(signed_in, podgate, hostile, victim, mallory)

    assert sessions(signed_in, victim.host, "podgate.localhost") == before, "sessions were ended or exchanged"
    learnt = {name: told for name, told in results.items() if told.startswith(("read", "set"))}
    assert {name: told for name, told in learnt.items() if name not in IS_ITS_OWN} == {}
    assert results["toss-host-wide"] == "not set"
    seen = seen_attempts(victim)
    assert seen.keys() <= FOLLOWED_LINKS, "the victim saw requests of the hostile page"
    assert all(who == [dora.name] for who in seen.values())
    assert all(request.method == "GET" for request in victim.received())

    for page in signed_in.pages:
        page.close()
    page = signed_in.new_page()
    page.goto(victim.origin)
    expect(page.locator("#socket")).to_have_text("hello")
    page.goto(console(podgate))
    expect(page.get_by_text(f"Signed in as {dora.name}")).to_be_visible()
    tokens = json.loads(podgate.run("token", "list", "--json"))["tokens"]
    assert [token["name"] for token in tokens if token["user"] == dora.name] == []


def test_the_attacks_would_work_against_a_public_pod(
    podgate: Podgate, browser: Browser, hostile: App, mallory: str
) -> None:
    """Else the test above would show nothing."""
    open_pod = app(podgate, "open-pod", "public")
    with person(browser) as somebody:
        results = attack(somebody, podgate, hostile, open_pod, mallory)
    for name in ("image", "script", "style", "socket"):
        assert results[name].startswith("read"), name
    blind = {"fetch", "fetch-post-text", "beacon", "form", "form-multipart", "frame", "image-redirected"}
    eventually(lambda: blind <= seen_attempts(open_pod).keys())  # nobody is told when they arrive
    delete(podgate, "open-pod")


def test_a_sibling_cannot_sign_people_out_by_clearing_its_own_site(
    signed_in: BrowserContext, hostile: App, victim: App
) -> None:
    page = signed_in.new_page()
    page.goto(f"{hostile.origin}/clear")
    page.goto(victim.origin)
    expect(page.locator("#socket")).to_have_text("hello")


def test_a_tossed_cookie_changes_nothing(signed_in: BrowserContext, hostile: App, victim: App, dora: Person) -> None:
    page = signed_in.new_page()
    page.goto(f"{hostile.origin}/cookies")
    page.goto(f"{victim.origin}/headers")
    received = {name.lower(): value for name, value in json.loads(page.inner_text("body"))}
    assert received["x-podgate-user"] == dora.name
    assert "__Host-podgate" not in received.get("cookie", "")


def test_a_followed_link_tells_the_next_pod_nothing(
    podgate: Podgate, signed_in: BrowserContext, hostile: App, victim: App, mallory: str
) -> None:
    """What a browser sends on to a sibling it is led to: no token, no cookie, no path of where it was."""
    hostile.forget()
    page = signed_in.new_page()
    page.goto(f"{victim.origin}/secret-path")
    page.evaluate("(url) => { location.href = url }", f"{hostile.origin}/headers")
    expect(page).to_have_url(f"{hostile.origin}/headers")
    with person(signed_in.browser or pytest.fail("no browser")) as other:
        page = other.new_page()
        page.goto(f"{victim.origin}/redirect?to={hostile.origin}/headers&token={mallory}")
        expect(page).to_have_url(f"{hostile.origin}/headers")
    for request in hostile.received():
        said = json.dumps(request.headers)
        assert not any(secret in said for secret in ("secret-path", mallory, "__Host-podgate")), request
