"""What each level may do in a real Postgres pod, statement by statement, and that no way leads to more."""

from collections.abc import AsyncIterator

import psycopg
import pytest
import trio

from controller.model import Pod
from controller.rolekeeper import Kept, RoleKeeper
from controller.templates import load_templates
from router.access import AccessLevel
from tests.controller.runtimes.homes import SECRETS, new_home, only_life
from tests.controller.runtimes.postgres import outcome, refused, run, session

OK, DENIED, READ_ONLY = "ok", "InsufficientPrivilege", "ReadOnlySqlTransaction"
RW = "BEGIN READ WRITE;;"  # the way out of `default_transaction_read_only`

SETTING = """
CREATE TABLE hats (id serial PRIMARY KEY, name text);; INSERT INTO hats (name) VALUES ('bowler'), ('fez');;
CREATE VIEW tall AS SELECT name FROM hats;; CREATE SCHEMA attic;; CREATE TABLE attic.boxes (id int);;
CREATE FUNCTION sneak() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$ DELETE FROM hats $$;;
CREATE PROCEDURE sneak_too() LANGUAGE sql SECURITY DEFINER AS $$ DELETE FROM hats $$;;
CREATE FUNCTION shown() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM hats $$;;
GRANT EXECUTE ON FUNCTION shown() TO reader;;
SELECT lo_from_bytea(4711, 'hats');; GRANT SELECT ON LARGE OBJECT 4711 TO reader;;
CREATE TYPE size AS ENUM ('s', 'l');; CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM hats
"""

