"""When passwords are kept and how they rotate, with a keeper that writes down what it is told, in virtual time."""

import itertools
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from controller.feed import Feed
from controller.identity import Conflict
from controller.keeping import GATEWAYS_LIMIT, KEEP_EVERY, LOOK_AGAIN_AFTER, TRY_AGAIN_AFTER, Keeping, RotationFailed
from controller.model import Phase, Pod, Status, Want
from controller.pods import Pods
from controller.publish import routes_of
from controller.pulse import Pulse
from controller.runtimes import Stage
from controller.store.store import Store
from controller.templates import Template
from router.access import AccessLevel
from tests.controller.fakes import TEMPLATES, DeskInVirtualTime, FakeKeeper, FakeRuntime

KEPT: Mapping[str, Template] = {**TEMPLATES, "db": replace(TEMPLATES["db"], keeper="keeper")}
SECRETS = {"owner": "o", "read": "r", "keeper": "k"}


@dataclass
class Place:
    pods: Pods
    feed: Feed
    runtime: FakeRuntime
    keeper: FakeKeeper
    keeping: Keeping

    async def pod(self, name: str = "mydb", secrets: Mapping[str, str] = SECRETS, template: str = "db") -> Pod:
        pod = Pod(0, f"{name}-key", name, template, AccessLevel.READ, 0.0, secrets=secrets)
        pod = await self.pods.create(pod)
        self.runtime.show(pod.key, Stage.READY, 1)
        self.pods.note(pod.key, Status(Phase.AVAILABLE), 1)
        self.publish(pod.key)
        return pod

    def publish(self, key: str) -> None:
        pod = self.pods.get(key)
        assert pod is not None
        self.feed.put(key, routes_of(pod, self.runtime.pods.get(key), KEPT[pod.template], "pods.localhost"))

    def now(self, key: str = "mydb-key") -> Pod:
        pod = self.pods.get(key)
        assert pod is not None
        return pod

    def acknowledge(self) -> None:
        self.feed.acknowledge("one", self.feed.version, ())


@pytest.fixture
async def place(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Place]:
    with Store(tmp_path / "store") as store:
        changed, desk, runtime, keeper = Pulse(), DeskInVirtualTime(store), FakeRuntime(), FakeKeeper()
        pods, feed = Pods(desk, changed), Feed(changed)
        made = Place(pods, feed, runtime, keeper, Keeping(pods, feed, runtime, KEPT, changed, keeper))
        pods.shared = made.publish
        nursery.start_soon(made.keeping.run)
        yield made
        nursery.cancel_scope.cancel()


async def follow(place: Place) -> None:
    """Be a gateway that takes what is published and says so to nobody."""
    async for _ in place.feed.follow("one", 1):
        pass


async def test_what_the_levels_below_the_owner_use_is_kept_every_minute(
    autojump_clock: MockClock, place: Place
) -> None:
    await place.pod()
    await trio.sleep(KEEP_EVERY * 2.5)
    begun = place.keeper.told[0][0]
    assert place.keeper.told == [
        (begun + turn * KEEP_EVERY, "mydb at 127.0.0.1:9000", {"read": "r"}) for turn in range(3)
    ]


class Counting(dict[str, Template]):
    """Templates that count how often one is asked for."""

    asked = 0

    def get(self, name: str, default: object = None) -> Template | None:  # type: ignore[override]
        self.asked += 1
        return super().get(name)


