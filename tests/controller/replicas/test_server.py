"""The server of a shared store: away, full, slow, standing still or wrongly named, it is told what to do, and is used
again as soon as it can be. The password is told to nobody.
"""

import re
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from sqlalchemy import URL

from controller.gateways import Standing, Who
from controller.model import Event, Pod
from controller.names import new_key
from controller.replicas import desk
from controller.replicas.desk import SharedDesk
from controller.store import postgres
from controller.store.database import StoreFailure
from controller.store.postgres import connect
from controller.store.presence import Followed
from controller.store.store import Store
from router.access import AccessLevel
from router.snapshot import Rejected, Version
from tests.databases import PASSWORD, Server, server

CREATED = Event(1.0, "created", "")


def new_pod(name: str = "mydb") -> Pod:
    return Pod(0, new_key(name), name, "db", AccessLevel.WRITE, 1.0)


def test_a_server_that_is_away_is_told_and_used_again_when_it_is_back() -> None:
    with server() as own, Store(own.database()) as store:
        pod = store.create(new_pod(), CREATED)
        own.stop()
        for _ in range(2):
            with pytest.raises(StoreFailure, match="does not answer") as caught:
                store.create(new_pod("other"), CREATED)
            assert PASSWORD not in "".join(traceback.format_exception(caught.value))
        own.start()
        assert store.pods() == [pod]
        store.create(new_pod("other"), CREATED)


def test_a_server_that_restarts_within_a_turn_takes_nothing_of_it() -> None:
    with server() as own, Store(own.database()) as store:
        store.begin(store.state().number)
        own.stop()
        own.start()
        with pytest.raises(StoreFailure):
            store.create(new_pod(), CREATED)
        assert store.pods() == []
        store.create(new_pod(), CREATED)


def test_what_is_wrong_with_the_way_there_is_told_without_the_password(postgres_server: Server) -> None:
    right = postgres_server.database()
    for wrong, reason in (
        (
            right.set(password="wrong " + PASSWORD),
            r"does not let this controller in \(.*failed.*mend the user, the pass",
        ),
        (right.set(username="nobody"), r"does not let this controller in \(.*authentication failed"),
        (right.set(database="nothing"), r"does not let this controller in \(.*does not exist.*or the database's name"),
        (right.set(port=1), "does not answer .*mend [$]PODGATE_DATABASE_URL"),
    ):
        with pytest.raises(StoreFailure, match=reason) as caught:
            Store(wrong)
        assert PASSWORD not in "".join(traceback.format_exception(caught.value))
    assert PASSWORD not in repr(right)


def test_a_server_that_is_full_is_told_and_used_again(database: URL) -> None:
    with Store(database) as store, connect(database) as owner:
        owner.execute(  # a full disk, in the words that the server has for one
            b"CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS "
            b"$$ BEGIN RAISE disk_full USING DETAIL = 'a row with secrets'; END $$"
        )
        owner.execute(b"CREATE TRIGGER filled BEFORE INSERT ON pods EXECUTE FUNCTION fill()")
        with pytest.raises(StoreFailure, match="no space left for the database") as caught:
            store.create(new_pod(), CREATED)
        assert (caught.value.full, "secrets" in "".join(traceback.format_exception(caught.value))) == (True, False)
        owner.execute(b"DROP TRIGGER filled ON pods")
        store.create(new_pod(), CREATED)


def test_replicas_that_start_at_once_migrate_one_after_the_other(
    database: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "LOCK_LIMIT", 0.1)  # which a migration may take longer than
    waiting = b"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with connect(database) as slow, ThreadPoolExecutor(3) as threads:
        slow.execute("SELECT pg_advisory_lock(%s)", (postgres.MIGRATION_LOCK,))
        opening = [threads.submit(Store, database) for _ in range(3)]
        while slow.execute(waiting).fetchone() != (3,):
            assert not any(each.done() for each in opening)
        slow.execute("SELECT pg_sleep(0.3), pg_advisory_unlock(%s)", (postgres.MIGRATION_LOCK,))
        for each in opening:
            with each.result(30) as store:
                assert store.state().number == 1


def test_a_user_who_may_make_no_tables_is_told(postgres_server: Server) -> None:
    url = postgres_server.database()
    guest = f"guest_{url.database}"
    with connect(url) as owner:
        owner.execute(f"CREATE ROLE {guest} LOGIN PASSWORD '{PASSWORD}'".encode())
    with pytest.raises(StoreFailure, match="let that user own the database"):
        Store(url.set(username=guest))


