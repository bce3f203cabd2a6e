"""One host name and port for all that a graph database says: its own site in a browser, its API to curl, and Bolt to
drivers, in a program and in that very site.
"""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.running import Pod, Podgate, needs_resolver
from tests.scenarios.api import call, create, delete, in_force, share
from tests.scenarios.browser import chromium, needs_chromium, person, picture
from tests.scenarios.clients.neo4jdrivers import InPage, missing
from tests.scenarios.graphs import DATABASE, into, user_of
from tests.scenarios.people import Curl, add, console, sign_in

pytestmark = [needs_resolver, needs_chromium]
RUNNING = "ArcadeDB Server is running"  # its wheel comes without Studio
# What a page of the server's own asks, in words that no browser asks anybody's leave for.
ASKS = """async ([way, command]) => {
    const body = JSON.stringify({language: "cypher", command})
    const answer = await fetch(`/api/v1/${way}/graph`, {method: "POST", body})
    return [answer.status, await answer.text()]
}"""


@pytest.mark.skipif(missing("chromium") != "", reason=f"needs {missing('chromium')}")
def test_site_api_and_bolt_have_one_address(
    podgate: Podgate, graph: Pod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(podgate.ca))
    way = into(graph, user_of(graph, "owner"))
    origin = f"https://{way.host}:{way.port}"
    with way.driver("neo4j+s") as driver:
        driver.execute_query("CREATE (:Shown {by: 'Bolt'})", database_=DATABASE)

    login = ("--user", f"{way.auth.principal}:{way.auth.credentials}")
    question = json.dumps({"language": "cypher", "command": "MATCH (s:Shown) RETURN s.by AS by"})
    status, body = Curl(podgate, tmp_path / "jar").ask(f"{origin}/api/v1/query/{DATABASE}", *login, "--json", question)
    assert (status, json.loads(body)["result"]) == (200, [{"by": "Bolt"}])

    # The site lets no scripts of others in, such as a driver's that a test puts there.
    with chromium(podgate.ca) as browser, browser.new_context(bypass_csp=True) as somebody:
        page = somebody.new_page()
        page.goto(origin)
        expect(page.get_by_role("heading")).to_have_text(RUNNING)
        picture(page, "arcadedb")
        program = InPage(page)
        name = program.open("own page", "neo4j+s", way)
        assert program.do(name, "ask", query="MATCH (s:Shown) RETURN s.by") == "Bolt"

    with way.driver("bolt+s") as driver:
        driver.execute_query("MATCH (s:Shown) DELETE s", database_=DATABASE)


def test_people_sign_in_at_a_graph_that_is_not_open_to_all(podgate: Podgate) -> None:
    graph = create(podgate, "library", "graph", "read")
    reader, stranger = add(podgate, "library-reader"), add(podgate, "library-stranger")
    share(podgate, "library", reader.name, "read")
    in_force(podgate, "library")
    endpoint = graph["endpoints"][0]
    origin = f"https://{endpoint['host']}:{endpoint['port']}"
    with chromium(podgate.ca) as browser:
        with person(browser) as somebody:
            page = somebody.new_page()
            page.goto(f"{origin}/?a=b")
            expect(page).to_have_url(re.compile(re.escape(f"{console(podgate)}/sign-in?")))
            picture(page, "graph-sign-in")
            sign_in(page, reader)
            expect(page).to_have_url(f"{origin}/?a=b")
            expect(page.get_by_role("heading")).to_have_text(RUNNING)
            picture(page, "graph-signed-in")
            _asks_as_a_reader(page)
            _signs_out(page, origin)
        with person(browser) as somebody:
            page = somebody.new_page()
            page.goto(origin)
            sign_in(page, stranger)
            expect(page.get_by_role("heading").first).to_have_text("You may not open library")
            expect(page.get_by_role("main")).to_contain_text("asks for level read, and you hold none")
            picture(page, "graph-not-allowed")
        link = call(podgate, "POST", "pods/library/links", level="read")
        with person(browser) as somebody:
            page = somebody.new_page()
            page.goto(link["url"])
            page.get_by_role("button", name="Open").click()
            expect(page.get_by_role("heading")).to_have_text(RUNNING)
            _asks_as_a_reader(page)
    for name in (reader.name, stranger.name):
        call(podgate, "DELETE", f"users/{name}")
    delete(podgate, "library")


def _asks_as_a_reader(page: Page) -> None:
    """The gateway logs in by the login of one's level: the database asks for no password, and lets nobody write."""
    status, text = page.evaluate(ASKS, ["query", "RETURN 40 + 2 AS answer"])
    assert (status, json.loads(text)["result"]) == (200, [{"answer": 42}])
    status, text = page.evaluate(ASKS, ["command", "CREATE (:Book)"])
    assert (status, "not allowed" in text) == (403, True), text


def _signs_out(page: Page, origin: str) -> None:
    page.goto(f"{origin}/.podgate/sign-out")
    page.get_by_role("button", name="Sign out everywhere").click()
    expect(page.get_by_role("heading")).to_have_text("You are signed out")
    page.goto(origin)
    expect(page.get_by_role("heading")).to_have_text("Sign in")
