"""The store: what is written is there in the next life, whole or not at all."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import URL, create_engine, text

from controller.identity import ApiToken, Entry, Outcome, Person, SignIn
from controller.model import EndpointSettings, Event, Link, Phase, Pod, Status, Want
from controller.names import new_key, new_secret
from controller.store import journal, schema
from controller.store.database import MIGRATIONS, StoreFailure
from controller.store.directory import SealingKey, put_group, put_key, put_person, put_sign_in, put_token, remove_person
from controller.store.journal import LONGEST_KEPT, Question
from controller.store.store import MOST_EVENTS, NameTaken, Store
from router.access import AccessLevel
from router.model import WebRules
from router.routedocument import parse_network
from tests.databases import lead

CREATED = Event(1.0, "created", "")


def new_pod(name: str = "mydb") -> Pod:
    return Pod(
        number=0,
        key=new_key(name),
        name=name,
        template="db",
        access=AccessLevel.WRITE,
        created_at=1700000000.25,
        parameters={"a": "b"},
        env={"LANG": "de_DE.UTF-8 ä"},
        secrets={"owner": new_secret()},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "controller.sqlite"


Place = Path | URL


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, path: Path) -> Place:
    """Each of the databases that a store may be in."""
    if request.param == "sqlite":
        return path
    found: URL = request.getfixturevalue("database")
    return found


def opened(place: Place) -> Store:
    store = Store(place)
    if store.shared:
        lead(store, "a test")
    return store


def test_a_pod_is_there_in_the_next_life_as_it_was(place: Place) -> None:
    with opened(place) as store:
        created = store.create(new_pod(), CREATED)
        changed = replace(created, want=Want.OFF, generation=7, status=Status(Phase.FAILED, "no", 2.5, 3, 4, 5.5))
        store.change(changed, Event(2.0, "stop", ""))
    with opened(place) as store:
        assert store.pods() == [changed]
        assert [event.kind for event in store.events(changed)] == ["created", "stop"]


def test_only_its_owner_may_read_the_file(path: Path) -> None:
    with Store(path) as store:
        store.create(new_pod(), CREATED)
        assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}


def test_secrets_are_there_in_the_next_life(place: Place) -> None:
    with opened(place) as store:
        pod, other = store.create(new_pod(), CREATED), store.create(new_pod("other"), CREATED)
        assert pod.pending == {}
        rotating = replace(pod, secrets={"owner": "a", "keeper": "k"}, pending={"owner": "b"})
        store.set_secrets(rotating, [Event(2.0, "rotate", "")], [Entry(2.0, "alice", "rotate pod", pod.key)])
    with opened(place) as store:
        assert store.pods() == [rotating, other]
        assert [event.kind for event in store.events(pod)] == ["created", "rotate"]
        store.change(replace(pod, want=Want.OFF), Event(3.0, "stop", ""))
        store.save_status(replace(pod, want=Want.OFF, status=Status(Phase.STOPPED)), [])
        assert (store.pods()[0].secrets, store.pods()[0].pending) == (rotating.secrets, rotating.pending)
        store.forget(pod)
        store.set_secrets(rotating, [CREATED])
        assert store.pods() == [other]
        assert [entry.who for entry in store.entries(Question(10))] == ["alice"]


def test_a_name_is_taken_until_the_pod_is_forgotten(place: Place) -> None:
    with opened(place) as store:
        first = store.create(new_pod(), CREATED)
        with pytest.raises(NameTaken):
            store.create(new_pod(), CREATED)
        assert store.pods() == [first]
        store.forget(first)
        second = store.create(new_pod(), CREATED)
        assert second.number > first.number
        assert second.key != first.key
        assert len(store.events(second)) == 1


def test_a_status_is_not_written_over_a_later_wish(place: Place) -> None:
    with opened(place) as store:
        pod = store.create(new_pod(), CREATED)
        ready = replace(pod, status=Status(Phase.AVAILABLE))
        store.change(replace(pod, want=Want.OFF), Event(2.0, "stop", ""))
        store.save_status(ready, [Event(3.0, "available", "")])
        assert store.pods()[0].status.phase is Phase.REQUESTED
        store.change(replace(pod, generation=5), Event(2.0, "restart", ""))
        store.save_status(ready, [Event(3.0, "available", "")])
        assert (store.pods()[0].status.phase, store.pods()[0].generation) == (Phase.REQUESTED, 5)
        store.save_status(replace(ready, generation=6), [Event(3.0, "available", "")])
        assert (store.pods()[0].status.phase, store.pods()[0].generation) == (Phase.AVAILABLE, 6)
        assert [event.kind for event in store.events(pod)] == ["created", "stop", "restart", "available"]


def test_a_change_of_a_forgotten_pod_changes_nothing(place: Place) -> None:
    with opened(place) as store:
        pod = store.create(new_pod(), CREATED)
        store.forget(pod)
        store.change(pod, CREATED)
        store.save_status(pod, [CREATED])
        assert (store.pods(), store.events(pod)) == ([], [])


def test_events_are_bounded_for_each_pod(place: Place) -> None:
    with opened(place) as store:
        pod, other = store.create(new_pod(), CREATED), store.create(new_pod("other"), CREATED)
        store.save_status(pod, [Event(float(number), "starting", "") for number in range(MOST_EVENTS + 1)])
        assert [event.at for event in store.events(pod)] == [float(number) for number in range(1, MOST_EVENTS + 1)]
        assert len(store.events(other)) == 1


def test_a_message_with_what_no_text_may_have_is_kept_all_the_same(place: Place) -> None:
    with opened(place) as store:
        pod = store.create(new_pod(), CREATED)
        store.save_status(replace(pod, status=Status(Phase.FAILED, "a\0b")), [Event(2.0, "failed", "a\0b")])
        store.note([Entry(1.0, "alice", "GET /\0", detail="\0")])
        assert store.pods()[0].status.message == "a\ufffdb"
        assert store.events(pod)[-1].message == "a\ufffdb"
        assert store.entries(Question(1))[0].what == "GET /\ufffd"


def test_a_token_takes_the_place_of_the_one_before(place: Place) -> None:
    with opened(place) as store:
        store.set_token("admin", "admin", "hash 1")
        store.set_token("gateway", "gateway", "hash 2")
        store.set_token("admin", "admin", "hash 3")
        assert store.tokens() == {"hash 2": "gateway", "hash 3": "admin"}


def test_the_migrations_lead_to_the_tables(place: Place) -> None:
    opened(place).close()
    engine = create_engine(f"sqlite:///{place}" if isinstance(place, Path) else place)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
    engine.dispose()


def test_pods_of_a_store_from_before_there_were_users_become_the_admins(path: Path) -> None:
    columns = {
        "key": "mydb-23456789", "name": "mydb", "template": "db", "access": "write", "created_at": 1.5, "want": "on",
        "generation": 3, "parameters": '{"a": "b"}', "env": "{}", "secrets": '{"owner": "x"}', "phase": "available",
        "message": "", "since": 2.5, "restarts": 1, "failures": 0, "retry_at": 0.0,
    }  # fmt: skip
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        places = ", ".join(f":{name}" for name in columns)
        connection.execute(text(f"INSERT INTO pods ({', '.join(columns)}) VALUES ({places})"), columns)
        connection.execute(text("INSERT INTO events (pod, at, kind, message) VALUES (1, 1.5, 'created', '')"))
        connection.execute(text("INSERT INTO tokens (name, hash, scope) VALUES ('admin', 'x', 'admin')"))
    engine.dispose()
    with Store(path) as store:
        (pod,) = store.pods()
        assert (pod.owner, pod.key, pod.generation, pod.grants, pod.links) == ("admin", "mydb-23456789", 3, {}, ())
        assert [event.kind for event in store.events(pod)] == ["created"]
        assert store.tokens() == {"x": "admin"}
        assert store.directory().people == []


def test_what_a_pod_gives_and_how_it_is_used_is_there_in_the_next_life_and_goes_with_it(place: Place) -> None:
    link = Link("l1", AccessLevel.READ, "h", "", 1.0, "alice", 2.0, 3)
    rules = WebRules(("*",), 10, 1.5, 2, 3.0)
    endpoint = EndpointSettings(
        AccessLevel.PUBLIC, (parse_network("10.0.0.0/8"), parse_network("2001:db8::/32")), True, rules, (), 20, 5
    )
    shared = replace(new_pod(), owner="alice", grants={"everyone": AccessLevel.READ}, endpoints={"": endpoint})
    with opened(place) as store:
        made = store.create(shared, CREATED)
        other = store.create(new_pod("other"), CREATED)
        changed = replace(made, links=(link, replace(link, id="l2", hash="i", uses_left=None)), owner="bob")
        store.share(changed, [Entry(1.0, "alice", "share", made.key)])
    with opened(place) as store:
        assert store.pods() == [changed, other]
        store.write(
            [put_person(Person("bob", salt=b"s"))[0], put_token(ApiToken("t", "t", "bob", "h", "v", made.key))], []
        )
        store.forget(changed)
        assert store.pods() == [other]
        assert store.directory().tokens == []
        store.share(changed, [])
        store.create(replace(new_pod(), key=made.key), CREATED)
        assert store.pods()[1].grants == {}, "nothing was left under its key"
        assert [entry.who for entry in store.entries(Question(10))] == ["alice"], "the log outlives it"


def test_people_are_there_in_the_next_life_and_what_is_theirs_goes_with_them(place: Place) -> None:
    alice = Person(
        "alice", True, False, frozenset({"lab"}), "a@x", 1.0, 0.5, "p", b"salt", (("iss", "1"), ("iss", "2")), True
    )
    token = ApiToken("t", "ci", "alice", "h", "v", "", AccessLevel.READ, 1.0, None, "abcd")
    sign_in, key = SignIn("s", "alice", 1.0, 2.0, "192.0.2.1", "x"), SealingKey("k1", b"k", 1.0)
    with opened(place) as store:
        store.write([put_group("lab"), *put_person(alice), put_token(token), put_sign_in(sign_in), put_key(key)], [])
        store.write(put_person(replace(alice, email="b@x")), [])
    with opened(place) as store:
        found = store.directory()
        assert found == ([replace(alice, email="b@x")], ["lab"], [token], [sign_in], {}, [key])
        pod = store.create(replace(new_pod(), grants={"user:alice": AccessLevel.READ}), CREATED)
        store.write(remove_person("alice"), [])
        assert store.directory() == ([], ["lab"], [], [], {}, [key])
        assert store.pods() == [replace(pod, grants={})]


def test_a_change_whose_entry_cannot_be_written_is_not_made(place: Place) -> None:
    with opened(place) as store:
        with pytest.raises(StoreFailure):
            store.write([put_group("lab")], [Entry(1.0, object(), "x")])  # type: ignore[arg-type]
        assert store.directory().groups == []


def test_no_failure_tells_what_was_to_be_written(place: Place) -> None:
    with opened(place) as store:
        statement = put_token(ApiToken("t", "ci", "nobody", "a hash of a token", "v"))
        with pytest.raises(StoreFailure) as caught:
            store.write([statement], [])
        shown = "".join(traceback.format_exception(caught.value))
        assert "foreign key" in shown.lower()
        assert "a hash of a token" not in shown.replace('"a hash of a token"', "the source of this test")


def test_the_audit_log_is_bounded_by_count_and_by_age(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MOST_ENTRIES", 10)
    with opened(place) as store:
        store.write([], [Entry(float(at), "alice", "connect") for at in range(25)])
        assert [entry.at for entry in store.entries(Question(100))] == [float(at) for at in range(24, 14, -1)]
        store.trim_entries(LONGEST_KEPT + 20.0)
        assert [entry.at for entry in store.entries(Question(100))] == [24.0, 23.0, 22.0, 21.0, 20.0]


@pytest.mark.parametrize(
    ("question", "found"),
    [
        (Question(9), ["mydb", "mydb-abcdefgh", "", "my", "MY"]),
        (Question(9, pod="mydb"), ["mydb"]),
        (Question(9, pod="mydb-23456789"), ["mydb"]),
        (Question(9, pod="my%"), []),
        (Question(9, pod="m_db"), []),
        (Question(9, pod="mydb-abcdefgh"), ["mydb-abcdefgh"]),
        (Question(9, own="carol", pods=frozenset({"my-23456789"})), ["my"]),
        (Question(9, own="alice", own_since=4.0, seen=frozenset({"MY-23456789"})), ["MY"]),
        (Question(9, own="alice", own_since=4.0), []),
        (Question(9, own="alice", only_pod="my-23456789", pods=frozenset({"my-23456789"})), ["my"]),
        (Question(9, who="bob"), [""]),
        (Question(2), ["my", "MY"]),
    ],
)
def test_what_is_asked_of_the_audit_log(place: Place, question: Question, found: list[str]) -> None:
    pods = ["mydb-23456789", "mydb-abcdefgh-23456789", "", "my-23456789", "MY-23456789"]
    names = ["alice" if pod else "bob" for pod in pods]
    entries = [Entry(at, names[at], "connect", pod, outcome=Outcome.REFUSED) for at, pod in enumerate(pods)]
    with opened(place) as store:
        store.write([], entries)
        assert [entry.pod.removesuffix("-23456789") for entry in store.entries(question)[::-1]] == found


def test_a_store_of_a_newer_version_is_left_alone(path: Path) -> None:
    Store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreFailure, match="another version of podgate"):
        Store(path)


def test_a_damaged_file_is_named_and_left_as_it_is(path: Path) -> None:
    path.write_bytes(b"this is not a database at all" * 100)
    with pytest.raises(StoreFailure, match="is damaged") as caught:
        Store(path)
    assert str(path) in str(caught.value)
    assert path.read_bytes().startswith(b"this is not")


def test_a_damaged_page_is_found_at_the_start(path: Path) -> None:
    with Store(path) as store:
        store.create(new_pod(), CREATED)
    content = bytearray(path.read_bytes())
    content[4096:8192] = os.urandom(4096)
    path.write_bytes(content)
    with pytest.raises(StoreFailure, match="is damaged"):
        Store(path)


def test_a_file_that_cannot_be_opened(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StoreFailure, match="cannot be opened for writing"):
        Store(path)


def test_a_full_disk_is_told_and_nothing_is_half_written(path: Path) -> None:
    with Store(path) as store:
        first = store.create(new_pod(), CREATED)
        with store._engine.connect() as connection:  # the pool has this one connection, and gives it to the store again
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
            connection.rollback()
        with pytest.raises(StoreFailure, match="no space left") as caught:
            store.create(replace(new_pod("big"), env={"A": "x" * 100_000}), CREATED)
        assert caught.value.full
        assert store.pods() == [first]


KILLED_IN = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from controller.store.store import Store
from controller.store import database
from tests.controller.test_store import CREATED, new_pod

point, path = sys.argv[1], Path(sys.argv[2])
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
if point == "migration":
    from alembic import op
    op.create_index = die
store = Store(path)
store.create(new_pod("whole"), CREATED)
if point == "between":
    event.listen(store._engine, "before_cursor_execute", lambda *given: "INTO events" in given[2] and die())
if point == "commit":
    event.listen(store._engine, "commit", die)
store.create(new_pod("half"), CREATED)
"""


@pytest.mark.parametrize(("point", "left"), [("migration", []), ("between", ["whole"]), ("commit", ["whole"])])
def test_killed_in_the_middle_nothing_is_half_there(path: Path, point: str, left: list[str]) -> None:
    root = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", KILLED_IN, point, str(path)], cwd=root, check=False)
    assert ended.returncode == -signal.SIGKILL
    with Store(path) as store:
        assert [pod.name for pod in store.pods()] == left
        assert all(len(store.events(pod)) == 1 for pod in store.pods())
