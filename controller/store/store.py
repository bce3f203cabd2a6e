"""Store: reads and writes pods, events, people and tokens. Each method is one transaction; after it returns, it
survives.

Where replicas share it, `begin` starts the transaction of the next change ahead of it, with a look at what others
changed: what is decided from then on, until that change or `end`, is decided by what is.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

from sqlalchemy import URL, Connection, RowMapping, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from controller.identity import Entry
from controller.model import Event, Phase, Pod, Status, Want
from controller.store import schema, turns
from controller.store.directory import Change, Directory, Upsert, read_directory
from controller.store.journal import Question, read_entries, storable, trim_entries, write_entries
from controller.store.postgres import open_server
from controller.store.presence import Followed, Following, pass_on, read_followed, tell_followed
from controller.store.sharing import Shared, read_shared, write_shared
from controller.store.sqlite import open_file
from controller.store.turns import PEOPLE, State
from router.access import AccessLevel
from router.snapshot import Rejected, Version

MOST_EVENTS = 100  # of one pod; the oldest go first


class NameTaken(Exception):
    """Another pod has this name; it is free again when that pod is deleted and gone."""


class News(NamedTuple):
    """What others changed: pods by key, None for those that are gone, and people if any of them changed."""

    state: State
    pods: Mapping[str, Pod | None]
    directory: Directory | None
    scopes: Mapping[str, str]  # of the tokens of the service, by their hashes; of no use without the directory
    everything: bool  # also pods that are not named here are gone


@dataclass(slots=True)
class _Turn:
    """A transaction that has begun, and how the store was then."""

    connection: Connection
    state: State
    ended: ExitStack = field(default_factory=ExitStack)


class Store:
    """The store's database, opened and migrated: a file, or a server that replicas share."""

    def __init__(self, place: Path | URL) -> None:
        self._database = open_file(place) if isinstance(place, Path) else open_server(place)
        self._engine = self._database.engine
        self._turn: _Turn | None = None
        self._term = 0, ""  # and the leader's name; none is so low
        self.last = 0  # the number of the last change made here, where replicas share it

    @property
    def name(self) -> str:
        """Tell where it is, for people."""
        return self._database.name

    @property
    def shared(self) -> bool:
        """Tell whether other replicas may write to it."""
        return self._database.shared

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        self.end()
        self._engine.dispose()

    def cut(self) -> None:
        """Let the call that is being made fail, should it wait for an answer; from another thread."""
        self._database.cut()

    def state(self) -> State:
        """Tell how far a shared store is."""
        with self._database.transaction() as connection:
            return turns.read_state(connection)

    def claim(self, place: str) -> str:
        """Have pods run in this place if none is known; give the one that is."""
        with self._database.transaction() as connection:
            return turns.claim_place(connection, place)

    def move(self, place: str) -> str:
        """Have pods run in this place from now on. If a leader runs them in another, give its name and do nothing."""
        with self._database.transaction() as connection:
            return turns.move_place(connection, place)

    def lead(self, term: int, replica: str) -> None:
        """Write as the leader of a term from now on; when another has begun, that is refused."""
        self._term = term, replica

    def since(self, known: int) -> News | None:
        """Give what was changed after `known`, of one moment; None if nothing was."""
        with self._database.translated(), self._engine.connect() as plain:
            connection = plain.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                return self._news(connection, turns.read_state(connection), known)

    def begin(self, known: int) -> News | None:
        """Let nobody else change anything until the next change of ours, or `end`; give what was changed before."""
        turn = self._begin()
        try:
            with self._database.translated():
                news = self._news(turn.connection, turn.state, known)
        except BaseException:
            turn.ended.close()
            raise
        self._turn = turn
        return news

    def end(self) -> None:
        """Let others change things again, if nothing was changed since `begin`."""
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.ended.close()

    def tick(self) -> None:
        """Count a change of nothing: what replicas publish beside the store gets a number by it."""
        with self._change(""):
            pass

    def followed(self, by: str) -> Following:
        """Give which gateways follow a replica and the others, and which replica leads."""
        with self._database.transaction() as connection:
            return read_followed(connection, by, turns.read_leader(connection))

    def pass_on(self, replica: str, version: Version, rejected: Sequence[Rejected]) -> bool:
        """Let the replica that a gateway follows know what that acknowledged here; tell whether there is one."""
        with self._database.transaction() as connection:
            return pass_on(connection, replica, version, rejected)

    def tell_followed(self, by: str, told: Sequence[Followed]) -> None:
        """Tell the other replicas which gateways follow this one."""
        with self._database.transaction() as connection:
            tell_followed(connection, by, told)

    def _begin(self) -> _Turn:
        with self._database.translated(), ExitStack() as ended:
            connection = ended.enter_context(self._engine.connect())  # whose end takes back what is not committed
            return _Turn(connection, turns.read_state(connection, lock=True), ended.pop_all())

    @contextmanager
    def _change(self, subject: str, *, as_leader: bool = False) -> Iterator[Connection]:
        """Make the transaction of a change, or go on with the one that has begun."""
        if not self.shared:
            with self._database.transaction() as connection:
                yield connection
            return
        turn, self._turn = self._turn or self._begin(), None
        with self._database.translated(), turn.ended:
            if as_leader:
                turns.check_term(turn.state, *self._term)
            yield turn.connection
            number = turns.count(turn.connection, turn.state, subject)
            turn.connection.commit()
            self.last = number

    def _news(self, connection: Connection, now: State, known: int) -> News | None:
        if now.number == known:
            return None
        subjects = turns.changed_since(connection, now, known)
        if subjects is None:
            pods: dict[str, Pod | None] = {pod.key: pod for pod in _pods(connection)}
            return News(now, pods, read_directory(connection), _scopes(connection), everything=True)
        pods = dict.fromkeys(subjects - {PEOPLE, ""})
        pods |= {pod.key: pod for pod in (_pods(connection, pods.keys()) if pods else ())}
        if PEOPLE not in subjects:
            return News(now, pods, None, {}, everything=False)
        return News(now, pods, read_directory(connection), _scopes(connection), everything=False)

    def pods(self) -> list[Pod]:
        """Give every pod, oldest first."""
        with self._database.transaction() as connection:
            return _pods(connection)

    def create(self, pod: Pod, event: Event, entries: Sequence[Entry] = ()) -> Pod:
        """Add a pod and give it back with its number. Raises NameTaken."""
        values: dict[str, Any] = {"key": pod.key, "name": pod.name, "template": pod.template, "access": str(pod.access)}
        values |= {"parameters": dict(pod.parameters), "env": dict(pod.env), "secrets": dict(pod.secrets)}
        values |= {"created_at": pod.created_at, "owner": pod.owner} | _wanted(pod) | _seen(pod)
        with self._change(pod.key) as connection:
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
        with self._change(pod.key) as connection:
            row = update(schema.pods).where(schema.pods.c.number == pod.number)
            if connection.execute(row.values(_wanted(pod) | _seen(pod))).rowcount:
                _remember(connection, pod.number, [event])
            write_entries(connection, entries)

    def share(self, pod: Pod, entries: Sequence[Entry]) -> None:
        """Write whose a pod is, who may use it, and how its endpoints are used."""
        with self._change(pod.key) as connection:
            row = update(schema.pods).where(schema.pods.c.number == pod.number)
            if connection.execute(row.values(owner=pod.owner)).rowcount:
                write_shared(connection, pod)
            write_entries(connection, entries)

    def set_secrets(
        self, pod: Pod, events: Iterable[Event] = (), entries: Sequence[Entry] = (), *, as_leader: bool = False
    ) -> None:
        """Write the secrets of a pod, those it has and those it is to get."""
        values = {"secrets": dict(pod.secrets), "pending": dict(pod.pending)}
        with self._change(pod.key, as_leader=as_leader) as connection:
            row = update(schema.pods).where(schema.pods.c.number == pod.number)
            if connection.execute(row.values(values)).rowcount:
                _remember(connection, pod.number, events)
            write_entries(connection, entries)

    def save_status(self, pod: Pod, events: Iterable[Event]) -> None:
        """Write a pod's status and generation, unless the store has a later generation or another wish by now."""
        table = schema.pods
        with self._change(pod.key, as_leader=True) as connection:
            row = update(table).where(table.c.number == pod.number, table.c.generation <= pod.generation)
            if connection.execute(row.where(table.c.want == str(pod.want)).values(_seen(pod))).rowcount:
                _remember(connection, pod.number, events)

    def forget(self, pod: Pod) -> None:
        """Take a pod out, and with it its events, grants, links and tokens; its name is free after this."""
        with self._change(pod.key, as_leader=True) as connection:
            connection.execute(delete(schema.pods).where(schema.pods.c.number == pod.number))
            connection.execute(delete(schema.api_tokens).where(schema.api_tokens.c.pod == pod.key))

    def events(self, pod: Pod) -> list[Event]:
        """Give the events of a pod, newest last."""
        table = schema.events
        with self._database.transaction() as connection:
            rows = connection.execute(select(table).where(table.c.pod == pod.number).order_by(table.c.number))
            return [Event(row.at, row.kind, row.message) for row in rows]

    def directory(self) -> Directory:
        """Give everything there is of people."""
        with self._database.transaction() as connection:
            return read_directory(connection)

    def write(self, changes: Iterable[Change], entries: Sequence[Entry]) -> None:
        """Change people (`controller.store.directory`), and write down who did."""
        with self._change(PEOPLE) as connection:
            for each in changes:
                connection.execute(each.fitting(connection.dialect.name) if isinstance(each, Upsert) else each)
            write_entries(connection, entries)

    def note(self, entries: Sequence[Entry]) -> None:
        """Write down what changes nothing."""
        with self._database.transaction() as connection:
            write_entries(connection, entries)

    def entries(self, question: Question) -> list[Entry]:
        """Give the newest audit entries that fit, newest first."""
        with self._database.transaction() as connection:
            return read_entries(connection, question)

    def trim_entries(self, now: float) -> None:
        """Let go of audit entries that are too old."""
        with self._database.transaction() as connection:
            trim_entries(connection, now)

    def set_token(self, name: str, scope: str, hashed: str) -> None:
        """Let the token with this hash in; one that had the name before is let in no more."""
        if self.tokens().get(hashed) == scope:
            return
        table = schema.tokens
        with self._change(PEOPLE) as connection:
            connection.execute(delete(table).where((table.c.name == name) | (table.c.hash == hashed)))
            connection.execute(insert(table).values(name=name, scope=scope, hash=hashed))

    def tokens(self) -> dict[str, str]:
        """Give the scope of every token by its hash."""
        with self._database.transaction() as connection:
            return _scopes(connection)


