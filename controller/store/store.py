"""Store: reads and writes pods, events, people and tokens. Each method is one transaction; after it returns, it
survives.

Where replicas share it, `begin` starts the transaction of the next change ahead of it, with a look at what others
changed: what is decided from then on, until that change or `end`, is decided by what is.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

from sqlalchemy import URL, Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from controller.identity import Entry
from controller.model import Event, Pod
from controller.store import schema, turns
from controller.store.directory import Change, Directory, Upsert, read_directory
from controller.store.journal import Question, read_entries, trim_entries, write_entries
from controller.store.pods import pod_of, read_events, read_pods, row_of, seen_values, wanted_values, write_events
from controller.store.postgres import open_server
from controller.store.presence import Followed, Following, pass_on, read_followed, tell_followed
from controller.store.sharing import Shared, write_shared
from controller.store.sqlite import open_file
from controller.store.turns import PEOPLE, State
from router.snapshot import Rejected, Version


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


@dataclass(slots=True)
class _Common:
    """A transaction in which things change, how a shared store was before, and what changes."""

    connection: Connection
    state: State | None = None
    subjects: list[str] = field(default_factory=list)


class Store:
    """The store's database, opened and migrated: a file, or a server that replicas share."""

    def __init__(self, place: Path | URL) -> None:
        self._database = open_file(place) if isinstance(place, Path) else open_server(place)
        self._engine = self._database.engine
        self._turn: _Turn | None = None
        self._common: _Common | None = None  # while several changes are made in one transaction
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

    def together(self, works: Sequence[Callable[[], object]]) -> list[object]:
        """Do works that each change something in one transaction; give what each answers, or the exception it raises.

        Of one that raises nothing is done. Raises StoreFailure if none is.
        """
        if len(works) == 1:
            return [_answer(works[0])]
        with self._transaction() as common:
            self._common = common
            try:
                return [_answer(partial(self._part, common, work)) for work in works]
            finally:
                self._common = None

    def _part(self, common: _Common, work: Callable[[], object]) -> object:
        """Do one of several works, or nothing of it."""
        before = len(common.subjects)
        try:
            with self._database.translated(), common.connection.begin_nested():
                return work()
        except BaseException:
            del common.subjects[before:]
            raise

    @contextmanager
    def _transaction(self) -> Iterator[_Common]:
        """Make a transaction, or go on with the one that has begun, and count what changes in it."""
        if not self.shared:
            with self._database.transaction() as connection:
                yield _Common(connection)
            return
        turn, self._turn = self._turn or self._begin(), None
        with self._database.translated(), turn.ended:
            common = _Common(turn.connection, turn.state)
            yield common
            number = turns.count(turn.connection, turn.state, common.subjects)
            turn.connection.commit()
            self.last = number

    @contextmanager
    def _change(self, subject: str, *, as_leader: bool = False) -> Iterator[Connection]:
        """Change something in a transaction of its own, or in the one of several changes."""
        with ExitStack() as own:
            common = self._common or own.enter_context(self._transaction())
            if as_leader and common.state is not None:
                turns.check_term(common.state, *self._term)
            yield common.connection
            common.subjects.append(subject)

    def _news(self, connection: Connection, now: State, known: int) -> News | None:
        if now.number == known:
            return None
        subjects = turns.changed_since(connection, now, known)
        if subjects is None:
            pods: dict[str, Pod | None] = {pod.key: pod for pod in read_pods(connection)}
            return News(now, pods, read_directory(connection), _scopes(connection), everything=True)
        pods = dict.fromkeys(subjects - {PEOPLE, ""})
        pods |= {pod.key: pod for pod in (read_pods(connection, pods.keys()) if pods else ())}
        if PEOPLE not in subjects:
            return News(now, pods, None, {}, everything=False)
        return News(now, pods, read_directory(connection), _scopes(connection), everything=False)

    def pods(self) -> list[Pod]:
        """Give every pod, oldest first."""
        with self._database.transaction() as connection:
            return read_pods(connection)

    def create(self, pod: Pod, event: Event, entries: Sequence[Entry] = ()) -> Pod:
        """Add a pod and give it back with its number. Raises NameTaken."""
        row = insert(schema.pods).values(row_of(pod)).returning(schema.pods)
        with self._change(pod.key) as connection:
            try:
                added = connection.execute(row).mappings().one()
            except IntegrityError as error:
                raise NameTaken(pod.name) from error
            write_shared(connection, pod)
            created = pod_of(added, Shared.of(pod))
            write_events(connection, created.number, [event])
            write_entries(connection, entries)
            return created

    def change(self, pod: Pod, event: Event, entries: Sequence[Entry] = ()) -> None:
        """Write what is now wanted of a pod, and its status as it is to begin from there."""
        with self._change(pod.key) as connection:
            row = update(schema.pods).where(schema.pods.c.number == pod.number)
            if connection.execute(row.values(wanted_values(pod) | seen_values(pod))).rowcount:
                write_events(connection, pod.number, [event])
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
                write_events(connection, pod.number, events)
            write_entries(connection, entries)

    def save_status(self, pod: Pod, events: Iterable[Event]) -> None:
        """Write a pod's status and generation, unless the store has a later generation or another wish by now."""
        table = schema.pods
        with self._change(pod.key, as_leader=True) as connection:
            row = update(table).where(table.c.number == pod.number, table.c.generation <= pod.generation)
            if connection.execute(row.where(table.c.want == str(pod.want)).values(seen_values(pod))).rowcount:
                write_events(connection, pod.number, events)

    def forget(self, pod: Pod) -> None:
        """Take a pod out, and with it its events, grants, links and tokens; its name is free after this."""
        with self._change(pod.key, as_leader=True) as connection:
            connection.execute(delete(schema.pods).where(schema.pods.c.number == pod.number))
            connection.execute(delete(schema.api_tokens).where(schema.api_tokens.c.pod == pod.key))

    def events(self, pod: Pod) -> list[Event]:
        """Give the events of a pod, newest last."""
        with self._database.transaction() as connection:
            return read_events(connection, pod.number)

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


def _answer(work: Callable[[], object]) -> object:
    try:
        return work()
    except Exception as error:  # noqa: BLE001  # for who asked for it
        return error


def _scopes(connection: Connection) -> dict[str, str]:
    return {row.hash: row.scope for row in connection.execute(select(schema.tokens))}