# What is tried, and what comes of it for the owner, the writer and the reader.
TABLE = [
    # reading
    ("SELECT * FROM hats", OK, OK, OK),
    ("SELECT * FROM tall", OK, OK, OK),
    ("SELECT * FROM attic.boxes", OK, OK, OK),
    ("SELECT * FROM counted", OK, OK, OK),
    ("SELECT shown()", OK, OK, OK),
    ("COPY hats TO STDOUT", OK, OK, OK),
    ("SELECT last_value FROM hats_id_seq", OK, OK, OK),
    ("SELECT lo_get(4711)", OK, DENIED, OK),
    ("BEGIN;; DECLARE c CURSOR FOR SELECT * FROM hats;; FETCH ALL FROM c", OK, OK, OK),
    ("PREPARE p AS SELECT 1;; EXECUTE p", OK, OK, OK),
    ("EXPLAIN ANALYZE SELECT * FROM hats", OK, OK, OK),
    ("LISTEN hats;; NOTIFY hats;; UNLISTEN hats", OK, OK, OK),
    ("SET statement_timeout = '1min'", OK, OK, OK),
    # writing
    ("INSERT INTO hats (name) VALUES ('top')", OK, OK, READ_ONLY),
    (RW + "INSERT INTO hats (name) VALUES ('top')", OK, OK, DENIED),
    (RW + "UPDATE hats SET name = 'x'", OK, OK, DENIED),
    (RW + "DELETE FROM hats", OK, OK, DENIED),
    (RW + "UPDATE attic.boxes SET id = 1", OK, OK, DENIED),
    (RW + "UPDATE tall SET name = 'x'", OK, OK, DENIED),
    (RW + "MERGE INTO hats USING attic.boxes ON false WHEN NOT MATCHED THEN INSERT VALUES (1)", OK, OK, DENIED),
    (RW + "WITH d AS (DELETE FROM hats RETURNING *) SELECT * FROM d", OK, OK, DENIED),
    (RW + "EXPLAIN ANALYZE DELETE FROM hats", OK, OK, DENIED),
    (RW + "SELECT * FROM hats FOR UPDATE", OK, OK, DENIED),
    (RW + "SELECT * FROM hats FOR KEY SHARE", OK, OK, DENIED),
    (RW + "LOCK TABLE hats IN EXCLUSIVE MODE", OK, OK, DENIED),
    (RW + "TRUNCATE hats", OK, DENIED, DENIED),
    (RW + "SELECT nextval('hats_id_seq')", OK, OK, DENIED),
    (RW + "SELECT setval('hats_id_seq', 9)", OK, OK, DENIED),
    # ways out of read only
    ("!SET default_transaction_read_only = off;; DELETE FROM hats WHERE false", OK, OK, DENIED),
    ("!SELECT set_config('default_transaction_read_only', 'no', false);; DELETE FROM hats WHERE false", OK, OK, DENIED),
    ("!SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE;; DELETE FROM hats WHERE false", OK, OK, DENIED),
    ("BEGIN;; SET TRANSACTION READ WRITE;; DELETE FROM hats", OK, OK, DENIED),
    ("SET session_replication_role = replica", DENIED, DENIED, DENIED),
    ("SET lo_compat_privileges = on", DENIED, DENIED, DENIED),
    # being somebody else
    ("SET ROLE owner", OK, DENIED, DENIED),
    ("SET ROLE writer", DENIED, OK, DENIED),
    ("SET ROLE postgres", DENIED, DENIED, DENIED),
    ("SET ROLE keeper", DENIED, DENIED, DENIED),
    ("SET ROLE pg_write_all_data", DENIED, DENIED, DENIED),
    ("SET SESSION AUTHORIZATION postgres", DENIED, DENIED, DENIED),
    ("SET SESSION AUTHORIZATION writer", DENIED, OK, DENIED),
    (RW + "GRANT owner TO reader", DENIED, DENIED, DENIED),
    (RW + "GRANT pg_write_all_data TO reader", DENIED, DENIED, DENIED),
    (RW + "CREATE ROLE mallory", DENIED, DENIED, DENIED),
    (RW + "ALTER ROLE reader CREATEROLE", DENIED, DENIED, DENIED),
    (RW + "ALTER ROLE reader REPLICATION", DENIED, DENIED, DENIED),
    (RW + "ALTER ROLE owner PASSWORD 'x'", OK, DENIED, DENIED),
    (RW + "ALTER ROLE keeper PASSWORD 'x'", DENIED, DENIED, DENIED),
    (RW + "ALTER ROLE postgres SUPERUSER", DENIED, DENIED, DENIED),
    (RW + "REASSIGN OWNED BY owner TO CURRENT_USER", OK, DENIED, DENIED),
    (RW + "DROP OWNED BY owner", OK, DENIED, DENIED),
    ("SELECT * FROM pg_authid", DENIED, DENIED, DENIED),
    ("SELECT passwd FROM pg_shadow", DENIED, DENIED, DENIED),
    # functions, blocks
    (RW + "SELECT sneak()", OK, OK, DENIED),
    (RW + "CALL sneak_too()", OK, OK, DENIED),
    (RW + "DO $$ BEGIN DELETE FROM hats; END $$", OK, OK, DENIED),
    (RW + "DO $$ BEGIN EXECUTE 'SET ROLE owner'; DELETE FROM hats; END $$", OK, DENIED, DENIED),
    (RW + "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'", OK, DENIED, DENIED),
    (RW + "CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'", OK, OK, DENIED),
    (RW + "CREATE OR REPLACE FUNCTION sneak() RETURNS void LANGUAGE sql AS ''", OK, DENIED, DENIED),
    (RW + "ALTER FUNCTION shown() SECURITY DEFINER", OK, DENIED, DENIED),
    # things of one's own
    (RW + "CREATE TEMPORARY TABLE t (id int)", OK, OK, DENIED),
    (RW + "SELECT 1 AS a INTO TEMPORARY t", OK, OK, DENIED),
    (RW + "CREATE TEMPORARY SEQUENCE s", OK, OK, DENIED),
    (RW + "CREATE TEMPORARY VIEW v AS SELECT 1", OK, OK, DENIED),
    (RW + "CREATE TABLE mine (id int)", OK, DENIED, DENIED),
    (RW + "CREATE SCHEMA mine", OK, DENIED, DENIED),
    (RW + "CREATE DOMAIN mine AS int", OK, DENIED, DENIED),
    (RW + "ALTER TYPE size ADD VALUE 'xl'", OK, DENIED, DENIED),
    (RW + "CREATE INDEX ON hats (name)", OK, DENIED, DENIED),
    (RW + "CREATE TRIGGER t BEFORE INSERT ON hats EXECUTE FUNCTION suppress_redundant_updates_trigger()",
     OK, DENIED, DENIED),
    (RW + "CREATE RULE r AS ON INSERT TO hats DO NOTHING", OK, DENIED, DENIED),
    (RW + "ALTER TABLE hats ADD COLUMN x int", OK, DENIED, DENIED),
    (RW + "DROP TABLE hats CASCADE", OK, DENIED, DENIED),
    (RW + "REFRESH MATERIALIZED VIEW counted", OK, DENIED, DENIED),
    (RW + "COMMENT ON TABLE hats IS 'x'", OK, DENIED, DENIED),
    (RW + "COMMENT ON DATABASE my_p1 IS 'x'", OK, DENIED, DENIED),
    (RW + "ALTER DATABASE my_p1 SET search_path = attic", OK, DENIED, DENIED),
    (RW + "ALTER DATABASE my_p1 RENAME TO other", DENIED, DENIED, DENIED),
    (RW + "ALTER DEFAULT PRIVILEGES FOR ROLE owner GRANT ALL ON TABLES TO reader", OK, DENIED, DENIED),
    ("!SET default_transaction_read_only = off;; DROP DATABASE postgres", DENIED, DENIED, DENIED),
    ("!SET default_transaction_read_only = off;; CREATE DATABASE mine", DENIED, DENIED, DENIED),
    # large objects
    (RW + "SELECT lo_creat(-1)", OK, OK, DENIED),
    (RW + "SELECT lo_create(0)", OK, OK, DENIED),
    (RW + "SELECT lo_from_bytea(0, 'x')", OK, OK, DENIED),
    (RW + "SELECT lo_put(4711, 0, 'x')", OK, DENIED, DENIED),
    (RW + "SELECT lowrite(lo_open(4711, 131072), 'x')", OK, DENIED, DENIED),
    (RW + "SELECT lo_truncate(lo_open(4711, 131072), 0)", OK, DENIED, DENIED),
    (RW + "SELECT lo_unlink(4711)", OK, DENIED, DENIED),
    (RW + "SELECT lo_import('/etc/passwd')", DENIED, DENIED, DENIED),
    (RW + "SELECT lo_export(4711, '/tmp/x')", DENIED, DENIED, DENIED),
    # the machine
    ("COPY hats TO PROGRAM 'id'", DENIED, DENIED, DENIED),
    (RW + "COPY hats FROM PROGRAM 'id'", DENIED, DENIED, DENIED),
    ("COPY hats TO '/tmp/podgate-hats'", DENIED, DENIED, DENIED),
    (RW + "COPY hats FROM '/etc/passwd'", DENIED, DENIED, DENIED),
    ("SELECT pg_read_file('/etc/passwd')", DENIED, DENIED, DENIED),
    ("SELECT pg_ls_dir('/')", DENIED, DENIED, DENIED),
    ("LOAD '/tmp/evil.so'", DENIED, DENIED, DENIED),
    (RW + "CREATE EXTENSION dblink", DENIED, DENIED, DENIED),
    (RW + "CREATE EXTENSION hstore", OK, DENIED, DENIED),
    (RW + "CREATE FUNCTION x() RETURNS int LANGUAGE c AS '/tmp/evil.so', 'x'", DENIED, DENIED, DENIED),
    ("!ALTER SYSTEM SET archive_command = 'id'", DENIED, DENIED, DENIED),
    ("SELECT pg_reload_conf()", DENIED, DENIED, DENIED),
    ("CHECKPOINT", DENIED, DENIED, DENIED),
    ("!SET default_transaction_read_only = off;; CREATE TABLESPACE x LOCATION '/tmp'", DENIED, DENIED, DENIED),
    (RW + "CREATE EVENT TRIGGER x ON ddl_command_start EXECUTE FUNCTION shown()", DENIED, DENIED, DENIED),
    (RW + "CREATE FOREIGN DATA WRAPPER x", DENIED, DENIED, DENIED),
    # the log and its followers
    (RW + "SELECT pg_logical_emit_message(true, 'x', 'y')", OK, DENIED, DENIED),
    (RW + "SELECT pg_create_physical_replication_slot('x', false, true)", OK, DENIED, DENIED),
    (RW + "SELECT pg_switch_wal()", DENIED, DENIED, DENIED),
    (RW + "SELECT pg_create_restore_point('x')", DENIED, DENIED, DENIED),
    (RW + "SELECT pg_backup_start('x')", DENIED, DENIED, DENIED),
    (RW + "CREATE PUBLICATION x FOR TABLE hats", OK, DENIED, DENIED),
    (RW + "CREATE SUBSCRIPTION x CONNECTION 'dbname=x' PUBLICATION x WITH (connect = false)", DENIED, DENIED, DENIED),
    # other sessions
    ("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'reader'",
     OK, DENIED, DENIED),
    ("SELECT pg_terminate_backend(0)", OK, DENIED, DENIED),
    ("SELECT pg_advisory_lock(1)", OK, OK, DENIED),
    ("SELECT pg_try_advisory_xact_lock_shared(1, 2)", OK, OK, DENIED),
    ("BEGIN READ WRITE;; SELECT 1;; PREPARE TRANSACTION 'x'", *["ObjectNotInPrerequisiteState"] * 3),
    ("SELECT pg_stat_reset()", DENIED, DENIED, DENIED),
]  # fmt: skip


