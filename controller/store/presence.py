"""Which gateways follow which replica of the controller, as the replicas tell each other.

A gateway may come to another replica with what it has to say of the stream it follows: each of its calls may be a
connection of its own. What it acknowledges there is put down with what the replica that it follows told; that reads it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    Row,
    and_,
    cast,
    delete,
    extract,
    func,
    insert,
    or_,
    select,
    text,
    update,
)

from controller.gateways import NOBODY_SAID, NOTHING_TOLD, Standing, Who
from controller.store.schema import gateways
from controller.store.turns import CHANNEL
from router.snapshot import Rejected, Version

FRESH = 15.0  # seconds after which a replica that tells no more is taken for gone, and who followed it
ATTEMPTS = 3  # at a row that is written anew in between
KEPT = 10 * FRESH  # seconds until what it told is taken out


@dataclass(frozen=True, slots=True)
class Followed:
    """A gateway that follows a replica, and what it runs."""

    replica: str
    workers: int
    since: float
    epoch: str
    number: int
    rejected: tuple[tuple[str, int, str], ...] = ()  # host, in which version, why
    who: Who = NOBODY_SAID
    standing: Standing = NOTHING_TOLD

    def later(self, other: "Followed | None") -> "Followed":
        """Give this with what `other`, the same gateway, runs if that is a later version."""
        if other is None or other.since != self.since or (self.epoch and self.epoch != other.epoch):
            return self
        if other.number <= self.number:
            return self
        return replace(self, epoch=other.epoch, number=other.number, rejected=other.rejected)


class Following(NamedTuple):
    """Who follows a replica, and who the others, by the time they came; and which replica leads."""

    own: list[Followed]
    elsewhere: list[Followed]
    leader: str


def tell_followed(connection: Connection, by: str, told: Sequence[Followed]) -> None:
    """Write who follows the replica `by`, in place of who did, and tell the others."""
    own = select(gateways).where(gateways.c.followed == by).with_for_update()
    before = {row.replica: _followed(row) for row in connection.execute(own)}
    told_long_ago = gateways.c.told_at < _now() - KEPT
    connection.execute(delete(gateways).where(or_(gateways.c.followed == by, told_long_ago)))
    for each in told:
        now = each.later(before.get(each.replica))
        connection.execute(insert(gateways).values(**asdict(now), followed=by, told_at=_now()))
    connection.execute(text("SELECT pg_notify(:channel, '')"), {"channel": CHANNEL})


def pass_on(connection: Connection, replica: str, version: Version, rejected: Sequence[Rejected]) -> bool:
    """Put down what a gateway acknowledges that follows another replica; tell whether one does."""
    its = and_(gateways.c.replica == replica, _fresh())
    is_later = or_(gateways.c.epoch != version.epoch, gateways.c.number <= version.number)
    refused = [(each.host, version.number, each.reason) for each in rejected]
    values = {"epoch": version.epoch, "number": version.number, "rejected": refused}
    for _ in range(ATTEMPTS):
        if connection.execute(update(gateways).where(its, is_later).values(values)).rowcount:
            connection.execute(text("SELECT pg_notify(:channel, '')"), {"channel": CHANNEL})
            return True
        found = connection.execute(select(gateways.c.epoch, gateways.c.number).where(its)).first()
        if found is None:
            return False
        if found.epoch == version.epoch and found.number > version.number:
            return True  # it came late
    return False  # written anew each time in between; the gateway tries again


def read_followed(connection: Connection, by: str, leader: str) -> Following:
    """Give who follows the replica `by`, and who the others."""
    rows = connection.execute(select(gateways).where(_fresh()).order_by(gateways.c.since)).all()
    own = [_followed(row) for row in rows if row.followed == by]
    return Following(own, [_followed(row) for row in rows if row.followed != by], leader)


def _followed(row: Row[tuple[Any, ...]]) -> Followed:
    return Followed(
        row.replica, row.workers, row.since, row.epoch, row.number,
        tuple((host, number, reason) for host, number, reason in row.rejected),
        Who(**row.who), Standing(**{**row.standing, "addresses": tuple(row.standing["addresses"])}),
    )  # fmt: skip


def _fresh() -> ColumnElement[bool]:
    return gateways.c.told_at.between(_now() - FRESH, _now() + FRESH)  # later: the database's clock was put back


def _now() -> ColumnElement[float]:
    return cast(extract("epoch", func.clock_timestamp()), Float)
