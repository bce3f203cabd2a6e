"""One host name and port for all that a graph database says: its own site in a browser, its API to curl, and Bolt to
drivers, in a program and in that very site.
"""

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.running import Pod, Podgate, needs_resolver
from tests.scenarios.browser import chromium, needs_chromium, picture
from tests.scenarios.clients.neo4jdrivers import InPage, missing
from tests.scenarios.graphs import DATABASE, into, user_of
from tests.scenarios.people import Curl

pytestmark = [
    needs_resolver,
    needs_chromium,
    pytest.mark.skipif(missing("chromium") != "", reason=f"needs {missing('chromium')}"),
]


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
        expect(page.get_by_role("heading")).to_have_text("ArcadeDB Server is running")  # its wheel comes without Studio
        picture(page, "arcadedb")
        program = InPage(page)
        name = program.open("own page", "neo4j+s", way)
        assert program.do(name, "ask", query="MATCH (s:Shown) RETURN s.by") == "Bolt"

    with way.driver("bolt+s") as driver:
        driver.execute_query("MATCH (s:Shown) DELETE s", database_=DATABASE)
