"""The bundled templates with the servers they are for, reached by their own clients the way a gateway reaches them."""

import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx
import neo4j
import psycopg
import pytest
import trio

from controller.runtimes import Observed, Stage
from tests.controller.runtimes.homes import SECRETS, Living, life, new_home, only_life, processes_with

USERS = {"owner": "owner", "write": "writer", "read": "reader"}


@pytest.fixture
async def living() -> AsyncIterator[Living]:
    with new_home() as home:
        async with only_life(home) as living:
            yield living


def connect(upstream: str, level: str, database: str, user: str = "") -> "psycopg.Connection[tuple[object, ...]]":
    """Log in over the pod's socket, as whoever holds the secret of `level`."""
    return psycopg.connect(
        host=str(Path(upstream.removeprefix("unix:")).parent),
        user=user or USERS[level],
        password=SECRETS[level],
        dbname=database,
        autocommit=True,
    )


def run(upstream: str, level: str, statement: str, database: str = "my_p1") -> list[tuple[object, ...]]:
    with connect(upstream, level, database) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


async def test_a_postgres_pod_and_what_its_roles_may_do(living: Living) -> None:
    await living.launch("p1", "postgres")
    upstream = (await living.until_ready("p1")).upstreams[""]

    run(upstream, "owner", "CREATE TABLE hats (id serial PRIMARY KEY, name text); CREATE SCHEMA attic")
    run(upstream, "owner", "CREATE TABLE attic.boxes (id int); INSERT INTO attic.boxes VALUES (7)")
    run(upstream, "write", "INSERT INTO hats (name) VALUES ('bowler'); UPDATE attic.boxes SET id = 8")
    assert run(upstream, "read", "SELECT name FROM hats") == [("bowler",)]
    assert run(upstream, "read", "SELECT id FROM attic.boxes") == [(8,)]

    denied = psycopg.errors.InsufficientPrivilege
    for level, statement, reason in [
        ("write", "CREATE TABLE more (id int)", denied),
        ("write", "DROP TABLE hats", denied),
        ("write", "TRUNCATE hats", denied),
        ("write", "CREATE DATABASE another", denied),
        ("write", "SELECT * FROM pg_authid", denied),
        ("read", "INSERT INTO hats (name) VALUES ('top')", psycopg.errors.ReadOnlySqlTransaction),
        ("read", "BEGIN READ WRITE; DELETE FROM hats", denied),
        ("read", "BEGIN READ WRITE; SELECT lo_create(0)", denied),
        ("read", "BEGIN READ WRITE; CREATE TEMPORARY TABLE t (id int)", denied),
        ("read", "SELECT * FROM pg_authid", denied),
        ("owner", "CREATE ROLE mallory", denied),
        ("owner", "COPY hats TO PROGRAM 'id'", denied),
    ]:
        with pytest.raises(reason):
            run(upstream, level, statement)

    for level, database, user in [
        ("owner", "my_p1", "postgres"),
        ("owner", "my_p1", "reader"),
        ("read", "my_p1", "owner"),
        ("owner", "postgres", "owner"),
        ("owner", "template1", "owner"),
        ("owner", "my_p1", "nobody"),
    ]:
        with pytest.raises(psycopg.OperationalError, match=r"password authentication failed|pg_hba|permission denied"):
            connect(upstream, level, database, user)

    verifiers = await trio.to_thread.run_sync(lambda: (living.home / "pods" / "p1" / "log").read_text())
    assert not any(secret in verifiers for secret in SECRETS.values())
    assert run(upstream, "owner", "SHOW fsync") == [("on",)]
    assert run(upstream, "owner", "SHOW listen_addresses") == [("",)]


