"""Pods and their events in the store."""

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select

from controller.model import Event, Phase, Pod, Status, Want
from controller.store import schema
from controller.store.journal import storable
from controller.store.sharing import Shared, read_shared
from router.access import AccessLevel

MOST_EVENTS = 100  # of one pod; the oldest go first


def read_pods(connection: Connection, keys: Collection[str] | None = None) -> list[Pod]:
    """Read every pod, or those with these keys, oldest first."""
    shared = read_shared(connection, keys)
    wanted = select(schema.pods).order_by(schema.pods.c.number)
    rows = connection.execute(wanted if keys is None else wanted.where(schema.pods.c.key.in_(list(keys)))).mappings()
    return [pod_of(row, shared.get(row["key"], Shared())) for row in rows]


def pod_of(row: RowMapping, shared: Shared) -> Pod:
    """Make a pod of its row and of what it gives to whom."""
    status = {name: row[name] for name in Status.__slots__ if name != "phase"}
    return Pod(
        number=row["number"],
        key=row["key"],
        name=row["name"],
        template=row["template"],
        access=AccessLevel.parse(row["access"]),
        created_at=row["created_at"],
        want=Want(row["want"]),
        generation=row["generation"],
        parameters=row["parameters"],
        env=row["env"],
        secrets=row["secrets"],
        pending=row["pending"],
        status=Status(phase=Phase(row["phase"]), **status),
        owner=row["owner"],
        grants=shared.grants,
        links=tuple(shared.links),
        endpoints=shared.endpoints,
        upstreams=row["upstreams"],
    )


def row_of(pod: Pod) -> dict[str, Any]:
    """Give all columns of a new pod but its number."""
    values: dict[str, Any] = {"key": pod.key, "name": pod.name, "template": pod.template, "access": str(pod.access)}
    values |= {"parameters": dict(pod.parameters), "env": dict(pod.env), "secrets": dict(pod.secrets)}
    return values | {"created_at": pod.created_at, "owner": pod.owner} | wanted_values(pod) | seen_values(pod)


def wanted_values(pod: Pod) -> dict[str, Any]:
    """Give the columns of what is wanted of a pod."""
    return {"want": str(pod.want)}


def seen_values(pod: Pod) -> dict[str, Any]:
    """Give the columns of what has been seen of a pod."""
    values = {name: getattr(pod.status, name) for name in Status.__slots__}
    return {
        **values, "phase": str(pod.status.phase), "message": storable(pod.status.message),
        "generation": pod.generation, "upstreams": dict(pod.upstreams),
    }  # fmt: skip


def read_events(connection: Connection, number: int) -> list[Event]:
    """Read the events of the pod with this number, newest last."""
    table = schema.events
    rows = connection.execute(select(table).where(table.c.pod == number).order_by(table.c.number))
    return [Event(row.at, row.kind, row.message) for row in rows]


def write_events(connection: Connection, number: int, events: Iterable[Event]) -> None:
    """Write events of the pod with this number, and let its oldest go that are too many."""
    table = schema.events
    rows = [{"pod": number, "at": event.at, "kind": event.kind, "message": storable(event.message)} for event in events]
    if not rows:
        return
    connection.execute(insert(table), rows)
    newest = select(table.c.number).where(table.c.pod == number).order_by(table.c.number.desc()).limit(MOST_EVENTS)
    connection.execute(delete(table).where(table.c.pod == number, table.c.number.not_in(newest)))
