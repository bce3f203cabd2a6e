"""Which gateways follow which replica of the controller, as the replicas tell each other."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import ColumnElement, Connection, Float, cast, delete, extract, func, insert, or_, select, text

from controller.store.schema import gateways
from controller.store.turns import CHANNEL

FRESH = 15.0  # seconds after which a replica that tells no more is taken for gone, and who followed it
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


def tell_followed(connection: Connection, by: str, told: Sequence[Followed]) -> None:
    """Write who follows the replica `by`, in place of who did, and tell the others."""
    told_long_ago = gateways.c.told_at < _now() - KEPT
    connection.execute(delete(gateways).where(or_(gateways.c.followed == by, told_long_ago)))
    for each in told:
        connection.execute(insert(gateways).values(**asdict(each), followed=by, told_at=_now()))
    connection.execute(text("SELECT pg_notify(:channel, '')"), {"channel": CHANNEL})


def read_followed(connection: Connection, but: str) -> list[Followed]:
    """Give who follows other replicas than `but`, by the time they came."""
    fresh = gateways.c.told_at.between(_now() - FRESH, _now() + FRESH)  # later: the database's clock was put back
    wanted = select(gateways).where(gateways.c.followed != but, fresh).order_by(gateways.c.since)
    return [
        Followed(
            row.replica, row.workers, row.since, row.epoch, row.number,
            tuple((host, number, reason) for host, number, reason in row.rejected),
        )
        for row in connection.execute(wanted)
    ]  # fmt: skip


def _now() -> ColumnElement[float]:
    return cast(extract("epoch", func.clock_timestamp()), Float)
