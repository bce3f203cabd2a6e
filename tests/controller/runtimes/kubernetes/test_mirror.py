"""The mirror: what is kept of what the watches bring, and what is told by it."""

from typing import Any

import pytest

from controller.runtimes import Stage
from controller.runtimes.kubernetes import mirror
from controller.runtimes.kubernetes.manifests import KEY
from controller.runtimes.kubernetes.mirror import Kind, Mirror

JSON = dict[str, Any]


def claim(key: str, name: str = "") -> JSON:
    return {"metadata": {"name": name or f"data-pg-{key}-0", "labels": {KEY: key}}}


def wanted(key: str) -> JSON:
    return {"metadata": {"name": f"pg-{key}", "uid": "u", "labels": {KEY: key}}, "spec": {"replicas": 1}}


def pod(key: str) -> JSON:
    return {"metadata": {"name": f"pg-{key}-0", "uid": "u", "labels": {KEY: key}}, "spec": {}, "status": {}}


def warning(name: str, about: str, message: str) -> JSON:
    return {"metadata": {"name": name}, "involvedObject": {"name": about}, "message": message}


def test_one_look_for_each_thing_and_one_word_for_each_change() -> None:
    changed: list[str] = []
    moved: list[str] = []
    seen = Mirror(changed.append, moved.append)
    seen.put(Kind.CLAIM, claim("a"))
    seen.put(Kind.CLAIM, claim("a"))
    assert (changed, moved) == (["a"], ["a", "a"])
    seen.drop(Kind.CLAIM, claim("a"))
    seen.drop(Kind.CLAIM, claim("a"))
    assert (changed, moved) == (["a", "a"], ["a", "a", "a"])
    assert seen.seen == {}


def test_a_list_takes_out_what_is_not_in_it() -> None:
    seen = Mirror()
    seen.replace(Kind.CLAIM, [claim("a"), claim("b")])
    seen.replace(Kind.CLAIM, [claim("b"), claim("c")])
    assert set(seen.seen) == {"b", "c"}


def test_pods_of_like_names_are_kept_apart() -> None:
    """The Kubernetes pod of `a` is called as the StatefulSet of `a-0` is."""
    seen = Mirror()
    seen.put(Kind.STATEFUL_SET, wanted("a"))
    seen.put(Kind.POD, pod("a"))
    seen.put(Kind.STATEFUL_SET, wanted("a-0"))
    seen.drop(Kind.POD, pod("a"))
    seen.drop(Kind.STATEFUL_SET, wanted("a"))
    assert set(seen.seen) == {"a-0"}


@pytest.mark.parametrize("thing", [claim("a", "data-pg-b-0"), claim("A"), {"metadata": {"name": "data-pg-a-0"}}])
def test_what_is_not_called_as_it_says_is_none_of_ours(thing: JSON) -> None:
    seen = Mirror()
    seen.put(Kind.CLAIM, thing)
    assert seen.seen == {}


def test_what_stops_being_ours_is_gone() -> None:
    seen = Mirror()
    seen.put(Kind.CLAIM, claim("a"))
    seen.put(Kind.CLAIM, claim("b", "data-pg-a-0"))
    assert seen.seen == {}


def test_warnings_are_told_forgotten_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "MOST_WARNINGS", 2)
    seen = Mirror()
    seen.put(Kind.WARNING, warning("e1", "pg-a", "before the pod"))
    seen.put(Kind.STATEFUL_SET, wanted("a"))
    assert (seen.seen["a"].stage, seen.seen["a"].message) == (Stage.STARTING, "before the pod")
    seen.put(Kind.WARNING, warning("e1", "pg-a", "of the same event"))
    assert seen.seen["a"].message == "of the same event"
    seen.put(Kind.WARNING, warning("e2", "pg-b", "x"))
    seen.put(Kind.WARNING, warning("e3", "pg-c", "x"))
    assert seen.seen["a"].message == ""
    seen.drop(Kind.WARNING, warning("e3", "pg-c", "x"))
    seen.drop(Kind.WARNING, warning("e3", "pg-c", "x"))
