"""People in the store: what is read when the controller starts, and the statements that change it, for one
transaction each (`Store.write`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from sqlalchemy import Connection, Executable, Table, delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from controller.identity import ApiToken, Person, SignIn
from controller.store import schema
from router.access import AccessLevel


class Upsert(NamedTuple):
    """A row to be written anew; it is never deleted in between, for others refer to it."""

    table: Table
    values: Mapping[str, Any]

    def fitting(self, dialect: str) -> Executable:
        """Give the statement as a database understands it: there is no standard for it."""
        keys = [column.name for column in self.table.primary_key]
        changed = {name: value for name, value in self.values.items() if name not in keys}
        statement: postgresql.Insert | sqlite.Insert = sqlite.insert(self.table)
        if dialect == "postgresql":
            statement = postgresql.insert(self.table)
        statement = statement.values(self.values)
        if not changed:
            return statement.on_conflict_do_nothing()
        return statement.on_conflict_do_update(index_elements=keys, set_=changed)


Change = Executable | Upsert


class SealingKey(NamedTuple):
    """A key that seals, and since when there is one."""

    id: str
    secret: bytes
    made: float


class Directory(NamedTuple):
    """Everything the store has of people."""

    people: list[Person]
    groups: list[str]
    tokens: list[ApiToken]
    sign_ins: list[SignIn]
    ended: dict[str, float]  # until when, by the sign-in
    keys: list[SealingKey]


def read_directory(connection: Connection) -> Directory:
    """Read all of it."""
    members: dict[str, set[str]] = {}
    for row in connection.execute(select(schema.members)).mappings():
        members.setdefault(row["user"], set()).add(row["group"])
    subjects: dict[str, list[tuple[str, str]]] = {}
    for row in connection.execute(select(schema.subjects)).mappings():
        subjects.setdefault(row["user"], []).append((row["issuer"], row["subject"]))
    people = [
        Person(**row, groups=frozenset(members.get(row["name"], ())), subjects=tuple(subjects.get(row["name"], ())))
        for row in connection.execute(select(schema.users).order_by(schema.users.c.name)).mappings()
    ]
    tokens = [
        ApiToken(**{**row, "level": AccessLevel.parse(row["level"])})
        for row in connection.execute(select(schema.api_tokens)).mappings()
    ]
    return Directory(
        people,
        [row.name for row in connection.execute(select(schema.groups))],
        tokens,
        [SignIn(**row) for row in connection.execute(select(schema.sign_ins)).mappings()],
        {row.session: row.until for row in connection.execute(select(schema.ended))},
        [SealingKey(row.id, row.secret, row.made) for row in connection.execute(select(schema.sealing_keys))],
    )


def put_person(person: Person) -> list[Change]:
    """Write a user as it is, with its groups and subjects; the groups must be there."""
    values = {name: getattr(person, name) for name in schema.users.c.keys()}  # noqa: SIM118  # a collection of columns
    in_groups = [{"group": group, "user": person.name} for group in sorted(person.groups)]
    subjects = [{"issuer": issuer, "subject": subject, "user": person.name} for issuer, subject in person.subjects]
    return [
        Upsert(schema.users, values),
        delete(schema.members).where(schema.members.c.user == person.name),
        *(insert(schema.members).values(row) for row in in_groups),
        delete(schema.subjects).where(schema.subjects.c.user == person.name),
        *(insert(schema.subjects).values(row) for row in subjects),
    ]


def remove_person(name: str) -> list[Change]:
    """Take a user out, and with it its tokens, sign-ins, memberships, subjects and grants."""
    return [delete(schema.users).where(schema.users.c.name == name), _ungrant(f"user:{name}")]


def put_group(name: str) -> Change:
    """Write a group."""
    return Upsert(schema.groups, {"name": name})


def remove_group(name: str) -> list[Change]:
    """Take a group out, and with it its memberships and grants."""
    return [delete(schema.groups).where(schema.groups.c.name == name), _ungrant(f"group:{name}")]


def put_token(token: ApiToken) -> Executable:
    """Write a token."""
    return insert(schema.api_tokens).values(asdict(token) | {"level": str(token.level)})


def put_sign_in(sign_in: SignIn) -> Executable:
    """Write a sign-in."""
    return insert(schema.sign_ins).values(asdict(sign_in))


def put_ended(session: str, until: float) -> Change:
    """Write that a sign-in was ended."""
    return Upsert(schema.ended, {"session": session, "until": until})


def put_key(key: SealingKey) -> Executable:
    """Write a sealing key."""
    return insert(schema.sealing_keys).values(key._asdict())


def remove_tokens(ids: Iterable[str]) -> Executable:
    """Take tokens out."""
    return delete(schema.api_tokens).where(schema.api_tokens.c.id.in_(list(ids)))


def remove_sign_ins(ids: Iterable[str]) -> Executable:
    """Take sign-ins out."""
    return delete(schema.sign_ins).where(schema.sign_ins.c.id.in_(list(ids)))


def remove_ended(sessions: Iterable[str]) -> Executable:
    """Take out what no session can come from any more."""
    return delete(schema.ended).where(schema.ended.c.session.in_(list(sessions)))


def remove_keys(ids: Iterable[str]) -> Executable:
    """Take sealing keys out."""
    return delete(schema.sealing_keys).where(schema.sealing_keys.c.id.in_(list(ids)))


def _ungrant(grantee: str) -> Executable:
    return delete(schema.grants).where(schema.grants.c.grantee == grantee)
