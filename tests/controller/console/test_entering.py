"""From a signed-in browser to a pod, and nowhere else."""

import re
from dataclasses import replace
from itertools import product
from urllib.parse import urlsplit

import httpx
import pytest

from controller.console.destination import LONGEST_PATH
from router.access import AccessLevel
from router.model import Protocol, Route, RouteState, UnixAddress
from router.sealing import LONGEST_SEALED
from tests.controller.console.conftest import PASSWORD, STATE, Place, post, sign_in, wanted


async def test_the_whole_way(place: Place, browser: httpx.AsyncClient) -> None:
    await place.pod("app")
    page = await browser.get("/sign-in", params=wanted(path="/a?b=c"))
    assert (page.status_code, "To open <strong>app.pods.localhost</strong>" in page.text) == (200, True)
    assert "form-action 'self' https://app.pods.localhost:8443;" in page.headers["content-security-policy"]
    origin, ticket = place.ticket(await sign_in(browser, **wanted(path="/a?b=c")))
    [known] = place.people.signins.of("alice")
    assert origin == "https://app.pods.localhost:8443"
    assert (ticket.host, ticket.path, ticket.state) == ("app.pods.localhost", "/a?b=c", STATE)
    assert (ticket.user, ticket.link, ticket.id) == ("alice", "", known.id)
    assert ticket.session_expires == known.expires
    assert ticket.expires - ticket.issued == 30.0


async def test_who_is_signed_in_is_led_on_at_once(place: Place, browser: httpx.AsyncClient) -> None:
    await place.pod("app")
    await sign_in(browser)
    origin, ticket = place.ticket(await browser.get("/sign-in", params=wanted()))
    assert (origin, ticket.user) == ("https://app.pods.localhost:8443", "alice")


async def test_a_graph_pod_is_entered_for_what_its_server_says_over_http(
    place: Place, browser: httpx.AsyncClient
) -> None:
    pod = await place.pod("films", template="graph")
    host = "films.pods.localhost"
    assert f"To open <strong>{host}</strong>" in (await browser.get("/sign-in", params=wanted(host))).text
    origin, ticket = place.ticket(await sign_in(browser, **wanted(host)))
    assert (origin, ticket.host, ticket.user) == (f"https://{host}:8443", host, "alice")
    assert f'<a href="https://{host}:8443/">{host}</a>' in (await browser.get("/")).text
    assert f"signed out of <strong>{host}</strong>" in (await browser.get("/sign-out", params={"host": host})).text

    [route] = place.control.feed.routes()
    place.control.feed.put(pod.key, (replace(route, state=RouteState.STOPPED, upstreams=(), http=()),))
    place.ticket(await browser.get("/sign-in", params=wanted(host)))  # the gateway tells what the matter is
    place.control.feed.put(pod.key, (replace(route, http=()),))  # Bolt alone
    answer = await browser.get("/sign-in", params=wanted(host))
    assert (answer.status_code, "location" in answer.headers) == (404, False)
    assert f"{host} <small>bolt</small>" in (await browser.get("/")).text


LEVELS = [AccessLevel.READ, AccessLevel.WRITE, AccessLevel.MANAGE, AccessLevel.OWNER]


@pytest.mark.parametrize("needed", LEVELS)
@pytest.mark.parametrize("held", [None, *LEVELS[:3]])
async def test_only_with_the_level(
    place: Place, browser: httpx.AsyncClient, needed: AccessLevel, held: AccessLevel | None
) -> None:
    await place.pod("app", owner="bob", access=needed, grants={"user:alice": held} if held else {})
    answer = await sign_in(browser, **wanted())
    if held is not None and held >= needed:
        assert place.ticket(answer)[1].user == "alice"
        return
    assert answer.status_code == 403
    assert "location" not in answer.headers
    assert f"podgate share app --with alice --level {needed}" in re.sub("<[^>]+>", "", answer.text)
    assert f"asks for level <strong>{needed}</strong>" in answer.text
    assert "Ask its owner, bob" in answer.text
    assert "Sign in as someone else" in answer.text


@pytest.mark.parametrize("grantee", ["group:lab", "everyone"])
async def test_grants_to_many(place: Place, browser: httpx.AsyncClient, grantee: str) -> None:
    await place.people.set_groups("alice", ["lab"])
    await place.pod("app", owner="bob", grants={grantee: AccessLevel.READ})
    assert place.ticket(await sign_in(browser, **wanted()))[1].user == "alice"


