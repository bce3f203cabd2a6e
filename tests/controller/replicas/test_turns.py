"""Two replicas at one PostgreSQL: they change things one after the other, each by what is, and only the leader tells
what it sees.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import URL

from controller.identity import Entry, Person
from controller.model import Event, Phase, Pod, Status, Want
from controller.names import new_key
from controller.store import postgres, turns
from controller.store.database import StoreFailure
from controller.store.directory import put_group, put_person, remove_person
from controller.store.journal import Question
from controller.store.store import NameTaken, News, Store
from controller.store.turns import NotLeader
from router.access import AccessLevel
from tests.databases import lead
from tests.peers import DEADLINE

CREATED = Event(1.0, "created", "")


def new_pod(name: str = "mydb") -> Pod:
    return Pod(0, new_key(name), name, "db", AccessLevel.WRITE, 1.0)


@pytest.fixture
def stores(database: URL) -> Iterator[tuple[Store, Store]]:
    with Store(database) as one, Store(database) as other:
        yield one, other


def news(found: News | None) -> News:
    assert found is not None
    return found


def test_who_comes_second_decides_by_what_the_first_changed(stores: tuple[Store, Store]) -> None:
    one, other = stores
    known = one.state().number
    assert one.begin(known) is None
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(other.begin, known)
        created = one.create(new_pod(), CREATED)
        learned = news(waiting.result(DEADLINE))
    assert dict(learned.pods) == {created.key: created}
    assert (learned.directory, learned.everything) == (None, False)
    other.change(replace(created, want=Want.OFF), Event(2.0, "stop", ""))
    assert news(one.since(known + 1)).pods[created.key] == replace(created, want=Want.OFF)
    assert one.since(known + 2) is None


def test_a_turn_without_a_change_lets_others_go_on(stores: tuple[Store, Store]) -> None:
    one, other = stores
    known = one.state().number
    one.begin(known)
    one.end()
    assert other.begin(known) is None
    other.end()
    assert one.begin(known) is None


def test_two_that_make_a_pod_of_one_name_make_one(stores: tuple[Store, Store]) -> None:
    one, other = stores
    with ThreadPoolExecutor(2) as threads:
        outcomes = [threads.submit(store.create, new_pod(), CREATED) for store in (one, other)]
    errors = [error for each in outcomes if (error := each.exception()) is not None]
    assert [type(error) for error in errors] == [NameTaken]
    assert len(one.pods()) == 1
    assert one.state() == other.state()


def test_people_and_what_goes_with_them_are_news(stores: tuple[Store, Store]) -> None:
    one, other = stores
    known = one.state().number
    one.write([put_group("lab"), *put_person(Person("alice", groups=frozenset({"lab"}), salt=b"s"))], [])
    found = news(other.since(known)).directory
    assert found is not None
    assert [person.name for person in found.people] == ["alice"]
    one.write(remove_person("alice"), [])
    assert news(other.since(known + 1)).directory == found._replace(people=[])


def test_a_pod_that_is_gone_is_news_too(stores: tuple[Store, Store]) -> None:
    one, other = stores
    lead(one, "one")
    pod = one.create(new_pod(), CREATED)
    known = other.state().number
    one.forget(pod)
    assert dict(news(other.since(known)).pods) == {pod.key: None}


def test_who_was_away_too_long_reads_everything(stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MOST_CHANGES", 10)
    one, other = stores
    known = other.state().number
    pod = one.create(new_pod(), CREATED)
    for _ in range(100):
        one.tick()
    found = news(other.since(known))
    assert (found.everything, dict(found.pods)) == (True, {pod.key: pod})
    assert news(other.since(known + 10**6)).everything, "a store that was put back from a copy is behind"


def test_who_leads_no_more_writes_nothing_of_what_it_saw(stores: tuple[Store, Store]) -> None:
    one, other = stores
    assert lead(other, "other") < lead(one, "one")
    pod = one.create(new_pod(), CREATED)
    one.save_status(replace(pod, status=Status(Phase.STARTING)), [])
    assert one.state().leader == "one"
    lead(other, "other")
    before = one.state()
    writes: list[Callable[[], object]] = [
        lambda: one.save_status(replace(pod, status=Status(Phase.AVAILABLE)), [Event(2.0, "available", "")]),
        lambda: one.forget(pod),
        lambda: one.set_secrets(replace(pod, secrets={"owner": "x"}), as_leader=True),
    ]
    for write in writes:
        with pytest.raises(NotLeader):
            write()
    assert one.state() == before
    assert one.pods() == [replace(pod, status=Status(Phase.STARTING))]
    assert [event.kind for event in one.events(pod)] == ["created"]
    one.change(replace(pod, want=Want.OFF), Event(3.0, "stop", ""))  # which any replica may
    other.save_status(replace(pod, want=Want.OFF, status=Status(Phase.STOPPED)), [])
    assert one.pods()[0].status.phase is Phase.STOPPED


def test_who_falls_asleep_in_its_turn_has_lost_it(database: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as impatient:
        impatient.setattr(postgres, "IDLE_LIMIT", 1)
        asleep = Store(database)
    with asleep, Store(database) as other:
        known = asleep.state().number
        asleep.begin(known)
        assert other.begin(known) is None, "which waits until the server has ended the other's transaction"
        created = other.create(new_pod(), CREATED)
        with pytest.raises(StoreFailure, match=r"try again|tried again"):
            asleep.create(new_pod("late"), CREATED)
        assert asleep.pods() == [created]
        asleep.create(new_pod("later"), CREATED)


def test_a_turn_that_takes_too_long_is_told(database: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "LOCK_LIMIT", 1)
    with Store(database) as slow, Store(database) as other:
        slow.begin(slow.state().number)
        with pytest.raises(StoreFailure, match="held by another replica; try again"):
            other.tick()
        slow.create(new_pod(), CREATED)
        other.tick()


def test_what_changes_nothing_needs_no_turn(stores: tuple[Store, Store]) -> None:
    one, other = stores
    one.begin(one.state().number)
    other.note([Entry(1.0, "alice", "connect")])
    assert [entry.who for entry in other.entries(Question(10))] == ["alice"]
    one.end()
