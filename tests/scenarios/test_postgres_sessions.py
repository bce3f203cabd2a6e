"""What a Postgres session is made of passes untouched after the opening, in both modes."""

import asyncio
import threading
from collections.abc import Callable

import psycopg
import pytest
import sqlalchemy

from tests.running import PATIENCE, Pod, Podgate
from tests.scenarios.databases import Way, into
from tests.scenarios.people import make_token

CHECKOUTS, POOL = 200, 5
LARGEST_STARTUP = 10_000  # bytes, PostgreSQL's MAX_STARTUP_PACKET_LENGTH
NAME_OF = "select application_name from pg_stat_activity where pid = pg_backend_pid()"


def test_notifications(way: Way) -> None:
    with way.connect() as listener, way.connect() as speaker:
        listener.execute("listen news")
        speaker.execute("select pg_notify('news', repeat('x', 7999))")
        (notice,) = listener.notifies(timeout=PATIENCE, stop_after=1)
        assert (notice.channel, len(notice.payload)) == ("news", 7999)


def test_notices(way: Way) -> None:
    seen: list[str | None] = []
    with way.connect() as connection:
        connection.add_notice_handler(lambda notice: seen.append(notice.message_primary))
        connection.execute("do $$ begin raise notice 'mind the gap'; end $$")
    assert seen == ["mind the gap"]


def test_prepared_statements_and_cursors(way: Way) -> None:
    with way.connect() as connection:
        for number in range(20):  # prepared at the fifth
            assert connection.execute("select %s::int * 2", (number,)).fetchone() == (number * 2,)
        assert connection.execute("select count(*) from pg_prepared_statements").fetchone() == (1,)
        with connection.transaction(), connection.cursor("portal") as cursor:
            cursor.execute("select generate_series(1, 10000)")
            assert sum(number for (number,) in cursor) == 50_005_000


def test_a_pipeline(way: Way) -> None:
    with way.connect() as connection, connection.pipeline():
        asked = [connection.execute("select %s::int", (number,)) for number in range(500)]
        assert [cursor.fetchone() for cursor in asked] == [(number,) for number in range(500)]


def test_a_pipeline_with_an_error_goes_on_after_its_sync(way: Way) -> None:
    with way.connect() as connection, connection.pipeline() as pipeline:
        before = connection.execute("select 1")
        wrong = connection.execute("select 1 / 0")
        with pytest.raises(psycopg.errors.DivisionByZero):
            pipeline.sync()
        assert before.fetchone() == (1,)
        assert wrong.description is None
        assert connection.execute("select 2").fetchone() == (2,)


def test_parameter_status(way: Way) -> None:
    with way.connect(client_encoding="latin1", options="-c TimeZone=Europe/Berlin -c DateStyle=German") as connection:
        told = connection.info.parameter_status
        assert told("server_version") == connection.execute("show server_version").fetchone()[0]  # type: ignore[index]
        assert (told("client_encoding"), told("TimeZone")) == ("LATIN1", "Europe/Berlin")
        assert (told("DateStyle"), told("is_superuser")) == ("German, DMY", "off")
        assert told("session_authorization") == "owner"
        connection.execute("set application_name = 'something else'")
        assert told("application_name") == "something else"


def test_a_public_endpoint_leaves_the_applications_name_alone(public: Way) -> None:
    with public.connect(application_name="report") as connection:
        assert connection.execute(NAME_OF).fetchone() == ("report",)


def test_the_users_name_is_seen_in_the_database(closed: Way) -> None:
    with closed.connect(application_name="report") as connection:
        assert connection.execute(NAME_OF).fetchone() == ("anna/report",)
    with closed.connect() as connection:
        assert connection.execute(NAME_OF).fetchone() == ("anna",)


def test_the_database_need_not_be_named(closed: Way) -> None:
    """libpq asks for one that is called as the user is."""
    with closed.connect(dbname=None) as connection:
        assert connection.execute("select current_database()").fetchone() == (closed.database,)


def test_a_database_that_is_not_there_is_the_databases_own_answer(way: Way) -> None:
    with pytest.raises(psycopg.OperationalError, match='database "elsewhere" does not exist'):
        way.connect(dbname="elsewhere")


