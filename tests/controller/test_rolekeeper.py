"""What a program learns that only looks like a database, and what is said of one that cannot be reached."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trio

from controller.model import Pod
from controller.rolekeeper import KeepFailed, RoleKeeper, Stalled, _names, verifier
from controller.templates import load_templates
from router.access import AccessLevel
from router.credentials import Verifier, parse_verifier
from tests.peers import DEADLINE

TEMPLATE = load_templates()["postgres"]
POD = Pod(1, "mydb-1", "mydb", "postgres", AccessLevel.READ, 0.0, secrets={"keeper": "keeper-secret"})
CLEARTEXT = b"R\0\0\0\x08\0\0\0\x03"  # AuthenticationCleartextPassword
OK = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"  # AuthenticationOk, ReadyForQuery


@contextmanager
def pretender(directory: Path, answer: bytes) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Listen where a database would and answer whatever is asked by `answer`; give the address, and all that came."""
    path = directory / ".s.PGSQL.5432"
    came, accepted, called = bytearray(), list[socket.socket](), threading.Event()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            accepted.append(connection)
            called.set()
            with connection:
                came.extend(connection.recv(65536))
                connection.sendall(answer)
                while data := connection.recv(65536):
                    came.extend(data)

        thread = threading.Thread(target=serve)
        thread.start()

        def all_that_came() -> bytes:
            assert called.wait(DEADLINE)  # who is given up may still be about to call
            with suppress(OSError):
                accepted[0].shutdown(socket.SHUT_RDWR)
            thread.join()
            return bytes(came)

        yield f"unix:{path}", all_that_came


@pytest.mark.parametrize("answer", [CLEARTEXT, OK])
async def test_a_pretender_is_told_no_password(tmp_path: Path, answer: bytes) -> None:
    with pretender(tmp_path, answer) as (address, came):
        with pytest.raises(KeepFailed, match=r"^the database said: "):
            await RoleKeeper().keep(POD, TEMPLATE, address, {"read": "read-secret"})
        told = await trio.to_thread.run_sync(came)
    assert b"keeper" in told
    assert b"secret" not in told


async def test_a_pretender_that_says_nothing_is_left(tmp_path: Path) -> None:
    with pretender(tmp_path, b"") as (address, came):
        with pytest.raises(KeepFailed, match=r"^the database does not answer in time$"):
            await RoleKeeper(limit=0.1).keep(POD, TEMPLATE, address, {"read": "read-secret"})
        assert b"secret" not in await trio.to_thread.run_sync(came)


async def test_a_pretender_that_says_nothing_takes_no_time_from_others(tmp_path: Path) -> None:
    keeper, said = RoleKeeper(limit=0.3, at_once=1), list[KeepFailed]()
    (tmp_path / "other").mkdir()
    with pretender(tmp_path, b"") as (address, silence), pretender(tmp_path / "other", OK) as (other, came):
        with pytest.raises(Stalled):
            await keeper.keep(POD, TEMPLATE, address, {"read": "read-secret"})
        done = trio.Event()

        async def keep() -> None:
            with pytest.raises(KeepFailed) as failed:
                await keeper.keep(POD, TEMPLATE, other, {"read": "read-secret"})
            said.append(failed.value)
            done.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep)
            with trio.move_on_after(0.6):  # its thread is still taken, for longer than it has time itself
                await done.wait()
            assert said == []
            keeper._limit = 60.0  # as this one is not to be too slow itself
            await trio.to_thread.run_sync(silence)
        await trio.to_thread.run_sync(came)
    assert str(said[0]).startswith("the database said: ")


async def test_a_pretender_is_told_no_password_by_the_owner_either(tmp_path: Path) -> None:
    with pretender(tmp_path, CLEARTEXT) as (address, came):
        with pytest.raises(KeepFailed, match=r"^the database said: "):
            await RoleKeeper().restore(POD, TEMPLATE, address, "owner-secret")
        assert b"secret" not in await trio.to_thread.run_sync(came)


def test_names_of_sessions_are_fit_for_a_log() -> None:
    rows = [("a\nb\x1b[2J",), ("",), ("x" * 100,), ("x" * 100,), *((str(n),) for n in range(9))]
    assert _names(rows) == ("ab[2J", "x" * 64, "0", "1", "2")


@pytest.mark.parametrize("address", ["", "nowhere", "unix:/nowhere/.s.PGSQL.5432"])
async def test_what_cannot_be_reached_is_told(address: str) -> None:
    with pytest.raises(KeepFailed, match=r"^the database (has no address|said: )") as failed:
        await RoleKeeper().keep(POD, TEMPLATE, address, {"read": "read-secret"})
    assert "secret" not in str(failed.value)


def test_the_same_password_has_the_same_verifier_and_no_other_has() -> None:
    first = verifier("k", "reader", "p")
    assert first == verifier("k", "reader", "p")
    others = {verifier("l", "reader", "p"), verifier("k", "writer", "p"), verifier("k", "reader", "q")}
    assert len({first, *others}) == 4
    name, numbers, keys = first.split("$")
    assert name == "SCRAM-SHA-256"
    assert isinstance(parse_verifier(f"{numbers}:{keys}"), Verifier)
