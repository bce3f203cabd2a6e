"""The simulation: from when to when lags count, what breaks a rate, and a run as small as can be."""

import importlib.util
import json
import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from bench.record import Record
from bench.scale import kept
from bench.scale.cluster import Cluster
from bench.scale.kept import Scale
from bench.scale.marks import Arrival, Fact, Mark, What, Wish, arrivals, in_time, unseen, wrong
from bench.scale.objects import CLAIMS, PARTS, PODS, SETS
from bench.scale.plan import Plan
from bench.scale.population import populate
from bench.scale.processes import CHANGES, CLUSTER, CONTROLLER, GATEWAYS
from bench.scale.questions import ACHIEVED, ALL, CPU, EVERY, FAILED, GROUPS, LOST, MEMORY, RATE, SIZE, STARTUP, question
from bench.scale.report import broken, report

POLICIES = PARTS["NetworkPolicy"]

HOST = "a.pods.localhost"
UP, DOWN = ("available", "10.0.0.1:8080", "owner"), ("starting", "", "owner")


def fact(gateway: int, at: float, state: str, address: str = "", access: str = "owner") -> Fact:
    return Fact(gateway, at, HOST, state, address, access)


@pytest.mark.parametrize(
    ("what", "value", "before", "after"),
    [
        (What.READY, "10.0.0.1:8080", DOWN, UP),
        (What.READY, "10.0.0.1:8080", ("available", "10.0.0.2:8080", "owner"), UP),
        (What.AWAY, "10.0.0.1:8080", UP, DOWN),
        (What.AWAY, "10.0.0.1:8080", UP, ("available", "10.0.0.2:8080", "owner")),
        (What.STOPPED, "", UP, ("stopped", "", "owner")),
        (What.STOPPED, "", UP, ("removed", "", "")),
        (What.STARTED, "", ("stopped", "", "owner"), UP),
        (What.ACCESS, "read", UP, ("available", "10.0.0.1:8080", "read")),
    ],
)
def test_a_lag_ends_where_the_route_is_as_it_was_to_be(
    what: What, value: str, before: tuple[str, str, str], after: tuple[str, str, str]
) -> None:
    mark = Mark(what, 10.0, HOST, value)
    facts = [fact(0, 9.0, *after), fact(0, 10.5, *before), fact(1, 11.0, *after), fact(0, 12.0, *after)]
    assert arrivals([mark], facts, 2) == [Arrival(mark, first=1.0, every=2.0)]


@pytest.mark.parametrize(
    ("state", "address", "access", "is_wrong"),
    [
        ("available", "10.0.0.2:80", "read", False),
        ("available", "10.0.0.1:80", "read", True),
        ("available", "10.0.0.2:80", "write", True),
        ("stopped", "", "read", True),
        (None, "", "", True),
    ],
)
def test_a_route_is_wrong_that_is_not_in_the_end_what_it_is_to_be(
    state: str | None, address: str, access: str, is_wrong: bool
) -> None:
    good = Fact(0, 1.0, "a", "available", "10.0.0.2:80", "read")
    other = {} if state is None else {"a": Fact(1, 1.0, "a", state, address, access)}
    wishes, addresses = {"a": Wish("available", "read")}, {"a": "10.0.0.2:80"}
    assert wrong(wishes, addresses, {0: {"a": good}, 1: other}, 2) == (["a"] if is_wrong else [])
    assert wrong({"a": Wish("available")}, {}, {0: {"a": good}}, 1) == [], "where nothing more is known"
    assert wrong({"a": Wish("removed", "read")}, addresses, {0: {"a": good._replace(state="removed")}}, 1) == []


def test_what_one_gateway_never_showed_is_unseen() -> None:
    mark = Mark(What.STOPPED, 1.0, HOST)
    found = arrivals([mark, Mark(What.STOPPED, 1.0, "other")], [fact(0, 1.5, "stopped")], 2)
    assert [(each.first, each.every) for each in found] == [(0.5, None), (None, None)]
    assert (unseen(found), in_time(found, [What.STOPPED], every=False)) == (2, [0.5])


