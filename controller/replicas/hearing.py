"""The session by which a replica is told of changes, and has its name to itself: it holds an advisory lock for that.

Two replicas of one name would take each other's place in what replicas tell each other. The server finds out within
some ten seconds that a machine is gone which held a session (`KEEPALIVES`): a replica may then start elsewhere.
"""

import hashlib

import psycopg
import trio
from sqlalchemy import URL

from controller.store.database import StoreFailure
from controller.store.postgres import AT_START, connect, failure_of, name_of
from controller.store.turns import CHANNEL

NAME_LIMIT = 5.0  # seconds that a replica which starts waits for the session of its last life to end
TRY_AGAIN_AFTER = 0.25  # seconds
KEEPALIVES = {"tcp_keepalives_idle": "5s", "tcp_keepalives_interval": "2s", "tcp_keepalives_count": 3}

Session = psycopg.Connection[tuple[object, ...]]


class NameTaken(StoreFailure):
    """Another replica has this name."""

    def __init__(self, url: URL, replica: str) -> None:
        super().__init__(
            f"store: another replica named {replica!r} uses {name_of(url)}; choose another name for one with --replica"
        )


def hearing(url: URL, replica: str) -> Session:
    """Make the session. Raises psycopg.Error, and NameTaken."""
    session = connect(url, **KEEPALIVES)
    try:
        row = session.execute("SELECT pg_try_advisory_lock(%s)", (_lock_of(replica),)).fetchone()
        if not row or not row[0]:
            raise NameTaken(url, replica)
        session.execute(f"LISTEN {CHANNEL}".encode())
    except BaseException:
        session.close()
        raise
    return session


async def first_hearing(url: URL, replica: str) -> Session:
    """Make the session of a replica that starts. Raises StoreFailure."""
    deadline = trio.current_time() + NAME_LIMIT
    while True:
        try:
            return await trio.to_thread.run_sync(hearing, url, replica, abandon_on_cancel=True)
        except psycopg.Error as error:
            raise failure_of(error, name_of(url), AT_START) from None
        except NameTaken:
            if trio.current_time() >= deadline:
                raise
        await trio.sleep(TRY_AGAIN_AFTER)


def _lock_of(replica: str) -> int:
    """Give the advisory lock of a name: 64 bits with a sign, of which no two names have the same."""
    return int.from_bytes(hashlib.sha256(f"podgate replica {replica}".encode()).digest()[:8], "big", signed=True)
