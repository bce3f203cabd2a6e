"""Replicas with homes of their own: pods that are processes are in one of them, and are started anew in no other."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from sqlalchemy import URL

from controller.home import HomeProblem, ensure_tokens
from controller.replicas import hearing
from controller.replicas.hearing import NameTaken, first_hearing
from controller.replicas.place import settle
from controller.settings import KUBERNETES, PROCESS, Settings
from controller.store.store import Store
from tests.controller.replicas.living import Replica, ended, until
from tests.controller.replicas.test_leadership import Candidate
from tests.controller.runtimes.homes import a_mark, new_home, processes_with


@pytest.fixture
def homes() -> Iterator[tuple[Path, Path]]:
    with new_home() as one, new_home() as other:
        yield one, other


def settings(home: Path, runtime: str = PROCESS) -> Settings:
    return Settings(home, "pods.test", "127.0.0.1", 8443, home / "ca.pem", runtime=runtime)


def test_a_replica_with_another_home_starts_no_pod_anew(homes: tuple[Path, Path], database: URL) -> None:
    home, another = homes
    mark = a_mark()
    with Replica(home, database, "one") as one:
        one.leads()
        assert one.create("page", mark).status_code == 201
        one.available("page")
        (running,) = processes_with(f"{mark}-page")
        for _ in range(2):  # while the first leads, and when it is gone
            status, log = ended(another, database, "--replica", "other")
            assert (status, log.count("\n")) == (1, 1)
            assert "run in another home, and would be started anew here, empty; run this replica in that one" in log
            assert "podgate controller --adopt-home" in log
            assert not list(another.glob("*.token")), "nor does it have any token let in"
            one.process.kill()
            one.process.wait()
    assert processes_with(f"{mark}-page") == [running]
    with Replica(home, database, "other") as other:
        other.leads()
        assert other.available("page")["restarts"] == 0
        assert processes_with(f"{mark}-page") == [running]
        other.end_all()


def test_a_home_takes_the_place_of_one_that_is_lost(homes: tuple[Path, Path], database: URL) -> None:
    home, another = homes
    mark = a_mark()
    with Replica(home, database, "one") as one:
        one.leads()
        assert one.create("page", mark).status_code == 201
        one.available("page")
        status, log = ended(another, database, "--replica", "other", "--adopt-home")
        assert (status, "replica 'one' leads, and runs the pods of" in log) == (1, True), log
        one.process.kill()
    for process in processes_with(f"{mark}-page"):  # as a machine that is lost ends all
        os.kill(process, signal.SIGKILL)
    status, log = ended(another, database, "--replica", "other", "--adopt-home")
    assert (status, f"run in {another} from now on; start replicas without --adopt-home" in log) == (0, True), log
    with Replica(another, database, "other") as other:
        other.leads()
        until(lambda: processes_with(f"{mark}-page"))
        assert [path.name for path in (another / "pods").iterdir()] == [other.get("/v1/pods/page")["key"]]
        status, log = ended(home, database, "--replica", "one")
        assert (status, "run in another home" in log) == (1, True), "also that of before"
        other.end_all()


def test_a_home_without_the_tokens_that_are_let_in_makes_none_in_their_place(
    homes: tuple[Path, Path], database: URL, caplog: pytest.LogCaptureFixture
) -> None:
    home, another = homes
    with Store(database) as store:
        scopes = ensure_tokens(home, store)
        for missing in (r"admin\.token and no gateway\.token", r"gateway\.token"):
            with pytest.raises(
                HomeProblem, match=f"has no {missing}, and .*copy admin.token, gateway.token and author"
            ):
                ensure_tokens(another, store)
            assert store.tokens() == scopes
            shutil.copy(home / "admin.token", another)
        shutil.copy(home / "gateway.token", another)
        assert ensure_tokens(another, store) == scopes
        assert "is let in now" not in caplog.text
        (another / "gateway.token").unlink()
        adopted = ensure_tokens(another, store, anew=True)
        assert len(adopted.keys() & scopes.keys()) == 1, "admin.token is as before"
        assert "gateway.token is let in now, and the one before no more; every replica's home needs it" in caplog.text


async def test_a_leader_whose_pods_run_elsewhere_by_now_leads_no_more(database: URL, nursery: trio.Nursery) -> None:
    one, other = Candidate(database, place="home a"), Candidate(database, "other", place="home b")
    with Store(database) as store:
        assert store.claim("home a") == "home a"
        second = await nursery.start(other.run)
        first = await nursery.start(one.run)
        await one.leads()
        assert (store.move("home b"), other.terms) == ("one", [])
        assert store.move("home a") == "", "where it is already"
        await one.leadership.confirm()
        first.cancel()
        await one.is_over()
        while store.move("home b"):  # until its session has ended
            await trio.lowlevel.checkpoint()
    await other.leads()
    assert one.terms == [1], "and no other after it"
    second.cancel()


async def test_two_replicas_of_one_name_do_not_run_side_by_side(database: URL) -> None:
    with pytest.MonkeyPatch.context() as patch, await first_hearing(database, "one") as session:
        patch.setattr(hearing, "NAME_LIMIT", 0.0)
        with pytest.raises(NameTaken, match=r"another replica named 'one' uses .*; choose another name for one with"):
            await first_hearing(database, "one")
        with await first_hearing(database, "other"):
            pass
        patch.setattr(hearing, "NAME_LIMIT", 20.0)
        async with trio.open_nursery() as nursery:
            with trio.fail_after(20):
                nursery.start_soon(trio.to_thread.run_sync, session.close)  # as the life before ends meanwhile
                (await first_hearing(database, "one")).close()


def test_a_replica_of_a_name_that_runs_elsewhere_says_so_and_ends(homes: tuple[Path, Path], database: URL) -> None:
    home, another = homes
    with Replica(home, database, "one"):
        status, log = ended(another, database, "--replica", "one")
        assert (status, "another replica named 'one' uses" in log, log.count("\n")) == (1, True, 1), log


@pytest.mark.parametrize(
    ("first", "then", "reason"),
    [
        (PROCESS, KUBERNETES, "as processes in a home, and would be .*; leave out --runtime kubernetes"),
        (KUBERNETES, PROCESS, "in a Kubernetes cluster, and would be .*; give --runtime kubernetes"),
    ],
)
def test_pods_of_one_runtime_are_not_started_anew_in_another(
    homes: tuple[Path, Path], database: URL, first: str, then: str, reason: str
) -> None:
    home, another = homes
    with Store(database) as store:
        settle(settings(home, first), store)
        with pytest.raises(HomeProblem, match=reason):
            settle(settings(home, then), store)
        settle(settings(home, first), store)
        if first == KUBERNETES:  # a cluster has no home
            settle(settings(another, first), store)