async def test_the_double_makes_and_ends_pods_as_a_cluster_does(autojump_clock: MockClock) -> None:
    told: list[tuple[str, str, float]] = []
    (first,) = populate(1, 7)
    name = f"pg-{first.key}"
    async with trio.open_nursery() as nursery:
        begun = trio.current_time()
        words = lambda word, name, _address: told.append((word, name, trio.current_time() - begun))  # noqa: E731
        cluster = Cluster(nursery, words, starting=0.3, stopping=0.1)
        cluster.settle_in([first])
        assert [len(cluster.objects[plural]) for plural in (SETS, PODS, CLAIMS)] == [1, 1, 1]
        cluster.delete(PODS, f"{name}-0", {}, by_hand=True)
        await trio.sleep(1.0)
        assert told == [("away", first.name, 0.0), ("ready", first.name, pytest.approx(0.4))]
        cluster.merge(SETS, name, {"spec": {"replicas": 0}})
        await trio.sleep(1.0)
        assert (cluster.find(PODS, f"{name}-0"), len(told)) == (None, 2)
        policy = {"metadata": {"name": name}, "spec": {"podSelector": {}}}
        known = cluster.log(POLICIES).count
        assert cluster.apply(POLICIES, name, deepcopy(policy)).thing == cluster.find(POLICIES, name)
        assert cluster.log(POLICIES).count == known, "it is there from the beginning"
        cluster.drop(POLICIES, name)
        for _ in range(2):
            cluster.apply(POLICIES, name, deepcopy(policy))
        assert cluster.log(POLICIES).count == known + 2, "gone, and made once"
        cluster.delete(SETS, name, {"propagationPolicy": "Foreground"}, by_hand=False)
        assert (cluster.find(SETS, name), cluster.find(POLICIES, name)) == (None, None)
        log = cluster.log(PODS)
        events = [json.loads(line) for line in log.after(0).splitlines()]
        assert [each["type"] for each in events] == [
            "MODIFIED", "MODIFIED", "DELETED", "ADDED", "MODIFIED", "MODIFIED", "MODIFIED", "MODIFIED", "MODIFIED",
            "DELETED",
        ]  # fmt: skip
        seen = int(events[3]["object"]["metadata"]["resourceVersion"])
        assert log.after(log.seen_by(seen)).splitlines() == log.after(0).splitlines()[4:]


def scale(lag: float = 0.1, missing: float = 0.0) -> Scale:
    """Give a run of one rate at which every lag was so long."""
    run = Scale(Plan(sizes=(100,), rates=(50.0,)), Record(machine={"commit": "abc1234"}))
    for experiment, at in ((SIZE, 100), (RATE, 50)):
        for case in GROUPS:
            run.record.add(question(experiment, case, EVERY, at), CONTROLLER, lag)
        for name in (CONTROLLER, CLUSTER, GATEWAYS, CHANGES):
            run.record.add(question(experiment, ALL, CPU, at), name, 0.95 if name == CONTROLLER else 0.1)
        run.record.add(question(experiment, ALL, LOST, at), CONTROLLER, missing)
    return run


@pytest.mark.parametrize(("lag", "missing", "is_broken"), [(0.9, 0, False), (1.3, 0, True), (0.1, 1, True)])
def test_a_rate_is_broken_by_late_changes_and_by_lost_ones(lag: float, missing: float, is_broken: bool) -> None:
    run = scale(lag, missing)
    assert broken(run, 50) is is_broken
    said = "the controller's one core is what breaks first" if is_broken else "none was found up to 50 changes a second"
    assert said in report(run)
    assert "**This is a simulation.**" in report(run)


def test_a_run_is_kept_and_read_again(tmp_path: Path) -> None:
    run = scale()
    kept.save(run, tmp_path)
    assert kept.load(tmp_path).to_document() == run.to_document()
    assert kept.load(tmp_path).plan == run.plan


@pytest.mark.slow
def test_a_real_controller_is_followed_through_changes_of_a_small_cluster(tmp_path: Path) -> None:
    if importlib.util.find_spec("kubernetes") is None:
        pytest.skip("pip install 'podgate[kubernetes]'")
    command = [sys.executable, "-m", "bench", "scale", "--pods", "100", "--gateways", "2", "--rate", "20"]
    command += ["--seconds", "5", "--rates", "", "--out", str(tmp_path), "--json"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = kept.load(tmp_path)
    assert found.to_document() == json.loads(done.stdout)

    def values(metric: object, case: str = ALL, name: str = CONTROLLER) -> list[float]:
        return found.record.values(question(SIZE, case, metric, 100), name)  # type: ignore[arg-type]

    notes = [note for note in found.record.notes if "one core only" not in note]  # where tests have no more
    assert (notes, values(LOST), values(FAILED)) == ([], [0.0], [0.0])
    assert values(STARTUP)[0] > 0
    assert values(ACHIEVED)[0] == pytest.approx(20, rel=0.5)
    assert all(values(CPU, name=name)[0] > 0 for name in (CONTROLLER, CLUSTER, GATEWAYS, CHANGES))
    assert values(MEMORY)[0] > 10
    assert [len(values(EVERY, case)) > 5 for case in GROUPS] == [True, True, True]
    assert "### Lag" in (tmp_path / "README.md").read_text()