def _pods(connection: Connection, keys: Collection[str] | None = None) -> list[Pod]:
    """Read every pod, or those with these keys, oldest first."""
    shared = read_shared(connection, keys)
    wanted = select(schema.pods).order_by(schema.pods.c.number)
    rows = connection.execute(wanted if keys is None else wanted.where(schema.pods.c.key.in_(list(keys)))).mappings()
    return [_pod(row, shared.get(row["key"], Shared())) for row in rows]


def _scopes(connection: Connection) -> dict[str, str]:
    return {row.hash: row.scope for row in connection.execute(select(schema.tokens))}


def _remember(connection: Connection, number: int, events: Iterable[Event]) -> None:
    table = schema.events
    rows = [{"pod": number, "at": event.at, "kind": event.kind, "message": storable(event.message)} for event in events]
    if not rows:
        return
    connection.execute(insert(table), rows)
    newest = select(table.c.number).where(table.c.pod == number).order_by(table.c.number.desc()).limit(MOST_EVENTS)
    connection.execute(delete(table).where(table.c.pod == number, table.c.number.not_in(newest)))


def _wanted(pod: Pod) -> dict[str, Any]:
    return {"want": str(pod.want)}


def _seen(pod: Pod) -> dict[str, Any]:
    values = {name: getattr(pod.status, name) for name in Status.__slots__}
    return {
        **values, "phase": str(pod.status.phase), "message": storable(pod.status.message),
        "generation": pod.generation, "upstreams": dict(pod.upstreams),
    }  # fmt: skip


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
        upstreams=row["upstreams"],
    )