@pytest.fixture
async def upstream() -> AsyncIterator[str]:
    with new_home() as home:
        async with only_life(home) as living:
            await living.launch("p1", "postgres")
            yield (await living.until_ready("p1")).upstreams[""]


async def test_every_level_runs_what_it_may_and_nothing_else(upstream: str) -> None:
    with session(upstream, "owner") as owner:
        run(owner, SETTING)
    found = {}
    for number, level in enumerate(("owner", "write", "read"), 1):
        with session(upstream, level) as connection:
            for row in TABLE:
                seen = outcome(connection, row[0])
                if seen != row[number]:
                    found[level, row[0]] = seen
    assert found == {}
    with session(upstream, "read") as reader:
        assert run(reader, "SELECT count(*) FROM hats") == [(2,)]


async def test_functions_the_owner_makes_are_the_readers_only_when_granted(upstream: str) -> None:
    make = "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'"
    with session(upstream, "owner") as owner, session(upstream, "read") as reader, session(upstream, "write") as writer:
        run(owner, make)
        assert (outcome(writer, "SELECT f()"), outcome(reader, "SELECT f()")) == (OK, DENIED)
        run(owner, "GRANT EXECUTE ON FUNCTION f() TO reader")
        assert outcome(reader, "SELECT f()") == OK


