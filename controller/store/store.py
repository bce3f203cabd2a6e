"""Store: reads and writes pods, events and tokens. Each method is one transaction; after it returns, it survives."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, RowMapping, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from controller.model import Event, Phase, Pod, Status, Want
from controller.store import schema
from controller.store.database import open_database, translated
from router.access import AccessLevel

MOST_EVENTS = 100  # of one pod; the oldest go first


class NameTaken(Exception):
    """Another pod has this name; it is free again when that pod is deleted and gone."""


class Store:
    """The store's file, opened and migrated."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine = open_database(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()

    def pods(self) -> list[Pod]:
        """Give every pod, oldest first."""
        with translated(self._path), self._engine.begin() as connection:
            rows = connection.execute(select(schema.pods).order_by(schema.pods.c.number)).mappings()
            return [_pod(row) for row in rows]

    def create(self, pod: Pod, event: Event) -> Pod:
        """Add a pod and give it back with its number. Raises NameTaken."""
        values: dict[str, Any] = {"key": pod.key, "name": pod.name, "template": pod.template, "access": str(pod.access)}
        values |= {"parameters": dict(pod.parameters), "env": dict(pod.env), "secrets": dict(pod.secrets)}
        values |= {"created_at": pod.created_at} | _wanted(pod) | _seen(pod)
        with translated(self._path), self._engine.begin() as connection:
            try:
                added = connection.execute(insert(schema.pods).values(values).returning(schema.pods)).mappings().one()
            except IntegrityError as error:
                raise NameTaken(pod.name) from error
            created = _pod(added)
            _remember(connection, created.number, [event])
            return created

    def change(self, pod: Pod, event: Event) -> None:
        """Write what is now wanted of a pod, and its status as it is to begin from there."""
        with translated(self._path), self._engine.begin() as connection:
            row = update(schema.pods).where(schema.pods.c.number == pod.number)
            if connection.execute(row.values(_wanted(pod) | _seen(pod))).rowcount:
                _remember(connection, pod.number, [event])

    def save_status(self, pod: Pod, events: Iterable[Event]) -> None:
        """Write a pod's status and generation, unless the store has a later generation or another wish by now."""
        table = schema.pods
        with translated(self._path), self._engine.begin() as connection:
            row = update(table).where(table.c.number == pod.number, table.c.generation <= pod.generation)
            if connection.execute(row.where(table.c.want == str(pod.want)).values(_seen(pod))).rowcount:
                _remember(connection, pod.number, events)

    def forget(self, pod: Pod) -> None:
        """Take a pod and its events out; its name is free after this."""
        with translated(self._path), self._engine.begin() as connection:
            connection.execute(delete(schema.pods).where(schema.pods.c.number == pod.number))

    def events(self, pod: Pod) -> list[Event]:
        """Give the events of a pod, newest last."""
        table = schema.events
        with translated(self._path), self._engine.begin() as connection:
            rows = connection.execute(select(table).where(table.c.pod == pod.number).order_by(table.c.number))
            return [Event(row.at, row.kind, row.message) for row in rows]

    def set_token(self, name: str, scope: str, hashed: str) -> None:
        """Let the token with this hash in; one that had the name before is let in no more."""
        table = schema.tokens
        with translated(self._path), self._engine.begin() as connection:
            connection.execute(delete(table).where((table.c.name == name) | (table.c.hash == hashed)))
            connection.execute(insert(table).values(name=name, scope=scope, hash=hashed))

    def tokens(self) -> dict[str, str]:
        """Give the scope of every token by its hash."""
        with translated(self._path), self._engine.begin() as connection:
            return {row.hash: row.scope for row in connection.execute(select(schema.tokens))}


def _remember(connection: Connection, number: int, events: Iterable[Event]) -> None:
    table = schema.events
    rows = [{"pod": number, "at": event.at, "kind": event.kind, "message": event.message} for event in events]
    if not rows:
        return
    connection.execute(insert(table), rows)
    newest = select(table.c.number).where(table.c.pod == number).order_by(table.c.number.desc()).limit(MOST_EVENTS)
    connection.execute(delete(table).where(table.c.pod == number, table.c.number.not_in(newest)))


def _wanted(pod: Pod) -> dict[str, Any]:
    return {"want": str(pod.want)}


def _seen(pod: Pod) -> dict[str, Any]:
    values = {name: getattr(pod.status, name) for name in Status.__slots__}
    return {**values, "phase": str(pod.status.phase), "generation": pod.generation}


def _pod(row: RowMapping) -> Pod:
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
        status=Status(phase=Phase(row["phase"]), **status),
    )
