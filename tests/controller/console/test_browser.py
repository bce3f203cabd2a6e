"""What only a browser does: forms, policies, cookies with prefixes. Chromium walks through every page.

With PODGATE_SCREENSHOTS=DIR it leaves pictures of them there, in light, dark and on a phone.
"""

import os
import shutil
import ssl
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from router.access import AccessLevel
from tests.controller.console.conftest import PASSWORD, STATE, Place, placed, wanted
from tests.controller.console.serving import serving
from tests.ports import free_port
from tests.running import needs_resolver

CHROMIUM = shutil.which("chromium")
PICTURES = os.environ.get("PODGATE_SCREENSHOTS", "")
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1000, "height": 700}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1000, "height": 700}},
    "phone": {"color_scheme": "light", "viewport": {"width": 320, "height": 640}, "device_scale_factor": 2},
}
pytestmark = [
    needs_resolver,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here"),
    pytest.mark.slow,
]


class Pods:
    """Stands where the gateway leads by host: the console at its own, and pods' hosts that do the gateway's part."""

    def __init__(self, console: ASGIApp) -> None:
        self._console = console
        self.seen: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = next(value.decode() for name, value in scope["headers"] if name == b"host").partition(":")[0]
        if host == "podgate.localhost":
            await self._console(scope, receive, send)
            return
        self.seen.append(f"{host}{scope['path']}")
        port = scope["server"][1]
        if scope["path"] == "/.podgate/begin":
            query = f"host={host}&path=/&state={STATE}&via=link"
            answer: Any = RedirectResponse(f"https://podgate.localhost:{port}/sign-in?{query}", 303)
        elif scope["path"] == "/.podgate/enter":
            answer = RedirectResponse("/inside", 303)
        else:
            answer = PlainTextResponse("inside the pod")
        await answer(scope, receive, send)


def walk(place: Place, port: int, secret: str, pods: Pods, look: str) -> None:
    from playwright.sync_api import sync_playwright

    origin = f"https://podgate.localhost:{port}"
    query = "&".join(f"{name}={value}" for name, value in wanted().items())
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP *.localhost 127.0.0.1"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_context(ignore_https_errors=True, **LOOKS[look]).new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))

        def picture(name: str) -> None:
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is too wide"
            if PICTURES:
                Path(PICTURES).mkdir(exist_ok=True)
                page.screenshot(path=f"{PICTURES}/{name}-{look}.png", full_page=True)

        def sign_in(user: str, password: str) -> None:
            page.get_by_label("User name").fill(user)
            page.get_by_label("Password").fill(password)
            page.get_by_role("button", name="Sign in").click()

        page.goto(f"{origin}/sign-in?{query}")
        picture("sign-in")
        sign_in("alice", "wrong")
        picture("sign-in-wrong")
        sign_in("alice", PASSWORD)
        assert page.url == f"https://app.pods.localhost:{port}/inside"
        assert page.inner_text("body") == "inside the pod"
        page.goto(f"{origin}/")
        picture("pods")
        page.goto(f"{origin}/account")
        picture("account-new")
        page.get_by_label("Name", exact=True).fill("build robot")
        page.get_by_label("At most").select_option("write")
        page.get_by_role("button", name="Create").click()
        picture("token")
        page.get_by_role("link", name="Done").click()
        page.get_by_text("Change it").click()
        picture("account")
        page.goto(f"{origin}/sign-in?{query.replace('app.', 'theirs.')}")
        picture("not-allowed")
        page.goto(f"{origin}/link/{secret}")
        picture("link")
        page.get_by_label("Password of this link").fill("open sesame")
        page.get_by_role("button", name="Open").click()
        assert page.url == f"https://app.pods.localhost:{port}/inside"
        page.goto(f"{origin}/none")
        picture("error")
        page.goto(f"{origin}/sign-out?host=app.pods.localhost")
        picture("sign-out")
        page.get_by_role("button", name="Sign out everywhere").click()
        page.get_by_role("heading", name="You are signed out").wait_for()
        picture("signed-out")
        browser.close()
        assert [text for text in complaints if "Content Security Policy" in text or "Refused" in text] == []
    assert pods.seen.count("app.pods.localhost/.podgate/enter") == 2


@pytest.mark.parametrize("look", LOOKS)
async def test_chromium_walks_through_all_of_it(tmp_path: Path, ca: trustme.CA, look: str) -> None:
    port = free_port()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("podgate.localhost", "*.pods.localhost").configure_cert(context)
    environ = {
        "PODGATE_OIDC_ISSUER": "https://id.example",
        "PODGATE_OIDC_CLIENT_ID": "x",
        "PODGATE_OIDC_NAME": "Lab ID",
    }
    async with placed(tmp_path, environ, public_port=port) as place:
        app = await place.pod("app")
        await place.pod("postgres-of-the-lab", template="db")
        await place.pod("theirs", owner="bob", access=AccessLevel.WRITE, grants={"everyone": AccessLevel.READ})
        secret = await place.link(app, password="open sesame")
        pods = Pods(place.console)
        async with serving(pods, context, port):
            await trio.to_thread.run_sync(partial(walk, place, port, secret, pods, look), abandon_on_cancel=True)
