"""A real controller on the double of a cluster: killed and started again, it knows its pods."""

import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.controller.runtimes.kubernetes.apiserver import ApiServer
from tests.controller.runtimes.kubernetes.cluster import cluster
from tests.ports import free_port
from tests.unixhttp import async_to_socket

ROOT = Path(__file__).parents[4]
PATIENCE = 60.0  # seconds until a test gives up
SERVE = 'cd "$POD_DATA"; exec python3 -m http.server --bind 127.0.0.1 "$PORT"'

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{{name: here, context: {{cluster: c, user: u}}}}]
clusters: [{{name: c, cluster: {{server: "{url}"}}}}]
users: [{{name: u, user: {{token: sesame}}}}]
"""


@pytest.fixture
async def api() -> AsyncIterator[ApiServer]:
    pytest.importorskip("kubernetes", reason="pip install '.[kubernetes]'")
    async with cluster() as api:
        api.token = "sesame"
        yield api


@pytest.fixture
def home(api: ApiServer) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as path:  # short: it holds unix sockets
        home = Path(path)
        home.chmod(0o711)
        (home / "kubernetes.toml").write_text('allow = ["example.test/*"]\npolicies_enforced = true\n')
        (home / "kubeconfig").write_text(KUBECONFIG.format(url=api.url))
        yield home


@asynccontextmanager
async def life(home: Path) -> AsyncIterator[tuple[httpx.AsyncClient, trio.Process]]:
    """Run a controller; give a client of its API."""
    command = [sys.executable, "-m", "controller", "--home", str(home), "--runtime", "kubernetes"]
    process = await trio.lowlevel.open_process(
        [*command, "--kubeconfig", str(home / "kubeconfig")], cwd=ROOT, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with trio.open_nursery() as nursery:
            with trio.fail_after(PATIENCE):
                wrote = b""
                while b"serving" not in wrote:
                    data = await process.stderr.receive_some()
                    assert data, wrote
                    wrote += data
            nursery.start_soon(drain, process.stderr)
            token = (home / "admin.token").read_text().strip()
            async with httpx.AsyncClient(
                transport=async_to_socket(home / "run" / "api.sock"), base_url="http://podgate", timeout=PATIENCE,
                headers={"authorization": f"Bearer {token}"},
            ) as http:  # fmt: skip
                yield http, process
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            process.kill()
            await process.wait()
            await process.stderr.aclose()


async def drain(stream: trio.abc.ReceiveStream) -> None:
    async for _ in stream:
        pass


async def called(call: Any) -> Any:
    answer: httpx.Response = await call
    assert answer.status_code < 300, answer.text
    return answer.json() if answer.content else None


async def available(http: httpx.AsyncClient) -> Any:
    """Wait by following the routes, as a gateway does, until the pod is available."""
    with trio.fail_after(PATIENCE):
        async with http.stream("GET", "/v1/routes/stream?replica=test") as stream:
            lines = stream.aiter_lines()
            while (pod := await called(http.get("/v1/pods/page")))["phase"] != "available":
                await anext(lines)
    return pod


@pytest.mark.filterwarnings("ignore:Async generator '(httpx|httpcore):ResourceWarning")  # left by the stream of routes
async def test_a_pod_lives_through_its_controllers_deaths(api: ApiServer, home: Path) -> None:
    async with life(home) as (http, process):
        templates = (await called(http.get("/v1/templates")))["templates"]
        assert {each["name"] for each in templates} == {"graph", "image", "jupyter", "postgres", "web"}
        parameters = {"image": "example.test/app:1", "command": SERVE, "port": str(free_port())}
        await called(http.post("/v1/pods", json={"name": "page", "template": "image", "parameters": parameters}))
        pod = await available(http)
        process.kill()
    (before,) = [thing for (plural, _name), thing in api.objects.items() if plural == "pods"]
    async with life(home) as (http, _process):
        after = await called(http.get("/v1/pods/page"))
        assert (after["phase"], after["since"], after["restarts"]) == ("available", pod["since"], 0)
        (thing,) = [thing for (plural, _name), thing in api.objects.items() if plural == "pods"]
        assert thing["metadata"]["uid"] == before["metadata"]["uid"]
        await called(http.delete("/v1/pods/page"))
        await called(http.get(f"/v1/pods/page/wait?until=gone&timeout={PATIENCE}"))
    assert api.objects == {}


async def test_an_image_that_is_not_allowed_is_told_to_who_wants_it(api: ApiServer, home: Path) -> None:
    async with life(home) as (http, _process):
        parameters = {"image": "example.test.evil.test/app"}
        await called(http.post("/v1/pods", json={"name": "page", "template": "image", "parameters": parameters}))
        with trio.fail_after(PATIENCE):
            while not (pod := await called(http.get("/v1/pods/page")))["message"]:
                await trio.lowlevel.checkpoint()
        assert "example.test.evil.test/app:latest is not among the images allowed here" in pod["message"]
    assert not [plural for plural, _name in api.objects if plural == "pods"]
