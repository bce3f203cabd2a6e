"""A gateway that shares no home with its controller: it follows over TLS, by a token of its own."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from certs.authority import Authority
from tests.gateway.process import GatewayProcess
from tests.peers import write_leaf
from tests.ports import free_port
from tests.running import PATIENCE, Podgate, needs_resolver, running_podgate
from tests.scenarios.api import create, share
from tests.scenarios.clients.libpq import Psycopg
from tests.scenarios.databases import into
from tests.scenarios.people import Curl, add, make_token
from tests.scenarios.replicas import balancer, eventually, known, shown
from tests.scenarios.test_postgres_matrix import is_cancelled

pytestmark = needs_resolver


@pytest.fixture(scope="module")
def podgate() -> Iterator[Podgate]:
    with running_podgate("--workers", "1") as running:
        create(running, "pages", "web", "public")
        yield running


@pytest.fixture(scope="module")
def token(podgate: Podgate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return token_of(podgate, "berlin", tmp_path_factory.mktemp("berlin"))


def token_of(podgate: Podgate, name: str, directory: Path) -> Path:
    path = directory / f"{name}.token"
    path.touch(0o600)
    path.write_text(podgate.run("gateways", "token", "create", name))
    return path


@contextmanager
def elsewhere(podgate: Podgate, home: Path, token: Path, name: str, *more: str) -> Iterator[GatewayProcess]:
    """Run a gateway in a home of its own, which is brought the token alone and has its own key signed."""
    gateway = GatewayProcess(
        home, "--listen", "127.0.0.1:0", "--public-port", str(podgate.port), "--workers", "1", "--name", name,
        "--controller", f"https://api.pods.localhost:{podgate.port}", "--controller-ca", str(podgate.ca),
        "--token-file", str(token), *more,
    )  # fmt: skip
    try:
        yield gateway
    finally:
        gateway.close()


def port_of(gateway: GatewayProcess) -> int:
    return int(gateway.wait_for(r"gateway is up on [^ ]*:(\d+)")[1])


def until_current(podgate: Podgate, gateway: GatewayProcess, name: str) -> dict[str, Any]:
    """Wait until the controller has heard that it runs what is published."""

    def current() -> dict[str, Any] | None:
        assert gateway.process.poll() is None, gateway.log
        found = known(podgate).get(name)
        return found if found and found["current"] else None

    found = eventually(current)
    assert found is not None
    return found


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
        port = port_of(gateway)
        assert until_current(podgate, gateway, "berlin")["address"] == "127.0.0.1"  # as the one in between saw it
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
    assert "give --controller-ca a copy of what podgate ca path names there" in gateway.log
    assert "there is no certificate yet, and the controller signs none" in gateway.log


def test_it_starts_without_its_controller_by_what_it_was_told_and_follows_again(
    podgate: Podgate, tmp_path: Path
) -> None:
    """Its last good table and its certificates are on its own disk; its token outlives the controller's restart."""
    token, home, health = token_of(podgate, "oslo", tmp_path), tmp_path / "home", free_port()
    with elsewhere(podgate, home, token, "oslo") as before:
        until_current(podgate, before, "oslo")
        before.signal(signal.SIGTERM)
        assert before.wait() == 0
    podgate.serve.send_signal(signal.SIGTERM)
    podgate.serve.wait(PATIENCE)
    with elsewhere(podgate, home, token, "oslo", "--health", f"127.0.0.1:{health}") as gateway:
        serves(podgate, port := port_of(gateway), tmp_path)
        ready = httpx.get(f"http://127.0.0.1:{health}/ready", timeout=PATIENCE, trust_env=False)
        assert (ready.status_code, ready.text) == (200, "ready\n")
        podgate.start()
        until_current(podgate, gateway, "oslo")
        create(podgate, "later", "web", "public")
        assert Curl(podgate, tmp_path / "jar").ask(f"https://later.pods.localhost:{port}/")[0] == 200
    podgate.run("gateways", "token", "revoke", "oslo")


def test_sessions_and_cancel_keys_are_good_with_all_of_them(podgate: Podgate, tmp_path: Path) -> None:
    """Two elsewhere know each other by what the controller signed, though one shows clients a certificate of its own:
    who cancels always comes to the other one.
    """
    token, between = token_of(podgate, "rome", tmp_path), (free_port(), free_port())
    vault = create(podgate, "vault", "postgres", "read")
    create(podgate, "closed", "web", "read")
    share(podgate, "vault", add(podgate, "anna").name, "manage")
    share(podgate, "closed", "anna", "read")
    person = make_token(podgate, "elsewhere", "anna")
    leaf = Authority.open(podgate.home / "authority").issue(("*.pods.localhost",), datetime.now(UTC))
    certificate, key = write_leaf(leaf, tmp_path)
    own = ("--certificate", str(certificate), "--key", str(key))
    with ExitStack() as ended:
        gateways: list[GatewayProcess] = []
        for number in (0, 1):
            peers = ("--peer-listen", f"127.0.0.1:{between[number]}", "--peer", f"127.0.0.1:{between[1 - number]}")
            one = elsewhere(
                podgate, tmp_path / str(number), token, f"rome-{number}", "--replica", str(number + 1), *peers,
                *(own if number else ()),
            )  # fmt: skip
            gateways.append(ended.enter_context(one))
        ports = (port_of(gateways[0]), port_of(gateways[1]))
        for number, gateway in enumerate(gateways):
            until_current(podgate, gateway, f"rome-{number}")

        curl = Curl(podgate, tmp_path / "jar")
        assert curl.open(f"https://closed.pods.localhost:{podgate.port}/?token={person}")[0] == 200
        for port in ports:
            assert curl.open(f"https://closed.pods.localhost:{port}/", "--no-location")[0] == 200
            assert curl.ask(f"https://closed.pods.localhost:{port}/")[0] == 401

        way = into(podgate, vault, "anna", person)
        client = Psycopg(replace(way, port=ended.enter_context(balancer(ports))))
        ended.callback(client.close)
        is_cancelled(client, replace(way, port=ports[0]))
        assert client.ask("select 1") == "1"
