"""What a replica tells those who look after it: whether it is ready, how it stands, and that it will drain."""

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trustme
from typer.testing import CliRunner

from certs.leaf import Leaf
from gateway import health
from gateway import standing as standing_module
from gateway.health import LARGEST_HEAD, MOST_CONNECTIONS, answer
from gateway.metrics import Page
from gateway.supervisor import Supervisor
from podgate.cli import app
from router.model import Protocol
from router.snapshot import Version
from tests.gateway.process import echo_once
from tests.gateway.supervising import HOST, Told, ask, route, snapshot, supervising
from tests.gateway.test_metrics import QUIET
from tests.peers import DEADLINE, Ending, TlsPeer, plain_to, tls_to, trusting
from tests.upstreams import Upstream, answer_http, upstream

ANYWHERE = ("127.0.0.1", 0)


async def echoes(supervisor: Supervisor, ca: trustme.CA) -> None:
    def go() -> None:
        client = tls_to(int(supervisor.addresses[0][1]), trusting(ca), HOST)
        echo_once(client)
        client.close()

    await trio.to_thread.run_sync(go)


async def refuses(supervisor: Supervisor) -> None:
    """Connect until it is refused."""

    def go() -> None:
        with contextlib.suppress(ConnectionRefusedError):
            while True:
                with contextlib.suppress(ConnectionResetError):  # it was queued at the very moment of the close
                    plain_to(int(supervisor.addresses[0][1])).close()

    with trio.fail_after(DEADLINE):
        await trio.to_thread.run_sync(go, abandon_on_cancel=True)


async def test_it_is_ready_once_every_worker_has_routes(tmp_path: Path, leaf: Leaf) -> None:
    source = Told()
    async with supervising(source, tmp_path, leaf, health=ANYWHERE) as supervisor:
        assert await ask(supervisor, "/ready") == (503, "no worker accepts connections yet")
        assert await ask(supervisor, "/serving") == (503, "no worker accepts connections yet")
        assert await ask(supervisor, "/live") == (200, "live")
        source.say(snapshot(1))
        await source.until_acknowledged(Version("one", 1))
        assert await ask(supervisor, "/ready") == (200, "ready")
        assert await ask(supervisor, "/ready", "HEAD") == (200, "")
        assert (await ask(supervisor, "/"))[0] == 404


