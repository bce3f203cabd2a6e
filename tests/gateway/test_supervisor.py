"""The supervisor with real workers and a source in the test's hand: what it acknowledges, and when."""

import logging
import os
import signal
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme

from certs.leaf import Leaf
from gateway import lastgood, routing
from gateway.sources import NotUp
from gateway.supervisor import Supervisor
from router.access import AccessLevel
from router.credentials import Credential, User
from router.model import Protocol, Route
from router.snapshot import CredentialChange, Routes, Version, delta_document, snapshot_document
from router.table import RouteTable
from tests.gateway.process import echo_once
from tests.gateway.supervising import HOST, Told, route, snapshot, supervising
from tests.gateway.web.site import ALICE, bearer, request, token
from tests.peers import DEADLINE, tls_to, trusting
from tests.upstreams import Upstream

BAD = {"host": "bad.pods.test", "protocol": "gopher"}


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that is away is tried again as often, and ten times as soon."""
    monkeypatch.setattr(routing, "RETRY_FIRST", routing.RETRY_FIRST / 10)
    monkeypatch.setattr(routing, "RETRY_LAST", routing.RETRY_LAST / 10)


async def echoes(supervisor: Supervisor, ca: trustme.CA, host: str = HOST) -> None:
    def go() -> None:
        client = tls_to(int(supervisor.addresses[0][1]), trusting(ca), host)
        echo_once(client)
        client.close()

    await trio.to_thread.run_sync(go)


async def test_a_version_is_acknowledged_when_the_workers_run_it(
    tmp_path: Path, ca: trustme.CA, leaf: Leaf, echoing: Upstream
) -> None:
    source = Told()
    async with supervising(source, tmp_path, leaf, workers=2) as supervisor:
        source.say(snapshot(7, [route(HOST, echoing)]))
        assert await source.until_acknowledged(Version("one", 7)) == []
        await echoes(supervisor, ca)
        source.say(delta_document(Version("one", 8), [route("new.pods.test", echoing)], []))
        await source.until_acknowledged(Version("one", 8))
        await echoes(supervisor, ca, "new.pods.test")


async def test_a_rejected_route_is_told_with_the_version_that_brought_it(
    tmp_path: Path, ca: trustme.CA, leaf: Leaf, echoing: Upstream
) -> None:
    source = Told()
    async with supervising(source, tmp_path, leaf) as supervisor:
        document = snapshot(1, [route(HOST, echoing)])
        source.say({**document, "routes": [BAD, route(HOST, echoing).to_document()]})
        assert await source.until_acknowledged(Version("one", 1)) == ["bad.pods.test"]
        await echoes(supervisor, ca)
        source.say(delta_document(Version("one", 2), [route("bad.pods.test", echoing)], []))
        assert await source.until_acknowledged(Version("one", 2)) == []
        await echoes(supervisor, ca, "bad.pods.test")


async def test_a_worker_that_lags_holds_the_acknowledgement_back(tmp_path: Path, leaf: Leaf, echoing: Upstream) -> None:
    source = Told()
    async with supervising(source, tmp_path, leaf, workers=2) as supervisor:
        source.say(snapshot(1))
        await source.until_acknowledged(Version("one", 1))
        slow = supervisor.workers[1]
        os.kill(slow, signal.SIGSTOP)
        try:
            for number in range(2, 1000):  # more than wait for it: it gets a snapshot instead
                source.say(delta_document(Version("one", number), [route(f"h{number}.pods.test", echoing)], []))
            source.say(delta_document(Version("one", 1000), [route("last.pods.test", echoing)], []))
            with trio.move_on_after(0.5) as window:  # a measuring window: nothing is acknowledged for so long
                await source.until_acknowledged(Version("one", 1000))
            assert window.cancelled_caught
            assert source.acknowledged[-1][0].number < 1000
        finally:
            os.kill(slow, signal.SIGCONT)
        await source.until_acknowledged(Version("one", 1000))
        assert supervisor.workers[1] == slow


async def test_a_stream_that_begins_anew_is_told_again(tmp_path: Path, leaf: Leaf) -> None:
    """The controller forgets a gateway whose stream has ended."""
    source = Told()
    async with supervising(source, tmp_path, leaf):
        source.say(snapshot(3))
        await source.until_acknowledged(Version("one", 3))
        source.cut()
        await source.until_followed(2)
        source.say(snapshot(3))
        await source.until_acknowledged(Version("one", 3), times=2)


@pytest.mark.parametrize("document", [{"kind": "delta", "epoch": "one", "version": 9, "put": [], "remove": []}, [], 1])
async def test_a_document_that_cannot_follow_makes_it_ask_for_a_new_snapshot(
    tmp_path: Path, ca: trustme.CA, leaf: Leaf, echoing: Upstream, document: object
) -> None:
    source = Told()
    async with supervising(source, tmp_path, leaf) as supervisor:
        source.say(snapshot(1, [route(HOST, echoing)]))
        await source.until_acknowledged(Version("one", 1))
        source.say(document)
        await source.until_followed(2)
        await echoes(supervisor, ca)  # the table before stays in force
        source.say(snapshot(1, [route("new.pods.test", echoing)], epoch="two"))
        await source.until_acknowledged(Version("two", 1))
        await echoes(supervisor, ca, "new.pods.test")


async def test_a_replaced_worker_runs_the_current_table_before_it_is_counted(
    tmp_path: Path, ca: trustme.CA, leaf: Leaf, echoing: Upstream
) -> None:
    source = Told()
    async with supervising(source, tmp_path, leaf) as supervisor:
        source.say(snapshot(1))
        await source.until_acknowledged(Version("one", 1))
        (victim,) = supervisor.workers
        os.kill(victim, signal.SIGKILL)
        source.say(delta_document(Version("one", 2), [route(HOST, echoing)], []))
        await source.until_acknowledged(Version("one", 2))
        await echoes(supervisor, ca)
        assert supervisor.workers != [victim]


@pytest.mark.usefixtures("restless")
async def test_while_the_source_is_away_the_last_good_table_is_served(
    tmp_path: Path, ca: trustme.CA, leaf: Leaf, echoing: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    kept = tmp_path / "kept" / "routes.json"
    lastgood.save(kept, Routes(Version("old", 4), RouteTable([route(HOST, echoing)])))
    source = Told()
    source.away = True
    async with supervising(source, tmp_path, leaf) as supervisor:
        await supervisor.ready.wait()
        await echoes(supervisor, ca)
        await source.until_followed(8)
        assert caplog.text.count("going on with version 4") == 1  # an outage is one line of the log
        assert caplog.text.count("could not be acknowledged") <= 1
        source.away = False
        source.say(snapshot(1, [route("new.pods.test", echoing)], epoch="two"))
        await source.until_acknowledged(Version("two", 1))
        await echoes(supervisor, ca, "new.pods.test")


@pytest.mark.usefixtures("restless")
async def test_a_controller_that_has_yet_to_start_is_no_fault(
    tmp_path: Path, leaf: Leaf, echoing: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "podgate.supervisor")
    source = Told()
    source.away, source.error = True, NotUp
    async with supervising(source, tmp_path, leaf):
        await source.until_followed(8)
        assert caplog.text.count("routes: waiting for the controller to start; going on with version 0") == 1
        assert "source away" not in caplog.text
        source.away = False
        source.say(snapshot(1, [route(HOST, echoing)]))
        await source.until_acknowledged(Version("one", 1))
        source.away = True
        source.cut()
        await source.until_followed(source.followers + 8)
        assert caplog.text.count("source away: away; going on with version 1") == 1
        assert "there again; going on with version 1" in caplog.text
        source.away = False
        source.say(snapshot(2, [route(HOST, echoing)]))
        await source.until_acknowledged(Version("one", 2))
        assert caplog.text.count("there again; going on with version 2") == 1


async def test_a_table_is_kept_however_soon_the_gateway_ends(
    tmp_path: Path, leaf: Leaf, echoing: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routing, "SAVE_PAUSE", 3600.0)
    source = Told()
    async with supervising(source, tmp_path, leaf):
        source.say(snapshot(1, [route(HOST, echoing)]))
        await source.until_acknowledged(Version("one", 1))
        await trio.testing.wait_all_tasks_blocked()  # it gathers changes now
    assert HOST in (tmp_path / "kept" / "routes.json").read_text()


async def test_that_nothing_was_told_is_not_kept(tmp_path: Path, leaf: Leaf, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next start would take it for a table, and not wait for one."""
    monkeypatch.setattr(routing, "FIRST_ROUTES_PATIENCE", 0.0)
    async with supervising(Told(), tmp_path, leaf) as supervisor:
        with trio.fail_after(DEADLINE):
            await supervisor.ready.wait()
    assert not (tmp_path / "kept" / "routes.json").exists()


