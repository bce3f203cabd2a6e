"""Store: reads and writes pods, events, people and tokens. Each method is one transaction; after it returns, it
survives.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Executable, RowMapping, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from controller.identity import Entry
from controller.model import Event, Phase, Pod, Status, Want
from controller.store import schema
from controller.store.database import open_database, translated
from controller.store.directory import Directory, read_directory
from controller.store.journal import Question, read_entries, trim_entries, write_entries
from controller.store.sharing import Shared, read_shared, write_shared
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
            shared = read_shared(connection)
            rows = connection.execute(select(schema.pods).order_by(schema.pods.c.number)).mappings()
            return [_pod(row, shared.get(row["key"], Shared())) for row in rows]

    def create(self, pod: Pod, event: Event, entries: Sequence[Entry] = ()) -> Pod:
        """Add a pod and give it back with its number. Raises NameTaken."""
        values: dict[str, Any] = {"key": pod.key, "name": pod.name, "template": pod.template, "access": str(pod.access)}
        values |= {"parameters": dict(pod.parameters), "env": dict(pod.env), "secrets": dict(pod.secrets)}
        values |= {"created_at": pod.created_at, "owner": pod.owner} | _wanted(pod) | _seen(pod)
        with translated(self._path), self._engine.begin() as connection:
            try:
                added = connection.execute(insert(schema.pods).values(values).returning(schema.pods)).mappings().one()
            except IntegrityError as error:
                raise NameTaken(pod.name) from error
            write_shared(connection, pod)
            created = _pod(added, Shared.of(pod))
            _remember(connection, created.number, [event])
            write_entries(connection, entries)
            return created

    def change(self, pod: Pod, event: Event, entries: Sequence[Entry] = ()) -> None:
        """Write what is now wanted of a pod, and its status as it is to begin from there."""
        with translated(self._path), self._engine.begin() as connection:
            row = update(schema.pods).where(schema.pods.c.number == pod.number)
            if connection.execute(row.values(_wanted(pod) | _seen(pod))).rowcount:
                _remember(connection, pod.number, [event])
            write_entries(connection, entries)

    def share(self, pod: Pod, entries: Sequence[Entry]) -> None:
        """Write whose a pod is, who may use it, and how its endpoints are used."""
        with translated(self._path), self._engine.begin() as connection:
            row = update(schema.pods).where(schema.pods.c.number == pod.number)
            if connection.execute(row.values(owner=pod.owner)).rowcount:
                write_shared(connection, pod)
            write_entries(connection, entries)

    def set_secrets(self, pod: Pod, events: Iterable[Event] = (), entries: Sequence[Entry] = ()) -> None:
        """Write the secrets of a pod, those it has and those it is to get."""
        values = {"secrets": dict(pod.secrets), "pending": dict(pod.pending)}
        with translated(self._path), self._engine.begin() as connection:
            row = update(schema.pods).where(schema.pods.c.number == pod.number)
            if connection.execute(row.values(values)).rowcount:
                _remember(connection, pod.number, events)
            write_entries(connection, entries)

    def save_status(self, pod: Pod, events: Iterable[Event]) -> None:
        """Write a pod's status and generation, unless the store has a later generation or another wish by now."""
        table = schema.pods
        with translated(self._path), self._engine.begin() as connection:
            row = update(table).where(table.c.number == pod.number, table.c.generation <= pod.generation)
            if connection.execute(row.where(table.c.want == str(pod.want)).values(_seen(pod))).rowcount:
                _remember(connection, pod.number, events)

    def forget(self, pod: Pod) -> None:
        """Take a pod out, and with it its events, grants, links and tokens; its name is free after this."""
        with translated(self._path), self._engine.begin() as connection:
            connection.execute(delete(schema.pods).where(schema.pods.c.number == pod.number))
            connection.execute(delete(schema.api_tokens).where(schema.api_tokens.c.pod == pod.key))

    def events(self, pod: Pod) -> list[Event]:
        """Give the events of a pod, newest last."""
        table = schema.events
        with translated(self._path), self._engine.begin() as connection:
            rows = connection.execute(select(table).where(table.c.pod == pod.number).order_by(table.c.number))
            return [Event(row.at, row.kind, row.message) for row in rows]

    def directory(self) -> Directory:
        """Give everything there is of people."""
        with translated(self._path), self._engine.begin() as connection:
            return read_directory(connection)

    def write(self, statements: Iterable[Executable], entries: Sequence[Entry]) -> None:
        """Change people (`controller.store.directory`), and write down who did."""
        with translated(self._path), self._engine.begin() as connection:
            for statement in statements:
                connection.execute(statement)
            write_entries(connection, entries)

    def entries(self, question: Question) -> list[Entry]:
        """Give the newest audit entries that fit, newest first."""
        with translated(self._path), self._engine.begin() as connection:
            return read_entries(connection, question)

    def trim_entries(self, now: float) -> None:
        """Let go of audit entries that are too old."""
        with translated(self._path), self._engine.begin() as connection:
            trim_entries(connection, now)

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


def _pod(row: RowMapping, shared: Shared) -> Pod:
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
    )
