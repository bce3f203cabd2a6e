"""The page that waits for a pod, in a browser: it becomes the pod's own without anybody doing anything."""

from playwright.sync_api import expect

from tests.running import Podgate
from tests.scenarios.api import delete
from tests.scenarios.browser import chromium, needs_chromium, person, picture

pytestmark = needs_chromium


def test_a_page_that_waits_becomes_the_pod(podgate: Podgate) -> None:
    gate = podgate.home / "gate"
    gate.mkdir(mode=0o755)
    wait = f"until [ -e {gate}/open ]; do sleep 0.1; done"
    command = f"{wait}; echo '<title>here</title>' > index.html; exec python3 -m http.server --bind 127.0.0.1 $PORT"
    podgate.run("pod", "create", "slow", "--template", "web", "--access", "public", "--command", command, "--no-wait")
    with chromium(podgate.ca) as browser, person(browser) as somebody:
        page = somebody.new_page()
        page.goto(f"https://slow.pods.localhost:{podgate.port}/")
        expect(page).to_have_title("This pod is starting")
        picture(page, "starting")
        (gate / "open").touch()
        expect(page).to_have_title("here")
    delete(podgate, "slow")
