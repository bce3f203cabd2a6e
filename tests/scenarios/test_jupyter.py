"""A real JupyterLab in Chromium, through the gateway: a notebook is made, and a cell of it is run."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.running import Pod, Podgate
from tests.scenarios.api import create, everywhere, share
from tests.scenarios.browser import chromium, needs_chromium, person, picture
from tests.scenarios.people import Curl, Person, add, make_token, sign_in

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def browser(podgate: Podgate) -> Iterator[Browser]:
    with chromium(podgate.ca) as running:
        yield running


@pytest.fixture(scope="module")
def lab(podgate: Podgate) -> Pod:
    return create(podgate, "lab", "jupyter", "read")


@pytest.fixture(scope="module")
def frida(podgate: Podgate, lab: Pod) -> Person:
    made = add(podgate, "frida")
    share(podgate, "lab", made.name, "write")
    return made


def origin(podgate: Podgate) -> str:
    return f"https://lab.pods.localhost:{podgate.port}"


def open_notebook(page: Page) -> None:
    """Make a notebook by the launcher and wait until its kernel is there."""
    page.locator(".jp-LauncherCard[data-category=Notebook]").first.click()
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible()


def run_cell(page: Page, number: int, code: str, output: str) -> None:
    """Type into a cell, run it, and see what it gives."""
    cell = page.locator(".jp-Notebook .jp-CodeCell").nth(number)
    editor = cell.locator(".cm-content")
    editor.click()
    editor.fill(code)
    expect(editor).to_have_text(code)
    page.keyboard.press("Shift+Enter")
    expect(cell.locator(".jp-OutputArea-output")).to_have_text(output)


def test_a_cell_is_run(podgate: Podgate, browser: Browser, frida: Person) -> None:
    with person(browser) as somebody:
        page = somebody.new_page()
        page.goto(f"{origin(podgate)}/lab")
        sign_in(page, frida)
        open_notebook(page)
        run_cell(page, 0, "6*7", "42")
        run_cell(page, 1, "import os; [name for name in os.environ if 'TOKEN' in name or 'SECRET' in name]", "[]")
        picture(page, "jupyter")


def test_a_public_endpoint_gives_strangers_no_shell(podgate: Podgate, browser: Browser, lab: Pod) -> None:
    podgate.run("pod", "access", "lab", "public")
    everywhere(podgate)
    try:
        with person(browser) as stranger:
            page = stranger.new_page()
            page.goto(f"{origin(podgate)}/lab")
            expect(page.locator("body")).to_contain_text("who have a level on the pod")
            picture(page, "jupyter-public")
    finally:
        podgate.run("pod", "access", "lab", "read")


def test_who_holds_read_sees_and_runs_nothing(podgate: Podgate, lab: Pod, tmp_path: Path) -> None:
    greta = add(podgate, "greta")
    share(podgate, "lab", greta.name, "read")
    bearer = ("--header", f"Authorization: Bearer {make_token(podgate, 'greta', greta.name)}")
    curl = Curl(podgate, tmp_path / "jar")
    status, body = curl.ask(f"{origin(podgate)}/api/contents", *bearer)
    assert (status, json.loads(body)["type"]) == (200, "directory")
    forged = ("--header", "X-Podgate-Level: owner", "--header", "X_Podgate_Level: owner")
    assert curl.open(f"{origin(podgate)}/lab", *bearer)[0] == 200
    token = next(line.split("\t")[-1] for line in (tmp_path / "jar").read_text().splitlines() if "\t_xsrf\t" in line)
    change = ("--json", '{"name": "python3"}', "--header", f"X-XSRFToken: {token}")
    assert curl.open(f"{origin(podgate)}/api/kernels", *bearer, *forged, *change)[0] == 403
