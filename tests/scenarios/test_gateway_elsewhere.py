"""A gateway that shares no home with its controller: it follows over TLS, by a token of its own."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from certs.authority import Authority
from tests.gateway.process import GatewayProcess
from tests.running import PATIENCE, Podgate, needs_resolver, running_podgate
from tests.scenarios.api import create
from tests.scenarios.people import Curl

pytestmark = needs_resolver


@pytest.fixture(scope="module")
def podgate() -> Iterator[Podgate]:
    with running_podgate("--workers", "1") as running:
        create(running, "pages", "web", "public")
        yield running


@pytest.fixture(scope="module")
def token(podgate: Podgate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("berlin") / "token"
    path.touch(0o600)
    path.write_text(podgate.run("gateways", "token", "create", "berlin"))
    return path


@contextmanager
def elsewhere(podgate: Podgate, home: Path, token: Path, name: str) -> Iterator[GatewayProcess]:
    """Run a gateway in a home of its own, which is brought the token alone and has its own key signed."""
    gateway = GatewayProcess(
        home, "--listen", "127.0.0.1:0", "--public-port", str(podgate.port), "--workers", "1", "--name", name,
        "--controller", f"https://api.pods.localhost:{podgate.port}", "--controller-ca", str(podgate.ca),
        "--token-file", str(token),
    )  # fmt: skip
    try:
        yield gateway
    finally:
        gateway.close()


def shown(podgate: Podgate) -> dict[str, dict[str, Any]]:
    return {gateway["replica"]: gateway for gateway in json.loads(podgate.run("gateways", "--json"))["gateways"]}


def ended_with(gateway: GatewayProcess, text: str) -> None:
    """Wait until it has given up, and see that it says why."""
    try:
        assert gateway.wait() == 1
    finally:
        gateway.close()
    assert text in gateway.log


def serves(podgate: Podgate, port: int, directory: Path) -> None:
    assert Curl(podgate, directory / "jar").ask(f"https://pages.pods.localhost:{port}/")[0] == 200


def test_it_serves_what_the_controller_tells_until_and_after_its_token_is_revoked(
    podgate: Podgate, token: Path, tmp_path: Path
) -> None:
    with elsewhere(podgate, tmp_path / "home", token, "berlin") as gateway:
        port = int(gateway.wait_for(r"gateway is up on [^ ]*:(\d+)")[1])
        podgate.run("status", "--wait", str(PATIENCE))
        while not (found := shown(podgate).get("berlin")) or not found["current"]:
            assert gateway.process.poll() is None, gateway.log
        assert found["address"] == "127.0.0.1"  # as the gateway in between saw it
        serves(podgate, port, tmp_path)

        with elsewhere(podgate, tmp_path / "another", token, "berlin") as second:
            second.wait_for("another gateway named 'berlin' is live")
        with elsewhere(podgate, tmp_path / "third", token, "paris") as third:
            ended_with(third, "this token speaks for gateways named 'berlin' or 'berlin-…' alone, not for 'paris'")
        assert "berlin" in shown(podgate)

        podgate.run("gateways", "token", "revoke", "berlin")
        gateway.wait_for("does not know this gateway's token; get one: podgate gateways token create NAME")
        assert "berlin" not in shown(podgate)
        serves(podgate, port, tmp_path)
        assert token.read_text().strip() not in gateway.log


def test_a_controller_that_another_authority_vouches_for_is_told_nothing(
    podgate: Podgate, token: Path, tmp_path: Path
) -> None:
    Authority.open(tmp_path / "foreign")
    gateway = GatewayProcess(
        tmp_path / "home", "--listen", "127.0.0.1:0", "--workers", "1", "--name", "berlin",
        "--controller", f"https://api.pods.localhost:{podgate.port}",
        "--controller-ca", str(tmp_path / "foreign" / "ca.pem"), "--token-file", str(token),
    )  # fmt: skip
    ended_with(gateway, "CERTIFICATE_VERIFY_FAILED")
    assert "there is no certificate yet, and the controller signs none" in gateway.log