async def test_a_postgres_pod_keeps_its_data_and_comes_back_from_a_killed_postmaster(living: Living) -> None:
    await living.launch("p1", "postgres")
    upstream = (await living.until_ready("p1")).upstreams[""]
    run(upstream, "owner", "CREATE TABLE hats (name text); INSERT INTO hats VALUES ('fez')")
    assert (await living.end("p1")).message == "stopped"

    await living.launch("p1", "postgres", generation=2)
    await living.until_ready("p1")
    with connect(upstream, "owner", "my_p1") as connection:
        # A query that computes does not notice by itself that its postmaster has gone.
        endless = "SELECT count(*) FROM generate_series(1, 1000000000000) a"
        broken = threading.Event()

        def query() -> None:
            with suppress(psycopg.OperationalError):
                connection.execute(endless.encode())
            broken.set()

        thread = threading.Thread(target=query)
        thread.start()
        while run(upstream, "owner", "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT count%'") == []:
            await trio.lowlevel.checkpoint()
        postmaster = int((living.home / "pods/p1/data/cluster/postmaster.pid").read_text().splitlines()[0])
        os.kill(postmaster, signal.SIGKILL)
        assert (await living.until_exited("p1", 2)).message.startswith("killed by signal 9")
        await living.launch("p1", "postgres", generation=3)
        await living.until_ready("p1")
        await trio.to_thread.run_sync(thread.join)
        assert broken.is_set()
    assert run(upstream, "read", "SELECT name FROM hats") == [("fez",)]


async def test_a_half_made_cluster_is_made_anew(living: Living) -> None:
    await living.launch("p1", "postgres")
    half = living.home / "pods" / "p1" / "data" / "cluster.new"
    while not half.exists():
        await trio.lowlevel.checkpoint()
    os.kill(living.shim_of("p1"), signal.SIGKILL)
    await living.until_exited("p1")
    (half / "rubbish").touch()
    await living.launch("p1", "postgres", generation=2)
    upstream = (await living.until_ready("p1")).upstreams[""]
    assert run(upstream, "owner", "SELECT 1") == [(1,)]
    assert not half.exists()
    assert not (half.parent / "cluster" / "rubbish").exists()


async def test_an_adopted_postgres_pod_goes_on_and_answers_two_hundred_at_once() -> None:
    with new_home() as home:
        async with life(home) as first:
            await first.launch("p1", "postgres")
            before = await first.until_ready("p1")
        async with only_life(home) as second:
            assert (await second.runtime.observe())["p1"] == before
            connections = [connect(before.upstreams[""], "write", "my_p1") for _ in range(200)]
            for connection in connections:
                connection.close()


async def test_a_graph_pod_over_bolt(living: Living) -> None:
    await living.launch("p1", "graph")
    seen = await living.until_ready("p1")
    assert list(seen.upstreams) == ["", "/http"]
    assert seen.stage is Stage.READY
    for secret in SECRETS.values():
        assert not processes_with(secret)

    def ask(password: str) -> list[object]:
        with neo4j.GraphDatabase.driver(f"bolt://{seen.upstreams['']}", auth=("root", password)) as driver:
            driver.execute_query("CREATE (:Hat {name: 'bowler'})", database_="graph")
            return driver.execute_query("MATCH (h:Hat) RETURN h.name AS name", database_="graph").records[0].values()

    def fail(query: str) -> None:
        with neo4j.GraphDatabase.driver(f"bolt://{seen.upstreams['']}", auth=("root", SECRETS["owner"])) as driver:
            driver.execute_query(query, database_="graph")

    assert await trio.to_thread.run_sync(ask, SECRETS["owner"]) == ["bowler"]
    with pytest.raises(neo4j.exceptions.ClientError):
        await trio.to_thread.run_sync(ask, "not the password")
    with pytest.raises(neo4j.exceptions.ClientError, match="'hat' not defined"):
        await trio.to_thread.run_sync(fail, "MATCH (h:Hat) RETURN hat")
    with pytest.raises(neo4j.exceptions.Neo4jError, match="file"):
        await trio.to_thread.run_sync(fail, "LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line")
    log = await living.log("p1")
    assert not any(secret in log for secret in SECRETS.values())
    (server,) = processes_with(str(living.home))
    assert listeners_beyond_loopback(server) == []
    await living.end("p1")
    await living.launch("p1", "graph", generation=2)
    seen = await living.until_ready("p1")
    assert await trio.to_thread.run_sync(ask, SECRETS["owner"]) == ["bowler"]