async def test_a_change_of_one_pod_is_no_look_at_all_others(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    with Store(tmp_path / "store") as store:
        changed, templates = Pulse(), Counting(KEPT)
        desk, runtime, keeper = DeskInVirtualTime(store), FakeRuntime(), FakeKeeper()
        pods, feed = Pods(desk, changed), Feed(changed)
        place = Place(pods, feed, runtime, keeper, Keeping(pods, feed, runtime, templates, changed, keeper))
        for number in range(20):
            await place.pod(f"page{number}", template="page")
        nursery.start_soon(place.keeping.run)
        await trio.testing.wait_all_tasks_blocked()
        assert templates.asked == 20
        for _ in range(3):
            changed.beat()  # a gateway acknowledged something
            await trio.testing.wait_all_tasks_blocked()
        place.pods.note("page7-key", Status(Phase.AVAILABLE, "again"), 1)
        await trio.testing.wait_all_tasks_blocked()
        assert templates.asked == 21
        nursery.cancel_scope.cancel()


async def test_a_pod_where_somebody_goes_on_is_looked_at_every_second_and_then_the_sessions_end(
    autojump_clock: MockClock, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.keeper.changed = frozenset({"read"})
    await place.pod()
    await trio.sleep(KEEP_EVERY + LOOK_AGAIN_AFTER * 3.5)
    begun = place.keeper.told[0][0]
    assert [when - begun for when, *_ in place.keeper.told] == [0, KEEP_EVERY, *(KEEP_EVERY + n for n in (1, 2, 3))]
    assert place.keeper.repeated == [set(), set(), set(), {"read"}, {"read"}]
    assert "mydb-key" in caplog.messages[-1]
    assert """all sessions of these levels were ended: read; among them: "mallory's\"""" in caplog.messages[-1]


async def test_a_pod_that_was_set_right_is_looked_at_ever_later(autojump_clock: MockClock, place: Place) -> None:
    await place.pod()
    await trio.testing.wait_all_tasks_blocked()
    place.keeper.changed = frozenset({"read"})
    await trio.sleep(KEEP_EVERY + LOOK_AGAIN_AFTER * 1.5)
    place.keeper.changed = frozenset()
    place.keeper.told.clear()
    await trio.sleep(KEEP_EVERY * 4)
    times = [when for when, *_ in place.keeper.told]
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == [2, 4, 8, 16, 32, 60, 60]
    assert place.keeper.repeated[-3:] == [{"read"}, {"read"}, set()], "a quiet minute makes it forgotten"


async def test_a_pod_that_stalls_is_tried_again_ever_later(autojump_clock: MockClock, place: Place) -> None:
    pod = await place.pod()
    await trio.testing.wait_all_tasks_blocked()
    place.keeper.stalled = True
    place.keeper.told.clear()
    with pytest.raises(RotationFailed, match="no answer"):
        await place.keeping.rotate(pod.key)
    await trio.sleep(220)
    times = [when for when, *_ in place.keeper.told]
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == [5, 10, 20, 40, 60, 60]
    place.keeper.stalled = False
    rotated = await place.keeping.rotate(pod.key)
    assert rotated.pending == {}


async def test_a_pod_is_kept_while_it_is_available(autojump_clock: MockClock, place: Place) -> None:
    await place.pod("page", {}, "page")
    pod = await place.pod()
    await trio.testing.wait_all_tasks_blocked()
    place.pods.note(pod.key, Status(Phase.STOPPED), 1)
    await trio.sleep(KEEP_EVERY * 3)
    assert len(place.keeper.told) == 1
    place.pods.note(pod.key, Status(Phase.AVAILABLE), 2)
    await trio.testing.wait_all_tasks_blocked()
    assert len(place.keeper.told) == 2


async def test_a_database_that_hangs_holds_up_no_other(autojump_clock: MockClock, place: Place) -> None:
    place.keeper.hanging = "slow"
    await place.pod("slow")
    await place.pod()
    await trio.sleep(1)
    assert [what for _, what, _ in place.keeper.told] == ["slow at 127.0.0.1:9000", "mydb at 127.0.0.1:9000"]


async def test_a_rotation_without_gateways_is_done_at_once(autojump_clock: MockClock, place: Place) -> None:
    pod = await place.pod()
    rotated = await place.keeping.rotate(pod.key)
    assert rotated.secrets.keys() == SECRETS.keys()
    assert rotated.secrets["keeper"] == "k"
    assert not {rotated.secrets["owner"], rotated.secrets["read"]} & {"o", "r"}
    assert place.keeper.told[-1][2] == {level: rotated.secrets[level] for level in ("owner", "read")}
    assert rotated == place.now()
    assert place.keeper.restored == [rotated.secrets["owner"]], "and that it could not be restored holds up nothing"
    assert rotated.pending == {}


async def test_the_database_is_told_when_every_gateway_has_both(
    autojump_clock: MockClock, place: Place, nursery: trio.Nursery
) -> None:
    pod = await place.pod()
    nursery.start_soon(follow, place)
    await trio.testing.wait_all_tasks_blocked()
    place.keeper.told.clear()
    begun = trio.current_time()
    with pytest.raises(RotationFailed, match="not every gateway has taken the new passwords yet; see: podgate status"):
        await place.keeping.rotate(pod.key)
    assert trio.current_time() - begun == GATEWAYS_LIMIT
    assert place.keeper.told == []
    pending = place.now().pending
    assert pending.keys() == {"owner", "read"}
    place.acknowledge()
    await trio.sleep(TRY_AGAIN_AFTER + 1)
    assert [told for *_, told in place.keeper.told] == [pending]
    assert (place.now().pending, place.now().secrets) == ({}, {**SECRETS, **pending})


async def test_what_was_begun_before_is_finished_instead(autojump_clock: MockClock, place: Place) -> None:
    pod = await place.pod()
    place.keeper.failure = "no"
    with pytest.raises(RotationFailed, match="no"):
        await place.keeping.rotate(pod.key)
    pending = place.now().pending
    place.keeper.failure = ""
    rotated = await place.keeping.rotate(pod.key)
    assert rotated.secrets == {**SECRETS, **pending}


async def test_a_database_that_refuses_is_asked_again(autojump_clock: MockClock, place: Place) -> None:
    pod = await place.pod()
    place.keeper.failure = "the database said: no"
    with pytest.raises(RotationFailed, match="the database said: no"):
        await place.keeping.rotate(pod.key)
    assert place.now().secrets == SECRETS
    place.keeper.failure = ""
    await trio.sleep(TRY_AGAIN_AFTER + 1)
    assert place.now().pending == {}
    assert place.now().secrets != SECRETS


async def test_a_rotation_that_takes_too_long_goes_on_by_itself(autojump_clock: MockClock, place: Place) -> None:
    pod = await place.pod()
    await trio.testing.wait_all_tasks_blocked()
    place.keeper.hanging = "mydb"
    with pytest.raises(RotationFailed, match="longer than usual"):
        await place.keeping.rotate(pod.key)
    assert place.now().pending


async def test_what_cannot_be_rotated_is_left_as_it_is(autojump_clock: MockClock, place: Place) -> None:
    pod, page = await place.pod(), await place.pod("page", {}, "page")
    with pytest.raises(Conflict, match="cannot be changed"):
        await place.keeping.rotate(page.key)
    place.pods.note(pod.key, Status(Phase.STARTING), 2)
    with pytest.raises(Conflict, match="'mydb' is starting; start it first: podgate pod start mydb"):
        await place.keeping.rotate(pod.key)
    assert place.now().pending == {}


async def test_a_pod_that_goes_while_it_rotates(autojump_clock: MockClock, place: Place, nursery: trio.Nursery) -> None:
    pod = await place.pod()
    nursery.start_soon(follow, place)
    await trio.testing.wait_all_tasks_blocked()

    async def delete() -> None:
        await place.pods.change("mydb", lambda pod: replace(pod, want=Want.DELETED), "delete")

    nursery.start_soon(delete)
    with pytest.raises(Conflict, match="the pod is gone"):
        await place.keeping.rotate(pod.key)


async def test_who_may_not_rotate_changes_nothing(autojump_clock: MockClock, place: Place) -> None:
    pod = await place.pod()

    def check(_pod: Pod) -> None:
        raise Conflict("you may not")

    with pytest.raises(Conflict, match="you may not"):
        await place.keeping.rotate(pod.key, check)
    assert place.now() == replace(pod, status=Status(Phase.AVAILABLE), generation=1)


async def test_secrets_that_an_earlier_version_did_not_make_are_made(autojump_clock: MockClock, place: Place) -> None:
    await place.pod("old", {"owner": "o", "read": "r"})
    await place.pod()
    await place.keeping.complete()
    old = place.now("old-key").secrets
    assert {name: secret for name, secret in old.items() if name != "keeper"} == {"owner": "o", "read": "r"}
    assert len(old["keeper"]) >= 24
    assert place.now().secrets == SECRETS