async def test_a_probe_is_answered_however_many_ask_nothing(
    tmp_path: Path, leaf: Leaf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whoever holds all connections could have a gateway taken for dead, and started anew."""
    monkeypatch.setattr(health, "PATIENCE", 3 * DEADLINE)  # none of them is taken for too slow
    async with supervising(Told(), tmp_path, leaf, health=ANYWHERE) as supervisor, contextlib.AsyncExitStack() as held:
        assert supervisor.health_address
        slow = [
            await held.enter_async_context(await trio.open_tcp_stream(*supervisor.health_address))
            for _ in range(MOST_CONNECTIONS)
        ]
        with trio.fail_after(DEADLINE):
            assert await ask(supervisor, "/live") == (200, "live")
            assert await slow[0].receive_some(1) == b""  # no more than may be are held at once
            await slow[1].send_all(b"GET /live HTTP/1.1\r\n\r\n")
            assert (await slow[1].receive_some()).startswith(b"HTTP/1.1 200 OK")


async def test_a_drain_is_told_before_it_begins(tmp_path: Path, ca: trustme.CA, leaf: Leaf, echoing: Upstream) -> None:
    source = Told()
    async with supervising(source, tmp_path, leaf, drain=DEADLINE, health=ANYWHERE, notice=60.0) as supervisor:
        source.say(snapshot(1, [route(HOST, echoing)]))
        await source.until_acknowledged(Version("one", 1))
        client = await trio.to_thread.run_sync(lambda: tls_to(int(supervisor.addresses[0][1]), trusting(ca), HOST))
        supervisor.drain()
        assert await ask(supervisor, "/ready") == (503, "draining")
        assert await ask(supervisor, "/serving") == (200, "serving")  # a Service would drop connections at once
        assert await ask(supervisor, "/live") == (200, "live")
        await source.until_standing(lambda standing: standing.draining)
        await echoes(supervisor, ca)
        supervisor.drain()  # who asks twice does not want to wait
        await refuses(supervisor)
        await trio.to_thread.run_sync(echo_once, client)
        assert await ask(supervisor, "/ready") == (503, "draining")
        assert await ask(supervisor, "/serving") == (503, "draining")
        client.close()


async def test_web_clients_go_elsewhere_while_a_drain_is_only_told(tmp_path: Path, ca: trustme.CA, leaf: Leaf) -> None:
    """Whoever is told that an answer is the last sends nothing after it, which a connection that ends would lose."""
    source = Told()
    with upstream(answer_http) as server:
        async with supervising(source, tmp_path, leaf, notice=60.0) as supervisor:
            source.say(snapshot(1, [replace(route(HOST, server), protocol=Protocol.HTTP)]))
            await source.until_acknowledged(Version("one", 1))
            port = int(supervisor.addresses[0][1])
            client = await trio.to_thread.run_sync(lambda: tls_to(port, trusting(ca), HOST))
            assert not await trio.to_thread.run_sync(is_told_the_last, client)
            supervisor.drain()
            while not await trio.to_thread.run_sync(is_told_the_last, client):
                pass
            assert client.receive_to_end() == (b"", Ending.GOODBYE)
            client.close()
            again = await trio.to_thread.run_sync(lambda: tls_to(port, trusting(ca), HOST))
            assert await trio.to_thread.run_sync(is_told_the_last, again)
            again.close()
            supervisor.drain()


def is_told_the_last(client: TlsPeer) -> bool:
    """Ask, and tell whether the answer is said to be the last; its body is the request as the pod got it."""
    client.send(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    seen = b""
    while seen.count(b"\r\n\r\n") < 2:
        seen += client.receive(1)
    return b"\r\nconnection: close\r\n" in seen.partition(b"\r\n\r\n")[0].lower() + b"\r\n"


async def test_when_the_notice_is_over_nothing_new_is_taken(tmp_path: Path, leaf: Leaf) -> None:
    source = Told()
    async with supervising(source, tmp_path, leaf, notice=0.2) as supervisor:
        source.say(snapshot(1))
        await source.until_acknowledged(Version("one", 1))
        supervisor.drain()
        await refuses(supervisor)


async def test_nobody_waits_for_a_replica_that_never_was_ready(tmp_path: Path, leaf: Leaf) -> None:
    async with supervising(Told(), tmp_path, leaf, notice=3600.0):
        pass  # it drains at the end of the block, within the deadline of its own


@pytest.fixture
def talkative(monkeypatch: pytest.MonkeyPatch) -> None:
    """What changes is told at once."""
    monkeypatch.setattr(standing_module, "TELL_PAUSE", 0.01)


@pytest.mark.usefixtures("talkative")
async def test_links_are_told_while_they_are_there(
    tmp_path: Path, ca: trustme.CA, leaf: Leaf, echoing: Upstream
) -> None:
    source = Told()
    async with supervising(source, tmp_path, leaf, workers=2) as supervisor:
        source.say(snapshot(1, [route(HOST, echoing)]))
        await source.until_acknowledged(Version("one", 1))
        port = int(supervisor.addresses[0][1])
        clients = [await trio.to_thread.run_sync(tls_to, port, trusting(ca), HOST) for _ in range(3)]
        standing = await source.until_standing(lambda standing: standing.links == 3)
        assert (standing.workers, standing.draining, standing.addresses) == (2, False, (f"127.0.0.1:{port}",))
        for client in clients:
            client.close()
        source.standings.clear()
        await source.until_standing(lambda standing: standing.links == 0)


@pytest.mark.usefixtures("talkative")
async def test_a_source_that_was_away_is_told_again(tmp_path: Path, leaf: Leaf) -> None:
    source = Told()
    async with supervising(source, tmp_path, leaf):
        source.say(snapshot(1))
        await source.until_standing(lambda standing: standing.workers == 1)
        source.standings.clear()
        source.cut()
        source.say(snapshot(1, epoch="two"))
        await source.until_standing(lambda standing: standing.workers == 1)


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET /ready HTTP/1.1\r\n\r\n", 200),
        (b"GET /serving HTTP/1.1\r\n\r\n", 200),
        (b"GET /ready?x=1 HTTP/1.0\r\nUser-Agent: kube-probe/1.31\r\n\r\n", 200),
        (b"HEAD /live HTTP/1.1\r\n\r\n", 200),
        (b"POST /ready HTTP/1.1\r\n\r\n", 405),
        (b"OPTIONS * HTTP/1.1\r\n\r\n", 405),
        (b"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text\r\n\r\n", 200),
        (b"GET /metrics/ HTTP/1.1\r\n\r\n", 404),
        (b"GET /readyz HTTP/1.1\r\n\r\n", 404),
        (b"GET /../ready HTTP/1.1\r\n\r\n", 404),
        (b"GET /ready\r\n\r\n", 400),
        (b"GET /ready HTTP/2\r\n\r\n", 400),
        (b"GET  /ready HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\r\n\r\n", 400),
        (b"GET /ready HTTP/1.1\r\nX: ".ljust(LARGEST_HEAD, b"x"), 400),
    ],
)
def test_a_request_is_answered_by_its_first_line(request_head: bytes, status: int) -> None:
    told = answer(request_head, lambda *, but_leaving=False: "", Page(lambda: QUIET))
    assert told.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nConnection: close\r\n" in told


@pytest.mark.parametrize("command", ["serve", "gateway"])
@pytest.mark.parametrize("notice", ["nan", "inf", "-1", "86401"])
def test_a_notice_that_is_no_number_of_seconds_is_wrong_usage(command: str, notice: str) -> None:
    result = CliRunner().invoke(app, [command, "--drain-notice", notice], env={"COLUMNS": "300", "TERM": "dumb"})
    assert result.exit_code == 2
    assert "--drain-notice" in result.output
