"""What counts as drift, in whatever order the answer of an apply and the watch's word of it come."""

from typing import Any

import pytest

from controller.runtimes.kubernetes.drift import PARTS, STATEFUL_SET, Drift
from controller.runtimes.kubernetes.manifests import GENERATION, selector
from controller.runtimes.kubernetes.settings import ClusterSettings

JSON = dict[str, Any]
KIND, NAME = "NetworkPolicy", "pg-p1"
SETTINGS = ClusterSettings()
OURS = dict(label.split("=") for label in selector(SETTINGS).split(","))


def thing(version: int, name: str = NAME, **metadata: Any) -> JSON:
    return {"metadata": {"name": name, "uid": "u", "resourceVersion": str(version), "labels": OURS, **metadata}}


class Told:
    """A drift, and whose objects it doubted."""

    def __init__(self) -> None:
        self.doubted: list[str] = []
        self.drift = Drift(SETTINGS, self.doubted.append)

    def applied(self, version: int, kind: str = KIND) -> None:
        self.drift.apply(kind, NAME)
        self.drift.applied(kind, NAME, thing(version))

    @property
    def due(self) -> set[str]:
        return self.drift.doubtful(NAME, PARTS)


@pytest.fixture
def told() -> Told:
    found = Told()
    found.drift.replace(KIND, [thing(1)])
    return found


def test_what_nobody_applied_yet_is_in_no_doubt_unless_it_is_missing(told: Told) -> None:
    assert (told.due, told.drift.unknown(NAME, PARTS)) == (set(), set(PARTS))
    assert told.drift.doubtful("pg-p2", PARTS) == {KIND}
    assert told.drift.doubtful("pg-p2", ("Service",)) == set()  # of which no list came yet


def test_an_answer_before_its_event(told: Told) -> None:
    told.applied(2)
    assert told.due == set()  # what is seen is older
    told.drift.put(KIND, thing(2))
    assert (told.due, told.doubted) == (set(), [])
    told.drift.put(KIND, thing(3))
    assert (told.due, told.doubted) == ({KIND}, [NAME])


def test_an_event_before_its_answer(told: Told) -> None:
    told.drift.apply(KIND, NAME)
    told.drift.put(KIND, thing(2))
    told.drift.applied(KIND, NAME, thing(2))
    assert told.due == set()


def test_a_deletion_between_an_apply_and_its_answer(told: Told) -> None:
    told.drift.drop(KIND, NAME)
    told.doubted.clear()
    told.drift.apply(KIND, NAME)
    told.drift.put(KIND, thing(2))
    told.drift.drop(KIND, NAME)
    told.drift.applied(KIND, NAME, thing(2))
    assert told.due == {KIND}
    assert told.doubted


def test_what_a_new_list_does_not_have_though_it_was_applied(told: Told) -> None:
    told.drift.drop(KIND, NAME)
    told.applied(2)  # and deleted before anything was told of it
    assert told.due == set()
    told.drift.replace(KIND, [])
    assert told.due == {KIND}


def test_an_apply_that_changed_nothing_ends_the_doubt(told: Told) -> None:
    told.applied(1)
    told.drift.put(KIND, thing(5))
    assert told.due == {KIND}
    told.applied(5)
    assert told.due == set()


def test_a_stateful_set_s_status_is_no_drift(told: Told) -> None:
    told.drift.replace(STATEFUL_SET, [thing(1, generation=1)])
    told.drift.apply(STATEFUL_SET, NAME)
    told.drift.applied(STATEFUL_SET, NAME, thing(2, generation=2))
    for version in range(2, 9):
        told.drift.put(STATEFUL_SET, thing(version, generation=2))
    assert told.drift.doubtful(NAME, (STATEFUL_SET,)) == set()
    told.drift.put(STATEFUL_SET, thing(9, generation=3))
    assert told.drift.doubtful(NAME, (STATEFUL_SET,)) == {STATEFUL_SET}


def test_a_second_kubernetes_pod_of_a_generation_wants_its_secret(told: Told) -> None:
    def pod(uid: str, generation: int) -> JSON:
        return {"metadata": {"name": f"{NAME}-0", "uid": uid, "annotations": {GENERATION: str(generation)}}}

    for uid, generation in (("a", 1), ("a", 1), ("b", 2)):
        told.drift.see_pod(NAME, pod(uid, generation))
        assert told.due == set()
    told.drift.see_pod(NAME, pod("c", 2))
    assert (told.due, told.doubted) == ({"Secret"}, [NAME])
    told.applied(7, "Secret")
    assert told.due == set()


def test_whose_an_object_is(told: Told) -> None:
    drift = told.drift
    assert not drift.is_foreign(KIND, NAME, "owner")
    drift.put(KIND, thing(2, labels={}))
    assert drift.is_foreign(KIND, NAME, "owner")
    drift.put(KIND, thing(3, labels={}, ownerReferences=[{"uid": "owner"}]))  # its labels were taken off
    assert not drift.is_foreign(KIND, NAME, "owner")
    assert drift.is_foreign(KIND, NAME, "")
    assert drift.left(NAME) == []


def test_of_a_whole_namespace_only_what_could_be_ours_is_kept(told: Told) -> None:
    told.drift.replace(KIND, [thing(1, name) for name in ("default-deny", "pg-", "pg-a.b", "pg-p2")])
    assert told.drift.names(KIND) == {"pg-p2"}


def test_what_is_forgotten_is_known_no_more(told: Told) -> None:
    told.applied(2)
    told.drift.forget(NAME)
    assert told.drift.unknown(NAME, PARTS) == set(PARTS)