async def test_a_damaged_last_good_table_is_no_obstacle(
    tmp_path: Path, ca: trustme.CA, leaf: Leaf, echoing: Upstream
) -> None:
    kept = tmp_path / "kept" / "routes.json"
    kept.parent.mkdir()
    kept.write_text('{"kind": "snapshot", "epo')
    source = Told()
    async with supervising(source, tmp_path, leaf) as supervisor:
        source.say(snapshot(1, [route(HOST, echoing)]))
        await source.until_acknowledged(Version("one", 1))
        await echoes(supervisor, ca)


async def test_what_happens_at_a_worker_reaches_the_source_for_the_audit_log(
    tmp_path: Path, ca: trustme.CA, leaf: Leaf
) -> None:
    source = Told()
    web = Route(
        HOST, Protocol.HTTP, (), AccessLevel.WRITE, pod="pod-1", grants={"user:alice": AccessLevel.READ}, message="x"
    )
    async with supervising(source, tmp_path, leaf) as supervisor:
        people: list[Credential] = [User("alice"), token(ALICE, "alice")]
        source.say(snapshot_document(Version("one", 1), [web], (), people))
        await source.until_acknowledged(Version("one", 1))

        def ask(*lines: str) -> None:
            client = tls_to(int(supervisor.addresses[0][1]), trusting(ca), HOST)
            client.send(request(*lines, host=HOST))
            client.receive_to_end()
            client.close()

        await trio.to_thread.run_sync(ask)  # of whom nothing is known nothing is told
        await trio.to_thread.run_sync(lambda: ask(bearer(ALICE)))
        await source.until_reported(1)
        (entry,) = source.reported
        assert {key: entry[key] for key in ("who", "pod", "address", "outcome")} == {
            "who": "alice",
            "pod": "pod-1",
            "address": "127.0.0.1",
            "outcome": "refused",
        }
        assert HOST in entry["what"]
        assert ALICE not in str(entry)


async def test_credentials_reach_the_workers_and_a_delta_takes_them_away(
    tmp_path: Path, ca: trustme.CA, leaf: Leaf
) -> None:
    source = Told()
    web = Route(HOST, Protocol.HTTP, (), AccessLevel.WRITE, grants={"user:alice": AccessLevel.WRITE})
    async with supervising(source, tmp_path, leaf) as supervisor:

        async def status() -> bytes:
            def ask() -> bytes:
                client = tls_to(int(supervisor.addresses[0][1]), trusting(ca), HOST)
                client.send(request(bearer(ALICE), host=HOST))
                answer = client.receive_to_end()[0]
                client.close()
                return answer.split(b" ", 2)[1]

            return await trio.to_thread.run_sync(ask)

        source.say(snapshot_document(Version("one", 1), [web], (), [User("alice"), token(ALICE, "alice")]))
        await source.until_acknowledged(Version("one", 1))
        assert await status() == b"502"  # let in, to a pod without upstreams
        source.say(delta_document(Version("one", 2), [], [], CredentialChange((), ("token:alice",))))
        await source.until_acknowledged(Version("one", 2))
        assert await status() == b"401"