def test_the_largest_startup_packet(way: Way) -> None:
    with way.connect(options=f"-c my.setting={'x' * 9_500}") as connection:
        assert connection.execute("select length(current_setting('my.setting'))").fetchone() == (9_500,)


def test_a_startup_packet_beyond_it(way: Way) -> None:
    with pytest.raises(psycopg.OperationalError, match=f"{LARGEST_STARTUP}"):
        way.connect(options=f"-c my.setting={'x' * LARGEST_STARTUP}")


def test_replication_is_for_owners(podgate: Podgate, vault: Pod, public: Way, closed: Way) -> None:
    owner = into(podgate, vault, "admin", make_token(podgate, "replication", "admin"))
    for way in (public, owner):
        with way.connect(replication="database") as connection:
            _, _, _, database = connection.execute("IDENTIFY_SYSTEM").fetchone() or ("",) * 4
            assert database == way.database
    with pytest.raises(psycopg.OperationalError, match="access level owner, and anna holds manage"):
        closed.connect(replication="database")


def test_a_sqlalchemy_pool(way: Way) -> None:
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(way.conninfo(application_name="pool")),
        pool_size=POOL, max_overflow=0, pool_pre_ping=True, pool_timeout=PATIENCE,
    )  # fmt: skip
    backends: set[int] = set()

    def check_out() -> None:
        for _ in range(CHECKOUTS // 10):
            with engine.begin() as connection:
                backends.add(connection.execute(sqlalchemy.text("select pg_backend_pid()")).scalar_one())

    threads = [threading.Thread(target=check_out) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert engine.pool.checkedin() == len(backends) <= POOL  # type: ignore[attr-defined]
    engine.dispose()


def test_a_pool_finds_out_that_a_connection_has_ended(way: Way) -> None:
    creator: Callable[[], psycopg.Connection] = lambda: psycopg.connect(way.conninfo())  # noqa: E731
    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=creator, pool_size=1, pool_pre_ping=True)
    pid = sqlalchemy.text("select pg_backend_pid()")
    with engine.connect() as connection:
        first = connection.execute(pid).scalar_one()
    with way.connect() as other:
        other.execute("select pg_terminate_backend(%s, 10000)", (first,))
    with engine.connect() as connection:
        assert connection.execute(pid).scalar_one() != first
    engine.dispose()


def test_pgadmins_way(way: Way) -> None:
    """pgAdmin 4 (web/pgadmin/utils/driver/psycopg3/connection.py): asynchronous, everything in the connection string,
    then its settings in one statement, and what it wants to know of server, database and role.
    """

    async def open_as_pgadmin() -> tuple[str, str, str]:
        told = way.conninfo(application_name="pgAdmin 4 - CONN:1234567", client_encoding=None, gssencmode="prefer")
        connection = await psycopg.AsyncConnection.connect(told, autocommit=True, prepare_threshold=None)
        async with connection, connection.cursor() as cursor:
            await cursor.execute(
                "SET DateStyle=ISO; SET client_min_messages=notice; "
                "SELECT set_config('bytea_output','hex',false) FROM pg_settings WHERE name = 'bytea_output'; "
                "SET client_encoding='utf-8';"
            )
            server = await (await cursor.execute("SELECT version() AS version")).fetchone()
            await cursor.execute(
                "SELECT db.datname, pg_encoding_to_char(db.encoding), has_database_privilege(db.oid, 'CREATE') "
                "FROM pg_catalog.pg_database db WHERE db.datname = current_database()"
            )
            found = await cursor.fetchone()
            await cursor.execute("SELECT gss_authenticated, encrypted FROM pg_stat_gssapi WHERE pid = pg_backend_pid()")
            assert await cursor.fetchone() == (False, False)
            await cursor.execute("SELECT rolname, rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user")
            role = await cursor.fetchone()
            assert server
            assert found
            assert role
            return str(server[0]), str(found[0]), str(role[0])

    version, database, role = asyncio.run(open_as_pgadmin())
    assert version.startswith("PostgreSQL 18")
    assert (database, role) == (way.database, "owner")