async def test_the_owner_sees_and_ends_what_the_others_run(upstream: str) -> None:
    with session(upstream, "owner") as owner, session(upstream, "read") as reader:
        pid = reader.info.backend_pid
        others = run(reader, f"SELECT query FROM pg_stat_activity WHERE pid = {owner.info.backend_pid}")
        assert others == [("<insufficient privilege>",)]
        assert run(owner, f"SELECT usename::text, application_name FROM pg_stat_activity WHERE pid = {pid}") == [
            ("reader", "a test")
        ]
        assert run(owner, f"SELECT pg_terminate_backend({pid}, 10000)") == [(True,)]


async def test_who_may_log_in_where(upstream: str) -> None:
    for level, database, user in [
        ("owner", "my_p1", "postgres"),
        ("keeper", "my_p1", "keeper"),
        ("owner", "postgres", "owner"),
        ("owner", "template1", "owner"),
        ("read", "postgres", "reader"),
        ("write", "my_p1", "owner"),
        ("read", "my_p1", "keeper"),
        ("owner", "my_p1", "nobody"),
    ]:
        assert refused(upstream, level, database=database, user=user), (level, database, user)
    assert [refused(upstream, level) for level in ("owner", "write", "read")] == ["", "", ""]
    assert refused(upstream, "keeper", database="postgres") == ""


