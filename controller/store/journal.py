"""The audit log in the store: bounded by count with every entry written, by age from time to time."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, or_, select

from controller.identity import Entry, Outcome
from controller.names import KEY_LETTERS
from controller.store.schema import audit

MOST_ENTRIES = 100_000
LONGEST_KEPT = 90 * 24 * 3600.0  # seconds


@dataclass(frozen=True, slots=True)
class Question:
    """Which entries are wanted; what is None or empty asks for nothing."""

    limit: int = 100
    since: float | None = None
    until: float | None = None
    who: str | None = None
    pod: str = ""  # a pod's key or name
    outcome: Outcome | None = None
    own: str | None = None  # only entries of this user
    own_since: float = 0.0  # from when on: before, somebody else may have had the name
    seen: frozenset[str] = frozenset()  # the pods they see: of others they are not told that they were refused there
    pods: frozenset[str] = frozenset()  # or of these pods, whoever it was; ignored if `own` is None
    only_pod: str = ""  # a key: nothing of any other pod, whatever else is asked


def write_entries(connection: Connection, entries: Sequence[Entry]) -> None:
    """Write entries, and let the oldest go that are too many."""
    if not entries:
        return
    rows = [
        asdict(entry) | {"outcome": str(entry.outcome), "what": storable(entry.what), "detail": storable(entry.detail)}
        for entry in entries
    ]
    connection.execute(insert(audit), rows)
    newest = connection.execute(select(func.max(audit.c.number))).scalar_one()
    connection.execute(delete(audit).where(audit.c.number <= newest - MOST_ENTRIES))


def storable(text: str) -> str:
    """Give a text for people as every database takes it: PostgreSQL has no NUL in texts, and a log may."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def trim_entries(connection: Connection, now: float) -> None:
    """Let go of what is too old."""
    connection.execute(delete(audit).where(audit.c.at < now - LONGEST_KEPT))


def read_entries(connection: Connection, question: Question) -> list[Entry]:
    """Give the newest entries that fit, newest first."""
    wanted = select(audit).order_by(audit.c.at.desc(), audit.c.number.desc()).limit(question.limit)
    if question.own is not None:
        wanted = wanted.where(or_(_own(question), audit.c.pod.in_(question.pods)))
    if question.only_pod:
        wanted = wanted.where(audit.c.pod == question.only_pod)
    if question.since is not None:
        wanted = wanted.where(audit.c.at >= question.since)
    if question.until is not None:
        wanted = wanted.where(audit.c.at < question.until)
    if question.who is not None:
        wanted = wanted.where(audit.c.who == question.who)
    if question.outcome is not None:
        wanted = wanted.where(audit.c.outcome == str(question.outcome))
    if question.pod:  # a key is the name, `-`, and letters of a fixed number: no name can be taken for another
        keys = f"{_plain(question.pod)}-{'_' * KEY_LETTERS}"
        wanted = wanted.where(or_(audit.c.pod == question.pod, audit.c.pod.like(keys, escape="\\")))
    return [_entry(row) for row in connection.execute(wanted)]


def _own(question: Question) -> ColumnElement[bool]:
    told = or_(audit.c.outcome != str(Outcome.REFUSED), audit.c.pod == "", audit.c.pod.in_(question.seen))
    return and_(audit.c.who == question.own, audit.c.at >= question.own_since, told)


def _plain(name: str) -> str:
    return name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _entry(row: Row[tuple[object, ...]]) -> Entry:
    return Entry(row.at, row.who, row.what, row.pod, row.address, Outcome(row.outcome), row.detail)
