"""A person with a browser: signs in, is led back, uses the app, signs out, and is somebody to it only in between."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.running import Podgate
from tests.scenarios.api import delete, everywhere, share
from tests.scenarios.apps import App, app
from tests.scenarios.browser import chromium, needs_chromium, person, picture
from tests.scenarios.people import Curl, Person, add, console, make_token, sign_in

pytestmark = needs_chromium
COOKIE = "__Host-podgate"


@pytest.fixture(scope="module")
def browser(podgate: Podgate) -> Iterator[Browser]:
    with chromium(podgate.ca) as running:
        yield running


@pytest.fixture(scope="module")
def alice(podgate: Podgate) -> Person:
    return add(podgate, "alice")


@pytest.fixture(scope="module")
def notes(podgate: Podgate, alice: Person) -> App:
    """A pod that asks for `read`, which alice holds."""
    made = app(podgate, "notes", "read")
    podgate.run("share", "notes", "--with", alice.name, "--level", "read")
    everywhere(podgate)
    return made


@pytest.fixture
def curl(podgate: Podgate, tmp_path: Path) -> Curl:
    return Curl(podgate, tmp_path / "jar")


def session_of(page: Page, origin: str) -> str:
    """Give the session cookie a browser has for a host, which scripts and other hosts have not."""
    (cookie,) = [cookie for cookie in page.context.cookies(origin) if cookie["name"] == COOKIE]
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Lax")
    assert not cookie["domain"].startswith(".")
    assert COOKIE not in page.evaluate("document.cookie")
    return cookie["value"]


def shown_headers(page: Page) -> dict[str, str]:
    """Read what the app's page shows of the fields its pod received."""
    expect(page.locator("#headers")).to_contain_text("Host")
    return {name.lower(): value for name, value in json.loads(page.inner_text("#headers"))}


def test_the_way_in_and_out(podgate: Podgate, browser: Browser, alice: Person, notes: App, curl: Curl) -> None:
    notes.forget()
    with person(browser) as somebody:
        page = somebody.new_page()
        page.goto(f"{notes.origin}/?a=b#c")
        expect(page).to_have_url(re.compile(re.escape(f"{console(podgate)}/sign-in?")))
        picture(page, "sign-in")
        assert notes.received() == []

        sign_in(page, alice)
        expect(page).to_have_url(re.compile(re.escape(f"{notes.origin}/?a=b")))
        expect(page.locator("#socket")).to_have_text("hello")
        expect(page.locator("#events")).to_have_text("123")
        headers = shown_headers(page)
        assert (headers["x-podgate-user"], headers["x-podgate-level"]) == ("alice", "read")
        picture(page, "app")

        session = session_of(page, notes.origin)
        assert not {"cookie", "authorization"} & headers.keys()
        for request in notes.received():
            assert not any(COOKIE in value or session in value for _name, value in request.headers), request
        replay = ("--header", f"Cookie: {COOKIE}={session}")
        assert curl.ask(f"{notes.origin}/headers", *replay)[0] == 200

        page.goto(f"{notes.origin}/.podgate/sign-out")
        picture(page, "sign-out")
        page.get_by_role("button", name="Sign out everywhere").click()
        expect(page.get_by_role("heading")).to_have_text("You are signed out")
        picture(page, "signed-out")
        page.goto(notes.origin)
        expect(page.get_by_role("heading")).to_have_text("Sign in")
        assert curl.ask(f"{notes.origin}/headers", *replay)[0] == 401


def test_a_wrong_password_leads_nowhere(browser: Browser, alice: Person, notes: App) -> None:
    with person(browser) as somebody:
        page = somebody.new_page()
        page.goto(notes.origin)
        sign_in(page, Person(alice.name, "a guess"))
        expect(page.get_by_role("alert")).to_be_visible()
        picture(page, "wrong-password")
        page.goto(notes.origin)
        expect(page.get_by_role("heading")).to_have_text("Sign in")


def test_who_holds_no_level_is_told_whom_to_ask(podgate: Podgate, browser: Browser, notes: App) -> None:
    bert = add(podgate, "bert")
    notes.forget()
    with person(browser, color_scheme="dark") as somebody:
        page = somebody.new_page()
        page.goto(notes.origin)
        picture(page, "sign-in-dark")
        sign_in(page, bert)
        expect(page.get_by_role("heading").first).to_have_text("You may not open notes")
        picture(page, "not-allowed-dark")
    assert notes.received() == []


def test_a_token_in_the_address_becomes_a_session(
    podgate: Podgate, browser: Browser, alice: Person, notes: App, curl: Curl
) -> None:
    made = json.loads(podgate.run("token", "create", "address", "--user", alice.name, "--json"))
    token = made["token"]
    with person(browser) as somebody:
        page = somebody.new_page()
        page.goto(f"{notes.origin}/?a=b&token={token}&c=d")
        expect(page).to_have_url(f"{notes.origin}/?a=b&c=d")
        assert shown_headers(page)["x-podgate-user"] == "alice"
        session = session_of(page, notes.origin)
    assert not any(token in str(request) for request in notes.received())
    podgate.run("token", "revoke", made["id"])
    everywhere(podgate)
    assert curl.ask(f"{notes.origin}/headers", "--header", f"Cookie: {COOKIE}={session}")[0] == 401