NOT_PODS = [
    "evil.example", "gone.pods.localhost", "podgate.localhost", "api.pods.localhost", "db.pods.localhost",
    "app.pods.localhost.evil.example", "pods.localhost", "xapp.pods.localhost", "app--x.pods.localhost",
]  # fmt: skip
NO_HOSTS = [
    "evil.example/", "app.pods.localhost@evil.example", "app.pods.localhost:1", "//evil.example", "https://evil.example",
    "app.pods.localhost%00.evil.example", "app.pods.localhost\r\nx", "",
]  # fmt: skip


async def _with_others(place: Place) -> None:
    await place.pod("app")
    await place.pod("db", template="db")
    ours = Route("api.pods.localhost", Protocol.HTTP, (UnixAddress("/s"),), AccessLevel.PUBLIC)
    place.control.feed.put("api", (ours,))


async def test_nobody_is_led_to_another_host(place: Place, browser: httpx.AsyncClient) -> None:
    await _with_others(place)
    early = await browser.get("/sign-in")
    for known in (False, True):
        for host in [*NOT_PODS, *NO_HOSTS]:
            answer = await browser.get("/sign-in", params=wanted(host))
            assert (answer.status_code in (400, 404), "location" in answer.headers) == (True, False), (known, host)
        if not known:
            await sign_in(browser)
    for host in (NOT_PODS[0], NO_HOSTS[0]):
        answer = await post(browser, "/sign-in", early, user="alice", password=PASSWORD, **wanted(host))
        assert (answer.status_code in (400, 404), "location" in answer.headers) == (True, False), host


async def test_nobody_is_led_to_another_place(place: Place, browser: httpx.AsyncClient) -> None:
    await place.pod("app")
    await sign_in(browser)
    for path in ["//evil.example", "/\\evil", "https://evil.example", "/a\nb", "a", "", "/\t/evil"]:
        answer = await browser.get("/sign-in", params=wanted(path=path))
        assert (answer.status_code, "location" in answer.headers) == (400, False), path


REDIRECTS = [
    "/sign-in",
    "/sign-out",
    "/link/x",
    "/",
    "/account",
    "/oidc/start",
    "/oidc/callback",
    "//evil.example",
    "/\\evil",
]


FIELDS = ["next", "url", "redirect_uri", "return", "host", "path", "continue"]


async def test_no_field_leads_away(place: Place, browser: httpx.AsyncClient) -> None:
    await place.pod("app")
    await sign_in(browser)
    for path, field, value in product(REDIRECTS, FIELDS, ["https://evil.example/", "//evil.example/"]):
        answer = await browser.get(path, params={field: value})
        assert urlsplit(answer.headers.get("location", "/")).netloc == "", (path, field)


async def test_the_metrics_endpoint_of_a_database_has_a_door_too(place: Place, browser: httpx.AsyncClient) -> None:
    await place.pod("db", template="db")
    origin, _ = place.ticket(await sign_in(browser, **wanted("db--metrics.pods.localhost")))
    assert origin == "https://db--metrics.pods.localhost:8443"


async def test_a_pod_that_is_gone_has_none(place: Place, browser: httpx.AsyncClient) -> None:
    await place.pod("app")
    place.control.feed.put("app-key", ())
    await sign_in(browser)
    assert (await browser.get("/sign-in", params=wanted())).status_code == 404


@pytest.mark.parametrize("letter", ["a", '"', "\\"])
async def test_no_path_makes_a_ticket_too_long(place: Place, browser: httpx.AsyncClient, letter: str) -> None:
    await place.pod("app")
    await sign_in(browser)
    path = "/a" + letter * (LONGEST_PATH - 2)
    answer = await browser.get("/sign-in", params=wanted(path=path))
    _, ticket = place.ticket(answer)
    assert ticket.path in (path, "/")
    assert len(answer.headers["location"].partition("ticket=")[2]) <= LONGEST_SEALED


async def test_a_refusal_is_in_the_audit_log(place: Place, browser: httpx.AsyncClient) -> None:
    from controller.store.journal import Question

    await place.pod("app", owner="bob")
    await sign_in(browser, **wanted())
    entries = await place.people.audit.ask(Question())
    assert ("alice", "open", "app-key", "192.0.2.1", "refused") in [
        (entry.who, entry.what, entry.pod, entry.address, str(entry.outcome)) for entry in entries
    ]