async def test_a_server_that_stands_still_is_given_up(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    with server() as own, Store(own.database()) as store, trio.fail_after(60):
        shared = SharedDesk(store)
        pod = await shared.do(lambda: store.create(new_pod(), CREATED))
        monkeypatch.setattr(desk, "ANSWER_LIMIT", 0.3)
        nursery.start_soon(shared.guard)
        own.freeze()
        try:
            with pytest.raises(StoreFailure, match="does not answer"):
                async with shared.changing:
                    pass
        finally:
            own.thaw()
        monkeypatch.setattr(desk, "ANSWER_LIMIT", 30.0)
        async with shared.changing:
            assert await shared.do(store.pods) == [pod]
    nursery.cancel_scope.cancel()


async def test_changes_do_not_wait_for_each_other_for_ever(database: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "TURN_LIMIT", 0.1)
    with Store(database) as store:
        shared = SharedDesk(store)

        async def change() -> None:
            with pytest.raises(StoreFailure, match="too slow for all that is to be changed; try again"):
                async with shared.changing:
                    pass

        async with shared.changing, trio.open_nursery() as waiting:
            waiting.start_soon(change)
        async with shared.changing:
            pass


def test_an_address_may_name_several_servers_and_settings(database: URL) -> None:
    query = {
        "host": ("127.0.0.1:1", f"127.0.0.1:{database.port}"),
        "target_session_attrs": "read-write",
        "options": "-c search_path=elsewhere,public",
    }
    several = URL.create(
        database.drivername, database.username, database.password, database=database.database, query=query
    )
    assert postgres.name_of(several).endswith(f"at 127.0.0.1:1,127.0.0.1:{database.port}")
    with Store(several) as store, connect(several) as session:
        assert store.state().number == 1
        settings = b"SELECT current_setting('search_path'), current_setting('lock_timeout')"
        assert session.execute(settings).fetchone() == ("elsewhere,public", "5s")
    with pytest.raises(StoreFailure, match=r"does not answer.*port 2 failed.*port: '1'"):
        Store(several.update_query_dict({"host": ("127.0.0.1:1", "127.0.0.1:2")}))


def test_the_address_may_be_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "address"
    path.write_text("postgresql+psycopg://u:p%40ss@h/d\n")
    path.chmod(0o640)
    with pytest.raises(ValueError, match=r"_URL_FILE: .*holds a password and is open to others .*; run: chmod 600"):
        postgres.address_of_environment({"PODGATE_DATABASE_URL_FILE": str(path)})
    path.chmod(0o600)
    found = postgres.address_of_environment({"PODGATE_DATABASE_URL_FILE": str(path)})
    assert found is not None
    assert (found.password, found.host) == ("p@ss", "h")
    assert postgres.address_of_environment({}) is None
    ended = postgres.address_of_environment({"PODGATE_DATABASE_URL": path.read_text()})  # as a Secret of a file has it
    assert ended == found
    path.write_text("")
    wrong = [
        ({"PODGATE_DATABASE_URL_FILE": str(path)}, "is empty"),
        ({"PODGATE_DATABASE_URL_FILE": str(path / "x")}, "Not a directory"),
        ({"PODGATE_DATABASE_URL_FILE": str(path), "PODGATE_DATABASE_URL": "x"}, "both set"),
    ]
    for environment, reason in wrong:
        with pytest.raises(ValueError, match=reason):
            postgres.address_of_environment(environment)


@pytest.mark.parametrize("text", ["postgresql+psycopg://u:sec@ret@h/d", "postgresql+psycopg://u:p@sec/ret@h/d"])
def test_a_password_is_not_taken_for_a_part_of_the_place(text: str) -> None:
    with pytest.raises(ValueError, match="write @ in the password as %40") as caught:
        postgres.parse_url(text)
    assert "ret" not in str(caught.value)


def test_gateways_are_known_as_long_as_their_replica_tells(database: URL) -> None:
    who, standing = Who("i", 2, "0.1", "::1"), Standing(2, 3, 4, draining=True, addresses=("h:1",))
    gateway = Followed("g", 1, 5.0, "epoch", 7, (("a.test", 6, "no"),), who, standing)
    with Store(database) as one, Store(database) as other, connect(database) as session:
        one.tell_followed("one", [gateway])
        assert other.followed("other") == ([], [gateway], "")
        assert one.followed("one") == ([gateway], [], "")
        session.execute(b"UPDATE gateways SET told_at = told_at + 3600")  # then the database's clock was put back
        assert other.followed("other") == ([], [], "")
        session.execute(b"UPDATE gateways SET told_at = told_at - 7200")
        other.tell_followed("other", [])
        assert session.execute(b"SELECT count(*) FROM gateways").fetchone() == (0,)


@pytest.mark.parametrize(
    "text",
    ["postgresql://u:secret@h/d", "postgresql+psycopg://u:secret@h", "sqlite:///secret", "secret", "postgresql+psycopg://u:secret@h:x/d"],
)  # fmt: skip
def test_an_address_that_cannot_be(text: str) -> None:
    with pytest.raises(
        ValueError, match=re.escape("expected postgresql+psycopg://USER:PASSWORD@HOST:PORT/DATABASE")
    ) as caught:
        postgres.parse_url(text)
    assert "secret" not in str(caught.value)


def test_what_a_gateway_acknowledges_elsewhere_is_not_lost(database: URL) -> None:
    gateway = Followed("g", 1, 5.0, "epoch", 7)
    with Store(database) as one, Store(database) as other:
        assert not other.pass_on("g", Version("epoch", 8), [])
        one.tell_followed("one", [gateway])
        assert other.pass_on("g", Version("epoch", 9), [Rejected("a.test", "no")])
        assert other.pass_on("g", Version("epoch", 8), []), "which came late, and changes nothing"
        later = replace(gateway, number=9, rejected=(("a.test", 9, "no"),))
        assert one.followed("one").own == [later]
        one.tell_followed("one", [gateway])  # by who does not know yet
        assert other.followed("other").elsewhere == [later]
        again = replace(gateway, since=6.0, epoch="", number=0)
        one.tell_followed("one", [again])
        assert other.followed("other").elsewhere == [again], "another stream begins with nothing"