def test_a_link_lets_in_without_an_account(podgate: Podgate, browser: Browser, notes: App) -> None:
    made = json.loads(podgate.run("share", "notes", "--link", "--level", "read", "--json"))
    everywhere(podgate)
    with person(browser) as stranger:
        page = stranger.new_page()
        page.goto(made["url"])
        picture(page, "link")
        page.get_by_role("button", name="Open").click()
        expect(page.locator("#socket")).to_have_text("hello")
        headers = shown_headers(page)
        assert headers["x-podgate-level"] == "read"
        assert "x-podgate-user" not in headers
        podgate.run("unshare", "notes", "--link", made["id"])
        page.goto(f"{notes.origin}/headers")
        assert "x-podgate-level" not in page.content().lower()


def test_an_open_socket_ends_when_its_user_is_shut_out(podgate: Podgate, browser: Browser, notes: App) -> None:
    carol = add(podgate, "carol")
    share(podgate, "notes", carol.name, "read")
    with person(browser) as somebody:
        page = somebody.new_page()
        page.goto(notes.origin)
        sign_in(page, carol)
        expect(page.locator("#socket")).to_have_text("hello")
        page.evaluate("socket.onclose = () => { document.title = 'closed' }")
        podgate.run("unshare", "notes", "--with", carol.name)
        expect(page).to_have_title("closed")  # nobody looks again for a minute
        assert page.evaluate("fetch('/headers').then((answer) => answer.status)") == 403


def test_a_session_is_good_for_its_own_host_only(
    podgate: Podgate, browser: Browser, alice: Person, notes: App, curl: Curl
) -> None:
    other = app(podgate, "other-notes", "read")
    share(podgate, "other-notes", alice.name, "read")
    with person(browser) as somebody:
        page = somebody.new_page()
        page.goto(notes.origin)
        sign_in(page, alice)
        expect(page.locator("#socket")).to_have_text("hello")
        session = session_of(page, notes.origin)
        replay = ("--header", f"Cookie: {COOKIE}={session}")
        assert curl.ask(f"{other.origin}/headers", *replay)[0] == 401
        assert curl.ask(f"https://api.pods.localhost:{podgate.port}/v1/me", *replay)[0] == 401
        assert alice.name not in curl.open(console(podgate), *replay)[1]
        renamed = ("--header", f"Cookie: __Host-podgate-console={session}")
        assert alice.name not in curl.open(console(podgate), *renamed)[1]
        page.goto(other.origin)  # signed in already: there and back without a word
        expect(page.locator("#socket")).to_have_text("hello")
        assert session_of(page, other.origin) != session
    delete(podgate, "other-notes")


def test_a_pod_is_told_who_is_calling_by_the_gateway_alone(
    podgate: Podgate, alice: Person, notes: App, curl: Curl
) -> None:
    token = make_token(podgate, "headers", alice.name)
    forged = [
        "X-Podgate-User: mallory", "X-Podgate-Level: owner", "X_Podgate_User: mallory", "x-podgate_level: owner",
        "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: http", "Forwarded: for=192.0.2.1", "X-Real-IP: 192.0.2.1",
    ]  # fmt: skip
    fields = [
        part for line in (*forged, f"Authorization: Bearer {token}", "Cookie: mine=1") for part in ("--header", line)
    ]
    status, body = curl.ask(f"{notes.origin}/headers", *fields)
    assert status == 200
    assert "mallory" not in body
    assert "192.0.2.1" not in body
    assert token not in body
    received = {name.lower(): value for name, value in json.loads(body)}
    assert (received["x-podgate-user"], received["x-podgate-level"], received["cookie"]) == ("alice", "read", "mine=1")
    assert (received["x-forwarded-for"], received["x-forwarded-proto"]) == ("127.0.0.1", "https")

    status, answer = curl.ask(f"{notes.origin}/cookies", "--include", "--header", f"Authorization: Bearer {token}")
    assert status == 200
    assert "own=1" in answer
    assert COOKIE not in answer


def test_a_pods_own_bearer_token_reaches_it(podgate: Podgate, curl: Curl) -> None:
    """An app with accounts of its own, behind a public endpoint, goes on working."""
    public = app(podgate, "own-accounts", "public")
    status, body = curl.ask(f"{public.origin}/headers", "--header", "Authorization: Bearer the-apps-own")
    assert (status, ["Authorization", "Bearer the-apps-own"] in json.loads(body)) == (200, True)
    delete(podgate, "own-accounts")


def test_the_administrators_token_reaches_no_pod(podgate: Podgate, curl: Curl) -> None:
    """It may do everything: sent to the wrong place, it must not be handed on."""
    token = (podgate.home / "admin.token").read_text().strip()
    public = app(podgate, "curious", "public")
    curl.ask(f"{public.origin}/headers", "--header", f"Authorization: Bearer {token}")
    assert not any(token in str(request) for request in public.received())
    delete(podgate, "curious")
