"""psql and psycopg as people call them, by what the pod's owner is told; all other clients: test_postgres_matrix."""

import shutil
import subprocess
import threading
from pathlib import Path

import psycopg
import pytest
import trustme

from tests.running import PATIENCE, Pod, Podgate

AT_ONCE = 200
PROGRAMS = 60  # at once: one takes ten times the work of a session by itself
psql = pytest.mark.skipif(shutil.which("psql") is None, reason="needs the system's psql (postgresql-client)")


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout


@psql
def test_psql_by_starttls(database: Pod) -> None:
    assert run("psql", database["uris"]["owner"], "-Atc", "select current_user, 6 * 7") == "owner|42\n"


@psql
def test_what_connect_prints_works_as_it_stands(podgate: Podgate, database: Pod) -> None:
    printed = podgate.run("connect", database["name"], "--print").strip()
    assert run("sh", "-c", f"{printed} -Atc 'select 1'") == "1\n"


def test_levels_have_database_roles_of_their_own(database: Pod) -> None:
    with psycopg.connect(database["uris"]["owner"]) as owner:
        owner.execute("create table if not exists levels (n int)")
    with psycopg.connect(database["uris"]["write"]) as writer:
        writer.execute("insert into levels values (1)")
    with psycopg.connect(database["uris"]["read"]) as reader:
        assert reader.execute("select n from levels limit 1").fetchone() == (1,)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reader.execute("insert into levels values (2)")


def test_a_wrong_password_is_the_databases_own_answer(database: Pod) -> None:
    wrong = database["uris"]["owner"].replace(database["credentials"]["owner"]["password"], "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_another_authority_is_not_believed(database: Pod, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        psycopg.connect(database["uris"]["owner"], sslrootcert=str(tmp_path / "other.pem"))


@psql
@pytest.mark.slow
def test_sixty_psql_at_once(database: Pod) -> None:
    command = ["psql", database["uris"]["owner"], "-Atc", "select 1"]
    clients = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(PROGRAMS)]
    answers = [client.communicate(timeout=PATIENCE) for client in clients]
    assert answers == [(b"1\n", b"")] * PROGRAMS


def test_two_hundred_psycopg_at_once(database: Pod) -> None:
    everybody_is_in = threading.Barrier(AT_ONCE, timeout=PATIENCE)
    answers: list[object] = []

    def connect() -> None:
        with psycopg.connect(database["uris"]["owner"]) as connection:
            everybody_is_in.wait()
            answers.append(connection.execute("select 1").fetchone())

    threads = [threading.Thread(target=connect) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert answers == [(1,)] * AT_ONCE
