"""What a replica learns of pods from others, beside what it sees itself."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from controller.model import Phase, Pod, Status, Want
from controller.names import new_key
from controller.pods import Pods
from controller.pulse import Pulse
from controller.store.store import Store
from router.access import AccessLevel
from tests.controller.fakes import DeskInVirtualTime

UPSTREAMS = {"": "127.0.0.1:9000"}


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[Pods]:
    with Store(tmp_path / "controller.sqlite") as store:
        yield Pods(DeskInVirtualTime(store), Pulse(), now=lambda: 5.0)


def new_pod(name: str = "mydb") -> Pod:
    return Pod(0, new_key(name), name, "db", AccessLevel.WRITE, 0.0)


async def test_what_was_seen_here_stays_until_another_wishes_something_else(pods: Pods) -> None:
    pod = await pods.create(new_pod())
    pods.note(pod.key, Status(Phase.AVAILABLE), 1, UPSTREAMS)
    pods.learn({pod.key: replace(pod, owner="bob")}, everything=False)
    seen = replace(pod, owner="bob", status=Status(Phase.AVAILABLE), upstreams=UPSTREAMS)
    assert pods.get(pod.key) == seen
    off = replace(pod, owner="bob", want=Want.OFF, status=Status(since=6.0))
    pods.learn({pod.key: off}, everything=False)
    assert pods.get(pod.key) == off


async def test_what_was_seen_here_and_never_stored_is_taken_back(pods: Pods) -> None:
    pod = await pods.create(new_pod())
    pods.note(pod.key, Status(Phase.STARTING), 1, UPSTREAMS)
    await pods.save(pod.key, [])
    stored = pods.get(pod.key)
    pods.note(pod.key, Status(Phase.FAILED, "no"), 2, {})
    pods.take_back()
    assert pods.get(pod.key) == stored == replace(pod, status=Status(Phase.STARTING), upstreams=UPSTREAMS)


async def test_a_name_goes_over_to_another_pod(pods: Pods) -> None:
    first = await pods.create(new_pod())
    second = replace(first, key=new_key("mydb"), number=first.number + 1)
    gone: list[str] = []
    pods.gone = gone.append
    pods.learn({second.key: second, first.key: None, "never-23456789": None}, everything=False)
    assert (pods.find("mydb"), list(pods), gone) == (second, [second], [first.key])


async def test_who_reads_everything_forgets_what_is_not_there(pods: Pods) -> None:
    first, other = await pods.create(new_pod()), await pods.create(new_pod("other"))
    touched: list[str] = []
    pods.touched = touched.append
    pods.learn({other.key: other}, everything=True)
    assert (list(pods), pods.find(first.name), touched) == ([other], None, [])
