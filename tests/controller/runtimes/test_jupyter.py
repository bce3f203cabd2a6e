"""The `jupyter` template with a real JupyterLab, asked over its socket the way a gateway asks it."""

from collections.abc import AsyncIterator

import httpx
import pytest
import trio

from tests.controller.runtimes.homes import Living, new_home, only_life
from tests.unixhttp import async_to_socket

HOST = "my-p1.pods.localhost"
NOTEBOOK = {"type": "notebook", "format": "json", "content": {"cells": [], "metadata": {}, "nbformat": 4}}
STRANGERS: list[dict[str, str]] = [{}, {"User": "mallory"}, {"Level": "public"}, {"User": "mallory", "Level": ""}]


@pytest.fixture
async def living() -> AsyncIterator[Living]:
    with new_home() as home:
        async with only_life(home) as living:
            yield living


def client(upstream: str, **identity: str) -> httpx.AsyncClient:
    """Give a browser whose requests carry what the gateway says of their sender."""
    transport = async_to_socket(upstream.removeprefix("unix:"))
    fields = {f"X-Podgate-{name}": value for name, value in identity.items()}
    return httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}", headers=fields)


async def change(browser: httpx.AsyncClient, method: str, path: str, body: object) -> int:
    """Ask for a change with the token against cross-site forgery that Jupyter gives a page; give the status."""
    await browser.get("/lab")
    token = browser.cookies["_xsrf"]
    return (await browser.request(method, path, json=body, headers={"X-XSRFToken": token})).status_code


async def test_the_level_the_gateway_names_decides(living: Living) -> None:
    await living.launch("p1", "jupyter")
    upstream = (await living.until_ready("p1")).upstreams[""]
    socket = trio.Path(upstream.removeprefix("unix:"))
    assert (await socket.stat()).st_mode & 0o077 == 0

    async with client(upstream, User="alice", Level="write") as alice:
        assert (await alice.get("/api/me")).json()["identity"]["username"] == "alice"
        assert await change(alice, "PUT", "/api/contents/a.ipynb", NOTEBOOK) == 201
        assert await change(alice, "POST", "/api/terminals", {}) == 200
        assert (await alice.put("/api/contents/b.ipynb", json=NOTEBOOK)).status_code == 403  # as from another site

    async with client(upstream, User="bob", Level="read") as bob:
        assert (await bob.get("/api/contents/a.ipynb")).json()["name"] == "a.ipynb"
        assert await change(bob, "PUT", "/api/contents/a.ipynb", NOTEBOOK) == 403
        assert await change(bob, "POST", "/api/kernels", {"name": "python3"}) == 403
        assert await change(bob, "POST", "/api/terminals", {}) == 403

    for identity in STRANGERS:
        async with client(upstream, **identity) as stranger:
            page = await stranger.get("/lab")
            assert (page.status_code, "who have a level on the pod" in page.text) == (403, True)
            for path in ("/api/contents", "/api/kernels", "/terminals/1", "/files/a", "/api/kernels/1/channels"):
                assert (await stranger.get(path)).status_code == 403
    async with client(upstream) as doubtful:
        two = [("X-Podgate-Level", "owner"), ("X-Podgate-Level", "owner")]
        assert (await doubtful.get("/lab", headers=two)).status_code == 403
    assert "Traceback" not in await living.log("p1")


async def test_notebooks_are_kept_and_an_own_python_is_judged(living: Living) -> None:
    await living.launch("p1", "jupyter")
    async with client((await living.until_ready("p1")).upstreams[""], Level="owner") as owner:
        assert await change(owner, "PUT", "/api/contents/kept.ipynb", NOTEBOOK) == 201
    await living.end("p1")

    await living.launch("p1", "jupyter", generation=2)
    async with client((await living.until_ready("p1")).upstreams[""], Level="read") as reader:
        assert [found["name"] for found in (await reader.get("/api/contents")).json()["content"]] == ["kept.ipynb"]
    await living.end("p1")

    for generation, (python, reason) in enumerate([("/bin/sh", "has no JupyterLab"), ("/no", "is not a program")], 3):
        await living.launch("p1", "jupyter", generation=generation, python=python)
        assert f"python: {python} {reason}" in (await living.until_exited("p1", generation)).message
