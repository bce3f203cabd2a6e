"""Cancels through real workers and supervisors: to another worker, and to another replica over mutual TLS."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
import trustme

from certs.authority import Authority
from certs.leaf import Leaf
from gateway.cancelling import DELIVERY, Owner, owner_of
from gateway.identity import LocalIdentity
from gateway.peers import Peers
from gateway.wire.pgmessage import CancelKey, cancel_request
from tests.gateway.database_site import Site, site
from tests.gateway.databases import Database, database
from tests.peers import DEADLINE
from tests.ports import free_port

MANY = 16  # connections: that the kernel gives all of them to one of two workers happens once in 65,536 times


@pytest.fixture
def real() -> Iterator[Database]:
    with database() as served:
        yield served


async def test_any_worker_brings_a_cancel_to_the_one_that_owns_it(
    tmp_path: Path, ca: trustme.CA, leaf: Leaf, real: Database
) -> None:
    async with site(tmp_path, ca, leaf, real, workers=2) as gateway:
        for version in ((3, 0), (3, 2)):
            session = await gateway.log_in(version)
            for _ in range(MANY):
                await gateway.cancel(session.key)
                assert real.cancels.get_nowait() == cancel_request(real.key(real.sessions))  # before the end is told


async def test_of_two_workers_each_names_itself(tmp_path: Path, ca: trustme.CA, leaf: Leaf, real: Database) -> None:
    async with site(tmp_path, ca, leaf, real, workers=2, replica=9) as gateway:
        assert (await gateway.session_of(0)).owner.replica == 9
        assert (await gateway.session_of(1)).owner.replica == 9


async def test_a_wrong_or_stale_key_does_nothing_at_any_worker(
    tmp_path: Path, ca: trustme.CA, leaf: Leaf, real: Database
) -> None:
    async with site(tmp_path, ca, leaf, real, workers=2) as gateway:
        stale = await gateway.log_in()
        stale.client.close()
        kept = await gateway.log_in()
        owner = kept.owner
        for other in (
            stale.key,
            CancelKey(kept.key.process_id, stale.key.secret),
            CancelKey(owner._replace(worker=1 - owner.worker).to_number(), kept.key.secret),
            CancelKey(owner._replace(worker=200).to_number(), kept.key.secret),
            CancelKey(owner._replace(replica=1).to_number(), kept.key.secret),
        ):
            await gateway.cancel(other)
        await gateway.cancel(kept.key)
        assert real.cancels.get_nowait() == cancel_request(real.key(2))
        assert real.cancels.empty()


async def test_cancels_for_a_worker_that_is_gone_are_done_at_once(
    tmp_path: Path, ca: trustme.CA, leaf: Leaf, real: Database
) -> None:
    async with site(tmp_path, ca, leaf, real, workers=2) as gateway:
        session = await gateway.session_of(1)
        left = await gateway.session_of(0)
        os.kill(gateway.supervisor.workers[1], signal.SIGKILL)
        for _ in range(MANY // 2):
            with trio.fail_after(DELIVERY):  # less than its supervisor would wait for a worker that is there
                try:
                    await gateway.cancel(session.key)
                except OSError:
                    continue  # it went to the one that was killed
        await gateway.cancel(left.key)
        assert real.cancelled() == cancel_request(real.key(real.sessions))
        assert real.cancels.empty()


async def test_a_draining_worker_still_takes_cancels(
    tmp_path: Path, ca: trustme.CA, leaf: Leaf, real: Database
) -> None:
    identity = LocalIdentity(Authority.open(tmp_path / "authority"))
    async with replicas(tmp_path, ca, leaf, real, identity, drain=DEADLINE) as (one, two):
        session = await one.log_in()
        one.supervisor.drain()
        await two.cancel(session.key)
        assert real.cancels.get_nowait() == cancel_request(real.key(1))
        session.client.close()


# ---- replicas


@asynccontextmanager
async def replicas(
    directory: Path, ca: trustme.CA, leaf: Leaf, real: Database, identity: LocalIdentity, drain: float = 0.0
) -> AsyncIterator[tuple[Site, Site]]:
    """Two gateways that know each other, with numbers 1 and 2."""
    ports = (free_port(), free_port())
    places = [("127.0.0.1", port) for port in ports]
    one, two = Peers(places[0], (places[1],), identity), Peers(places[1], (places[0],), identity)
    (directory / "one").mkdir()
    (directory / "two").mkdir()
    start = partial(site, ca=ca, leaf=leaf, real=real, drain=drain)
    async with (
        start(directory / "one", replica=1, peers=one) as first,
        start(directory / "two", replica=2, peers=two) as second,
    ):
        yield first, second


async def test_another_replica_brings_a_cancel_to_the_one_that_owns_it(
    tmp_path: Path, ca: trustme.CA, leaf: Leaf, real: Database
) -> None:
    identity = LocalIdentity(Authority.open(tmp_path / "authority"))
    async with replicas(tmp_path, ca, leaf, real, identity) as (one, two):
        for here, there, version in ((one, two, (3, 0)), (two, one, (3, 2))):
            session = await here.log_in(version)
            owner = owner_of(session.key)
            assert owner == Owner(1 if here is one else 2, 0, 1)
            for gateway in (there, here):
                await gateway.cancel(session.key)
                assert real.cancels.get_nowait() == cancel_request(real.key(real.sessions))
            await there.cancel(CancelKey(session.key.process_id, b"\0" * len(session.key.secret)))
            with trio.fail_after(DELIVERY):  # sent round in circles it would end with everybody's patience only
                await there.cancel(CancelKey(owner._replace(replica=3).to_number(), session.key.secret))
            assert real.cancels.empty()


async def test_a_worker_that_dies_while_it_is_asked_keeps_nobody_waiting(
    tmp_path: Path, ca: trustme.CA, leaf: Leaf, real: Database
) -> None:
    identity = LocalIdentity(Authority.open(tmp_path / "authority"))
    async with replicas(tmp_path, ca, leaf, real, identity) as (one, two):
        session = await one.log_in()
        (victim,) = one.supervisor.workers
        os.kill(victim, signal.SIGSTOP)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(two.cancel, session.key)
            asked = one.supervisor._workers[0]
            assert asked is not None
            while not asked._asked:
                await trio.lowlevel.checkpoint()
            os.kill(victim, signal.SIGKILL)
            with trio.fail_after(DELIVERY):  # less than one waits for a worker that is there
                while asked._asked:
                    await trio.lowlevel.checkpoint()
        assert real.cancels.empty()


async def test_a_replica_that_is_gone_costs_a_log_line(
    tmp_path: Path, ca: trustme.CA, leaf: Leaf, real: Database, caplog: pytest.LogCaptureFixture
) -> None:
    gone = free_port()
    identity = LocalIdentity(Authority.open(tmp_path / "authority"))
    peers = Peers(("127.0.0.1", 0), (("127.0.0.1", gone),), identity)
    async with site(tmp_path, ca, leaf, real, replica=1, peers=peers) as gateway:
        session = await gateway.log_in()
        for _ in range(4):
            await gateway.cancel(CancelKey(session.owner._replace(replica=2).to_number(), session.key.secret))
        await gateway.cancel(session.key)
        assert real.cancels.get_nowait() == cancel_request(real.key(1))
        assert caplog.text.count(f"peer 127.0.0.1 port {gone}: ") == 1
