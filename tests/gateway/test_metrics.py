"""What Prometheus is told: the page as it is written, and that its numbers are those of a replica with real workers."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trustme
from prometheus_client.parser import text_string_to_metric_families

from certs.leaf import Leaf
from gateway.metrics import Measures, Page
from gateway.routing import InForce
from gateway.standing import Standing
from gateway.supervisor import Supervisor
from router.snapshot import Version
from tests.gateway.supervising import HOST, Told, ask, route, snapshot, supervising
from tests.peers import DEADLINE, TlsPeer, tls_to, trusting
from tests.upstreams import Upstream

QUIET = Measures(
    is_ready=True, standing=Standing(2, 7, 1, draining=False, addresses=("127.0.0.1:443",)),
    routes=InForce(3, 1, 41, 42, 0.25, is_followed=True), workers=4, ended=5,
    connections={"accepted": 9, "dropped": 2, "refused": 1}, expiry=1_800_000_000.0,
)  # fmt: skip
ANYWHERE = ("127.0.0.1", 0)


def values(page: str) -> dict[str, float]:
    """Read a page as Prometheus does."""
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    assert [sample.name for sample in samples if sample.labels] == []
    return {sample.name.removeprefix("podgate_"): sample.value for sample in samples}


def test_the_page_is_as_prometheus_reads_it() -> None:
    page = Page(lambda: QUIET).write().decode()
    assert values(page) == {
        "ready": 1, "draining": 0, "workers": 2, "workers_configured": 4, "workers_ended_total": 5, "links": 7,
        "openings": 1, "connections_accepted_total": 9, "connections_dropped_total": 2, "connections_refused_total": 1,
        "routes": 3, "routes_quarantined": 1, "routes_version": 41, "routes_version_told": 42,
        "routes_lag_seconds": 0.25, "routes_source_up": 1, "certificate_expiry_timestamp_seconds": 1.8e9,
    }  # fmt: skip
    assert "# TYPE podgate_links gauge\npodgate_links 7.0\n" in page
    assert "# TYPE podgate_connections_accepted_total counter\n" in page
    assert page.count("# HELP ") == page.count("# TYPE ") == len(values(page))


def test_where_nothing_was_told_yet_there_are_zeros() -> None:
    new = replace(QUIET, is_ready=False, connections={}, routes=InForce(0, 0, 0, 0, 1.5, is_followed=False))
    told = values(Page(lambda: new).write().decode())
    assert (told["ready"], told["connections_accepted_total"], told["routes_source_up"]) == (0, 0, 0)


# ---- of real workers


async def until(supervisor: Supervisor, holds: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    """Ask until the numbers are as they should be; workers tell theirs once a second."""
    with trio.fail_after(DEADLINE):
        while True:
            status, page = await ask(supervisor, "/metrics")
            assert status == 200
            if holds(found := values(page + "\n")):
                return found


async def connected(supervisor: Supervisor, ca: trustme.CA) -> TlsPeer:
    return await trio.to_thread.run_sync(tls_to, int(supervisor.addresses[0][1]), trusting(ca), HOST)


async def test_it_counts_what_workers_do_also_of_those_that_are_gone(
    tmp_path: Path, ca: trustme.CA, leaf: Leaf, echoing: Upstream
) -> None:
    source = Told()
    async with supervising(source, tmp_path, leaf, health=ANYWHERE) as supervisor:
        before = await until(supervisor, lambda _now: True)
        assert (before["ready"], before["workers"], before["workers_configured"]) == (0, 0, 1)
        source.say(snapshot(7, [route(HOST, echoing)]))
        await source.until_acknowledged(Version("one", 7))
        for _ in range(3):
            (await connected(supervisor, ca)).close()
        client = await connected(supervisor, ca)
        now = await until(supervisor, lambda now: now["connections_accepted_total"] == 4 and now["links"] == 1)
        assert (now["ready"], now["workers"], now["openings"], now["routes"]) == (1, 1, 0, 1)
        assert (now["routes_version"], now["routes_version_told"], now["routes_lag_seconds"]) == (7, 7, 0)
        assert (now["routes_source_up"], now["workers_ended_total"]) == (1, 0)
        assert now["certificate_expiry_timestamp_seconds"] == pytest.approx(leaf.not_after.timestamp())

        os.kill(supervisor.workers[0], signal.SIGKILL)
        client.close()
        gone = await until(supervisor, lambda now: now["workers"] == 0)
        assert (gone["ready"], gone["routes_version"], gone["routes_lag_seconds"]) == (0, 0, 0)
        await source.until_acknowledged(Version("one", 7))
        now = await until(supervisor, lambda now: now["workers_ended_total"] == now["workers"] == 1)
        assert (now["connections_accepted_total"], now["links"]) == (4, 0)
        (await connected(supervisor, ca)).close()
        await until(supervisor, lambda now: now["connections_accepted_total"] == 5)


async def test_it_tells_of_a_source_that_is_lost_of_what_it_refused_and_of_a_drain(
    tmp_path: Path, leaf: Leaf, echoing: Upstream
) -> None:
    source = Told()
    async with supervising(source, tmp_path, leaf, health=ANYWHERE, notice=60.0) as supervisor:
        document = snapshot(1, [route(HOST, echoing)])
        bad = {"host": "bad.pods.test", "protocol": "gopher"}
        source.say({**document, "routes": [*document["routes"], bad]})  # type: ignore[misc]  # a list, as it was made
        await source.until_acknowledged(Version("one", 1))
        now = await until(supervisor, lambda now: now["routes_source_up"] == 1)
        assert (now["routes"], now["routes_quarantined"], now["routes_version"]) == (1, 1, 1)
        source.away = True
        source.cut()
        await until(supervisor, lambda now: now["routes_source_up"] == 0 and now["ready"] == 1)
        supervisor.drain()
        now = await until(supervisor, lambda now: now["draining"] == 1)
        assert now["ready"] == 0
        supervisor.drain()


async def test_what_is_told_and_not_yet_in_force_is_a_lag(tmp_path: Path, leaf: Leaf) -> None:
    """Its worker is stopped for a while, as the kernel does it."""
    source = Told()
    async with supervising(source, tmp_path, leaf, health=ANYWHERE) as supervisor:
        source.say(snapshot(1))
        await source.until_acknowledged(Version("one", 1))
        (worker,) = supervisor.workers
        os.kill(worker, signal.SIGSTOP)
        try:
            source.say(snapshot(2))
            first = await until(supervisor, lambda now: now["routes_version_told"] == 2)
            assert first["routes_version"] == 1
            assert first["routes_lag_seconds"] > 0
            later = await until(supervisor, lambda now: now["routes_lag_seconds"] > first["routes_lag_seconds"])
            assert later["routes_version"] == 1
        finally:
            os.kill(worker, signal.SIGCONT)
        await source.until_acknowledged(Version("one", 2))
        assert (await until(supervisor, lambda now: now["routes_version"] == 2))["routes_lag_seconds"] == 0
