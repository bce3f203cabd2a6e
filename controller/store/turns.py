"""How replicas take turns at a shared store, and how each finds out what the others changed.

One row, `state`, is locked by whoever changes anything that replicas keep in memory, from its look at what there is
until what it decided is committed: there is one order of all changes, and `number` counts them. Each change leaves its
subject in `changes`, so that a replica reads again only what others changed; one that was away for longer than these
go back reads everything. The server ends a transaction whose replica falls asleep in it (controller.store.postgres).

A change of what was seen of pods is the leader's alone: it carries the leader's term, which has to be the newest. With
the term goes the leader's name: a server that took over from one that was lost may not have heard of the last term, and
count it again.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, text, update

from controller.store.database import StoreFailure
from controller.store.schema import changes, state

PEOPLE = "people"  # the subject of what changes people; others are the keys of pods, which end in a `-` and letters
MOST_CHANGES = 10_000  # kept
CHANNEL = "podgate_changes"
LEADER_LOCK = 0x706F646C656164  # `podlead`: the advisory lock of who leads, of this database alone

# What the session that has the lock is asked: to begin a term, if pods run where it would run them, and whether it is
# still the same.
BEGIN_TERM = """
WITH begun AS (UPDATE state SET term = term + 1, leader = %s WHERE place = %s RETURNING term)
SELECT term, pg_notify(%s, '') FROM begun
"""
SAME_TERM = "SELECT 1 FROM state WHERE term = %s AND leader = %s"

_LED = text("""
SELECT EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid = CAST(:high AS oid) AND objid = CAST(:low AS oid))
""")


class NotLeader(StoreFailure):
    """Somebody else leads by now; nothing was written."""

    def __init__(self) -> None:
        super().__init__("store: this controller does not lead any more; the leader does what is to be done")


class State(NamedTuple):
    """How far the store is."""

    epoch: str
    number: int
    term: int
    leader: str


def read_state(connection: Connection, *, lock: bool = False) -> State:
    """Read it; `lock`: and let nobody else change anything until this transaction ends."""
    wanted = select(state.c.epoch, state.c.number, state.c.term, state.c.leader)
    row = connection.execute(wanted.with_for_update() if lock else wanted).one()
    return State(row.epoch, row.number, row.term, row.leader)


def read_leader(connection: Connection) -> str:
    """Tell which replica leads at this moment; empty if none does."""
    halves = {"high": LEADER_LOCK >> 32, "low": LEADER_LOCK & 0xFFFFFFFF}  # as pg_locks shows it
    led = connection.execute(_LED, halves).scalar_one()
    return read_state(connection).leader if led else ""


def claim_place(connection: Connection, place: str) -> str:
    """Have pods run in this place if none is known; give the one that is."""
    connection.execute(update(state).where(state.c.place == "").values(place=place))
    return str(connection.execute(select(state.c.place)).scalar_one())


def move_place(connection: Connection, place: str) -> str:
    """Have pods run in this place from now on, unless somebody leads who runs them in another; give who does."""
    known = connection.execute(select(state.c.place).with_for_update()).scalar_one()
    leader = read_leader(connection) if known != place else ""
    if known != place and not leader:  # no term begins before this is committed
        connection.execute(update(state).values(place=place, term=state.c.term + 1, leader=""))
    return leader


def check_term(now: State, term: int, leader: str) -> None:
    """See that it is still the term of this leader. Raises NotLeader."""
    if (now.term, now.leader) != (term, leader):
        raise NotLeader


def count(connection: Connection, now: State, subjects: Sequence[str]) -> int:
    """Write down what changes in this transaction, and tell the others when it is committed; give the last number."""
    number = now.number + len(subjects)
    if not subjects:
        return number
    numbered = [{"number": at, "subject": subject} for at, subject in enumerate(subjects, now.number + 1)]
    connection.execute(update(state).values(number=number))
    connection.execute(insert(changes), numbered)
    if number // 100 > now.number // 100:
        connection.execute(delete(changes).where(changes.c.number <= number - MOST_CHANGES))
    connection.execute(text("SELECT pg_notify(:channel, :number)"), {"channel": CHANNEL, "number": str(number)})
    return number


def changed_since(connection: Connection, now: State, known: int) -> set[str] | None:
    """Give the subjects of all changes after the one numbered `known`; None if that is not known any more."""
    rows = connection.execute(select(changes.c.subject).where(changes.c.number > known)).all()
    if now.number < known or len(rows) < now.number - known:
        return None
    return {row.subject for row in rows}