async def test_what_the_users_of_a_graph_pod_may_do(living: Living) -> None:
    denied = neo4j.exceptions.Forbidden
    await living.launch("p1", "graph")
    for generation in (1, 2):  # what a later start finds is the same
        seen = await living.until_ready("p1")

        def run(user: str, level: str, query: str, seen: Observed = seen) -> list[list[object]]:
            auth = (user, SECRETS[level])
            with neo4j.GraphDatabase.driver(f"bolt://{seen.upstreams['']}", auth=auth) as driver:
                return [record.values() for record in driver.execute_query(query, database_="graph").records]

        await trio.to_thread.run_sync(run, "writer", "write", f"CREATE (:Hat {{in: {generation}}})")
        hats = await trio.to_thread.run_sync(run, "reader", "read", "MATCH (h:Hat) RETURN h.in ORDER BY h.in")
        assert hats == [[number] for number in range(1, generation + 1)]
        for user, level, query in [
            ("reader", "read", "CREATE (:Hat)"),
            ("reader", "read", "CREATE (:Coat)"),
            ("reader", "read", "MATCH (h:Hat) DETACH DELETE h"),
            ("reader", "read", "MATCH (h:Hat) SET h.in = 0"),
            ("reader", "read", "CREATE USER mallory SET PASSWORD 'correct horse'"),
            ("writer", "write", "CREATE USER mallory SET PASSWORD 'correct horse'"),
        ]:
            with pytest.raises(denied):
                await trio.to_thread.run_sync(run, user, level, query)
        with pytest.raises(neo4j.exceptions.AuthError):
            await trio.to_thread.run_sync(run, "writer", "read", "RETURN 1")
        if generation == 1:
            await living.end("p1")
            await living.launch("p1", "graph", generation=2)


def listeners_beyond_loopback(pid: int) -> list[str]:
    """Give the local addresses a process listens on, as /proc/net writes them, that are not loopback's."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            inodes.add(str(entry.readlink()).removeprefix("socket:[").removesuffix("]"))
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes and not fields[1].partition(":")[0].endswith("0100007F"):
                found.append(fields[1])
    return found


def get(upstream: str, path: str = "/") -> httpx.Response:
    return httpx.get(f"http://{upstream}{path}", headers={"Host": "my-p1.pods.localhost"}, trust_env=False)


async def test_a_web_pod_says_hello(living: Living) -> None:
    await living.launch("p1", "web")
    answer = get((await living.until_ready("p1")).upstreams[""])
    assert answer.status_code == 200
    assert "text/html" in answer.headers["content-type"]
    assert "This page comes from the pod itself" in answer.text


async def test_a_web_pod_serves_a_directory(living: Living) -> None:
    site = living.home / "site"
    site.mkdir()
    site.chmod(0o755)
    (site / "index.html").write_text("hats")
    (site / ".secret").write_text("rabbits")
    await living.launch("p1", "web", directory=str(site))
    upstream = (await living.until_ready("p1")).upstreams[""]
    assert get(upstream).text == "hats"
    assert get(upstream, "/nothing").status_code == 404
    assert get(upstream, "/.secret").status_code == 404


async def test_a_web_pod_says_which_directory_it_cannot_serve(living: Living) -> None:
    (living.home / "file").touch()
    for number, (path, reason) in enumerate(
        [("nothing", "is not there"), ("file", "is not a directory"), ("nothing/below", "is not there")], 1
    ):
        await living.launch("p1", "web", generation=number, directory=str(living.home / path))
        message = (await living.until_exited("p1", number)).message
        assert f"directory: {living.home / path} {reason}; " in message


@pytest.mark.skipif(os.geteuid() != 0, reason="pods have users of their own only if we are root")
async def test_a_web_pod_says_what_keeps_it_from_its_directory(living: Living) -> None:
    closed = living.home / "closed"
    (closed / "site").mkdir(parents=True)
    closed.chmod(0o700)
    await living.launch("p1", "web", directory=str(closed / "site"))
    assert f"run 'chmod o+x {closed}'" in (await living.until_exited("p1")).message
    closed.chmod(0o711)
    (closed / "site").chmod(0o711)
    await living.launch("p1", "web", generation=2, directory=str(closed / "site"))
    assert f"run 'chmod o+rx {closed}/site'" in (await living.until_exited("p1", 2)).message


async def test_a_web_pod_runs_a_command(living: Living) -> None:
    command = "echo hats > hats.txt && exec python3 -m http.server --bind 127.0.0.1 $PORT"
    await living.launch("p1", "web", command=command)
    upstream = (await living.until_ready("p1")).upstreams[""]
    assert get(upstream, "/hats.txt").text == "hats\n"
    assert get(upstream, "/hats.txt").headers["server"].startswith("SimpleHTTP")
