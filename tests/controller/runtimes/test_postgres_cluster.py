"""The cluster of a Postgres pod: one of an earlier version is brought up to this one, and its owner copies it."""

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.runtimes.process import ProcessRuntime
from tests.controller.runtimes.homes import SECRETS, Living, new_home, only_life
from tests.controller.runtimes.postgres import outcome, refused, run, session

# What sets a cluster of this version apart, taken back: the one before had none of it.
AGED = {
    "my_p1": [
        "DROP OWNED BY keeper",
        "ALTER DEFAULT PRIVILEGES FOR ROLE owner GRANT EXECUTE ON FUNCTIONS TO PUBLIC",
        "GRANT EXECUTE ON FUNCTION pg_terminate_backend(int, bigint), pg_advisory_lock(bigint) TO PUBLIC",
        "REVOKE pg_read_all_stats, pg_signal_backend FROM owner",
        "ALTER ROLE owner NOREPLICATION",
        "ALTER ROLE reader PASSWORD 'forgotten'",
    ],
    "postgres": ["DROP SCHEMA podgate CASCADE", "DROP OWNED BY keeper", "DROP ROLE keeper"],
}


@pytest.fixture
async def living() -> AsyncIterator[Living]:
    with new_home() as home:
        async with only_life(home) as living:
            yield living


async def program(living: Living, name: str) -> str:
    """Find a program where the pod's user may run it."""
    assert isinstance(living.runtime, ProcessRuntime)
    variables = await living.runtime._cache.software(["postgres"])
    return f"{variables['POSTGRES_BIN']}/{name}"


def age(living: Living, postgres: str) -> Path:
    """Make the stopped cluster of p1 one of the version before."""
    cluster = living.home / "pods/p1/data/cluster"
    user = cluster.stat().st_uid if os.geteuid() == 0 else None
    for database, statements in AGED.items():
        config = f"config_file={living.home / 'pods/p1/template/postgres.conf'}"
        done = subprocess.run(
            [postgres, "--single", "-D", str(cluster), "-c", config, "-c", "exit_on_error=on", database],
            input="\n".join(statements) + "\n", capture_output=True, text=True, user=user, group=user, check=False,
            extra_groups=[] if user else None,
        )  # fmt: skip
        assert "ERROR" not in done.stdout + done.stderr, done.stderr
    (cluster / "podgate-3").unlink()
    return cluster


async def test_a_cluster_of_the_version_before_is_brought_up_to_this_one(living: Living) -> None:
    await living.launch("p1", "postgres")
    upstream = (await living.until_ready("p1")).upstreams[""]
    with session(upstream, "owner") as owner:
        run(owner, "CREATE TABLE hats (name text);; INSERT INTO hats VALUES ('fez')")
    await living.end("p1")
    cluster = age(living, await program(living, "postgres"))

    await living.launch("p1", "postgres", generation=2)
    await living.until_ready("p1")
    assert (cluster / "podgate-3").exists()
    with session(upstream, "read") as reader:
        assert run(reader, "SELECT name FROM hats") == [("fez",)]
        assert outcome(reader, "SELECT pg_terminate_backend(0)") == "InsufficientPrivilege"
        assert outcome(reader, "SELECT pg_advisory_lock(1)") == "InsufficientPrivilege"
    with session(upstream, "owner") as owner:
        run(owner, "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        assert outcome(owner, "SELECT pg_terminate_backend(0)") == "ok"
    with session(upstream, "read") as reader:
        assert outcome(reader, "SELECT f()") == "InsufficientPrivilege"
    with session(upstream, "keeper", database="postgres") as keeper:
        assert outcome(keeper, "SELECT podgate.keep('reader', '')") == "InsufficientPrivilege"
        assert outcome(keeper, "SELECT podgate.keep('reader', 'x')") == "InsufficientPrivilege"


async def test_functions_that_run_as_the_owner_are_closed_to_readers_when_a_cluster_is_brought_up(
    living: Living,
) -> None:
    await living.launch("p1", "postgres")
    upstream = (await living.until_ready("p1")).upstreams[""]
    with session(upstream, "owner") as owner:
        run(owner, "ALTER DEFAULT PRIVILEGES FOR ROLE owner GRANT EXECUTE ON FUNCTIONS TO PUBLIC")
        run(owner, "ALTER DEFAULT PRIVILEGES FOR ROLE owner REVOKE EXECUTE ON FUNCTIONS FROM writer")
        run(owner, "CREATE FUNCTION \"Sneak; --\"(name) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'")
        run(owner, "CREATE FUNCTION plain() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        run(owner, "CREATE FUNCTION given() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'")
        run(owner, "GRANT EXECUTE ON FUNCTION given() TO reader")
    with session(upstream, "read") as reader:
        assert outcome(reader, "SELECT \"Sneak; --\"('x')") == "ok"
    await living.end("p1")
    (living.home / "pods/p1/data/cluster/podgate-3").unlink()
    await living.launch("p1", "postgres", generation=2)
    await living.until_ready("p1")
    with session(upstream, "read") as reader, session(upstream, "write") as writer:
        assert outcome(reader, "SELECT \"Sneak; --\"('x')") == "InsufficientPrivilege"
        assert outcome(writer, "SELECT \"Sneak; --\"('x')") == "ok"
        assert (outcome(reader, "SELECT plain()"), outcome(reader, "SELECT given()")) == ("ok", "ok")


async def test_a_cluster_that_needs_nothing_is_left_as_it_is(living: Living) -> None:
    await living.launch("p1", "postgres")
    upstream = (await living.until_ready("p1")).upstreams[""]
    with session(upstream, "owner") as owner:
        run(owner, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;; ALTER ROLE owner PASSWORD 'of my own'")
    await living.end("p1")
    await living.launch("p1", "postgres", generation=2)
    await living.until_ready("p1")
    assert "password authentication failed" in refused(upstream, "owner")
    assert refused(upstream, "owner", "of my own") == ""


async def test_the_owner_copies_the_cluster_and_nobody_else(living: Living) -> None:
    await living.launch("p1", "postgres")
    upstream = (await living.until_ready("p1")).upstreams[""]

    basebackup = await program(living, "pg_basebackup")

    def copy(level: str, user: str) -> subprocess.CompletedProcess[str]:
        command = [basebackup, "-D", str(living.home / f"copy-{user}"), "-X", "stream"]
        facts = {"PGHOST": str(Path(upstream.removeprefix("unix:")).parent), "PGUSER": user}
        environment = {**os.environ, **facts, "PGPASSWORD": SECRETS[level]}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert copy("owner", "owner").returncode == 0
    assert (living.home / "copy-owner/PG_VERSION").exists()
    for level, user in [("write", "writer"), ("read", "reader"), ("keeper", "keeper")]:
        failed = copy(level, user)
        assert failed.returncode != 0
        assert "no pg_hba.conf entry" in failed.stderr or "rejects" in failed.stderr, failed.stderr