async def test_the_keeper_sets_passwords_and_nothing_else(upstream: str) -> None:
    verifier = f"SCRAM-SHA-256$4096:{'A' * 24}${'B' * 43}=:{'C' * 43}="
    with session(upstream, "keeper", database="postgres") as keeper:
        assert run(keeper, f"SELECT podgate.keep('reader', '{verifier}')") == [(True,)]
        assert run(keeper, f"SELECT podgate.keep('reader', '{verifier}')") == [(False,)]
        for call in (
            f"podgate.keep('postgres', '{verifier}')",
            f"podgate.keep('keeper', '{verifier}')",
            f"podgate.keep('pg_write_all_data', '{verifier}')",
            f"podgate.keep(NULL, '{verifier}')",
            "podgate.keep('reader', NULL)",
            "podgate.keep('reader', '')",
            "podgate.keep('reader', 'x')",
            "podgate.keep('reader', 'md5" + "0" * 32 + "')",
            f"podgate.keep('reader', '{verifier} ')",
            "podgate.keep('reader', $$x' SUPERUSER --$$)",
            f"podgate.set_right('reader', '{verifier}')",
            "podgate.make_way('reader')",
            "podgate.part('owner')",
            "podgate.part('keeper')",
            "podgate.part(NULL)",
        ):
            assert outcome(keeper, f"SELECT {call}") == DENIED, call
        for statement in (
            "CREATE TABLE public.t (id int)",
            "CREATE TABLE podgate.t (id int)",
            "CREATE TEMPORARY TABLE t (id int)",
            "CREATE FUNCTION podgate.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "SELECT * FROM pg_authid",
            "ALTER ROLE reader PASSWORD 'x'",
            "ALTER ROLE keeper SUPERUSER",
            "SET ROLE postgres",
            "DROP FUNCTION podgate.keep(text, text)",
        ):
            assert outcome(keeper, statement) == DENIED, statement
        # Nothing of the keeper's own stands in the way of what the function means.
        run(keeper, "SET search_path = pg_temp, public")
        assert run(keeper, f"SELECT podgate.keep('reader', '{verifier}')") == [(False,)]
    assert "password authentication failed" in await trio.to_thread.run_sync(refused, upstream, "read")


async def test_who_holds_up_the_keeper_is_ended_and_nobody_else_is(upstream: str) -> None:
    pod = Pod(1, "my-p1-1", "my-p1", "postgres", AccessLevel.READ, 0.0, secrets=SECRETS)
    with (
        session(upstream, "owner") as owner,
        session(upstream, "write") as writer,
        session(upstream, "read") as reader,
        session(upstream, "read") as mallory,
    ):
        run(owner, "BEGIN;; ALTER DATABASE my_p1 SET work_mem = '5MB'")
        run(writer, "BEGIN;; CREATE TEMPORARY TABLE t (id int)")
        run(reader, "BEGIN;; SELECT * FROM pg_roles")
        run(mallory, "BEGIN READ WRITE;; ALTER ROLE reader PASSWORD 'mine';; ALTER ROLE reader SET work_mem = '1MB'")
        kept = await RoleKeeper().keep(pod, load_templates()["postgres"], upstream, {"read": "new"})
        assert kept == Kept(frozenset({"read"}))
        with pytest.raises(psycopg.OperationalError):
            run(mallory, "COMMIT")
        for other in (owner, writer, reader):
            run(other, "COMMIT")
    assert refused(upstream, "read", "new") == ""


async def test_the_sessions_of_a_level_end_where_it_is_wrong_again_and_again(upstream: str) -> None:
    pod = Pod(1, "my-p1-1", "my-p1", "postgres", AccessLevel.READ, 0.0, secrets=SECRETS)
    keeper, template = RoleKeeper(), load_templates()["postgres"]
    passwords = {level: SECRETS[level] for level in ("write", "read")}
    await keeper.keep(pod, template, upstream, passwords)
    with session(upstream, "write") as writer, session(upstream, "read") as reader:
        kept = await keeper.keep(pod, template, upstream, passwords, passwords)
        assert kept == Kept(), "nothing was wrong"
        run(reader, "BEGIN READ WRITE;; ALTER ROLE reader PASSWORD 'mine';; COMMIT")
        kept = await keeper.keep(pod, template, upstream, passwords, passwords)
        assert kept == Kept(frozenset({"read"}), ("a test",))
        with pytest.raises(psycopg.OperationalError):
            run(reader, "SELECT 1")
        run(writer, "SELECT 1")
    assert refused(upstream, "read") == ""


async def test_no_level_but_the_owners_takes_all_connections(upstream: str) -> None:
    question = "SELECT rolname, rolconnlimit < current_setting('max_connections')::int - 3 FROM pg_roles"
    with session(upstream, "owner") as owner:
        found = run(owner, f"{question} WHERE rolname IN ('owner', 'writer', 'reader') AND rolconnlimit > 0")
    assert sorted(found) == [("reader", True), ("writer", True)]
