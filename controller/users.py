"""Users and groups: making, changing and ending them.

One enabled admin is always left, the user `admin` always exists (`admin.token` acts as it), and every pod's owner
does. A user who was disabled, or given a new password, is signed out everywhere.
"""

import re
import secrets
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from controller.audit import names
from controller.identity import ADMIN, By, Conflict, NoMember, Outcome, Person, UnknownGroup, UnknownPerson
from controller.passwords import Passwords
from controller.pods import Pods
from controller.roll import Roll
from controller.settings import Oidc
from controller.signins import SignIns
from controller.store.directory import put_group, put_person, remove_group, remove_person
from router.credentials import check_person_name

SYSTEM = By()
SALT_BYTES = 16
LONGEST_EMAIL = 254  # characters (RFC 5321, section 4.5.3.1.3)
LONGEST_MADE_UP = 48  # characters of a name made from what a provider says
MOST_USERS = 100_000
MOST_GROUPS = 10_000


class Users:
    """The users and groups, changed one at a time."""

    def __init__(self, roll: Roll, pods: Pods, signins: SignIns, passwords: Passwords, oidc: Oidc | None) -> None:
        self._roll = roll
        self._pods = pods
        self._signins = signins
        self._passwords = passwords
        self._oidc = oidc

    async def create(
        self,
        name: str,
        *,
        password: str = "",
        admin: bool = False,
        makes_pods: bool = False,
        email: str = "",
        by: By = SYSTEM,
    ) -> Person:
        """Make a user. Raises InvalidCredential and Conflict."""
        check_person_name(name)
        hashed = await self._passwords.hash(password)
        async with self._roll.desk.changing:
            if name in self._roll.people:
                raise Conflict(f"there is a user {name!r} already; choose another name", "name")
            new = _new(name, self._roll.now(), hashed, email, admin=admin)
            return await self._add(replace(new, makes_pods=makes_pods), by)

    async def ensure_admin(self) -> None:
        """See that there is the user that `admin.token` acts as; without a password at first."""
        async with self._roll.desk.changing:
            if ADMIN not in self._roll.people:
                await self._add(_new(ADMIN, self._roll.now(), "", "", admin=True), SYSTEM)

    async def change(
        self,
        name: str,
        *,
        admin: bool | None = None,
        disabled: bool | None = None,
        makes_pods: bool | None = None,
        email: str | None = None,
        password: str | None = None,
        by: By = SYSTEM,
    ) -> Person:
        """Change what is not None of a user. Raises UnknownPerson and Conflict."""
        hashed = None if password is None else await self._passwords.hash(password)
        async with self._roll.desk.changing:
            before = self._roll.named(name)
            after = replace(
                before,
                admin=before.admin if admin is None else admin,
                disabled=before.disabled if disabled is None else disabled,
                makes_pods=before.makes_pods if makes_pods is None else makes_pods,
                email=before.email if email is None else email[:LONGEST_EMAIL],
                password=before.password if hashed is None else hashed,
            )
            if (after.disabled and not before.disabled) or hashed is not None:
                after = replace(after, since=self._roll.later(before.since))
            if after == before:
                return before
            self._check_admins(after)
            return await self._put(after, by, "change user", f"{name}: {names(_differences(before, after))}")

    async def delete(self, name: str, by: By = SYSTEM) -> None:
        """Take a user out with its tokens and grants. Raises UnknownPerson and Conflict."""
        async with self._roll.desk.changing:
            person = self._roll.named(name)
            owned = [pod.name for pod in self._pods if pod.owner == name]
            if owned:
                more = f" and {len(owned) - 10} more" if len(owned) > 10 else ""
                raise Conflict(f"user {name!r} owns {', '.join(owned[:10])}{more}; give them away or delete them first")
            if name == ADMIN:
                raise Conflict(f"user {ADMIN!r} stays, for admin.token acts as it; disable it instead")
            self._check_admins(replace(person, admin=False))
            await self._roll.write(remove_person(name), [self._roll.audit.entry(by, "delete user", detail=name)])
            self._pods.ungrant(f"user:{name}")
            self._signins.forget_user(name)
            self._roll.forget(name)

    async def sign_out(self, name: str, by: By = SYSTEM) -> None:
        """End all sign-ins and certificates of a user. Raises UnknownPerson."""
        async with self._roll.desk.changing:
            person = self._roll.named(name)
            await self._put(replace(person, since=self._roll.later(person.since)), by, "sign out everywhere", name)

    async def set_groups(self, name: str, groups: Iterable[str], by: By = SYSTEM) -> Person:
        """Set the groups a user is in; those there are not yet are made. Raises UnknownPerson, InvalidCredential."""
        wanted = frozenset(check_person_name(group) for group in groups)
        async with self._roll.desk.changing:
            person = self._roll.named(name)
            new = sorted(wanted - self._roll.groups)
            entry = self._roll.audit.entry(by, "change groups", detail=f"{name}: {names(wanted)}")
            after = replace(person, groups=wanted)
            await self._roll.write([*map(put_group, new), *put_person(after)], [entry])
            self._roll.groups |= wanted
            self._roll.know(after)
            return after

    def groups(self) -> dict[str, list[str]]:
        """Give the members of every group."""
        members: dict[str, list[str]] = {group: [] for group in sorted(self._roll.groups)}
        for person in sorted(self._roll.people.values(), key=lambda person: person.name):
            for group in person.groups:
                members[group].append(person.name)
        return members

    async def create_group(self, name: str, by: By = SYSTEM) -> None:
        """Make a group. Raises InvalidCredential and Conflict."""
        check_person_name(name)
        async with self._roll.desk.changing:
            if name in self._roll.groups:
                raise Conflict(f"there is a group {name!r} already; choose another name", "name")
            if len(self._roll.groups) >= MOST_GROUPS:
                raise Conflict(f"there are {MOST_GROUPS} groups already; remove some first")
            await self._roll.write([put_group(name)], [self._roll.audit.entry(by, "create group", detail=name)])
            self._roll.groups.add(name)

    async def delete_group(self, name: str, by: By = SYSTEM) -> None:
        """Take a group out, and with it what was granted to it. Raises UnknownGroup."""
        async with self._roll.desk.changing:
            self._check_group(name)
            await self._roll.write(remove_group(name), [self._roll.audit.entry(by, "delete group", detail=name)])
            self._roll.groups.discard(name)
            self._pods.ungrant(f"group:{name}")
            for person in [each for each in self._roll.people.values() if name in each.groups]:
                self._roll.know(replace(person, groups=person.groups - {name}))

    async def set_member(self, group: str, user: str, *, member: bool, by: By = SYSTEM) -> None:
        """Put a user into a group, or out of it. Raises UnknownGroup, UnknownPerson and NoMember."""
        async with self._roll.desk.changing:
            self._check_group(group)
            person = self._roll.named(user)
            if not member and group not in person.groups:
                raise NoMember(f"user {user!r} is not in group {group!r}; see who is: podgate group list")
            groups = person.groups | {group} if member else person.groups - {group}
            what = "add to group" if member else "remove from group"
            await self._put(replace(person, groups=groups), by, what, f"{user}: {group}")

    async def of_subject(self, issuer: str, subject: str, claims: Mapping[str, object], by: str = "") -> Person:
        """Give the user of a provider's subject, or make it. Raises UnknownPerson and Conflict."""
        async with self._roll.desk.changing:
            person = next((each for each in self._roll.people.values() if (issuer, subject) in each.subjects), None)
            if person is not None and person.disabled:
                raise Conflict(f"user {person.name!r} is disabled; ask an administrator")
            if person is not None:
                return person
            if self._oidc is None or not self._oidc.create or self._oidc.issuer != issuer:
                raise UnknownPerson(subject)
            email = claims.get("email")
            name = unique(made_up(claims), lambda name: name in self._roll.people)
            email = email.encode("utf-8", "ignore").decode() if isinstance(email, str) else ""  # JSON has half pairs
            new = _new(name, self._roll.now(), "", email, admin=False)
            return await self._add(replace(new, subjects=((issuer, subject),)), By(name, by))

    async def _add(self, person: Person, by: By) -> Person:
        if len(self._roll.people) >= MOST_USERS:
            raise Conflict(f"there are {MOST_USERS} users already; delete some first")
        rights = f"{', an admin' if person.admin else ''}{', who may make pods' if person.makes_pods else ''}"
        return await self._put(person, by, "create user", f"{person.name}{rights}")

    async def _put(self, person: Person, by: By, what: str, detail: str) -> Person:
        entry = self._roll.audit.entry(by, what, outcome=Outcome.CHANGED, detail=detail)
        await self._roll.write(put_person(person), [entry])
        self._roll.know(person)
        return person

    def _check_group(self, name: str) -> None:
        if name not in self._roll.groups:
            raise UnknownGroup(name)

    def _check_admins(self, after: Person) -> None:
        others = (each for each in self._roll.people.values() if each.name != after.name)
        if not (after.admin and not after.disabled) and not any(each.admin and not each.disabled for each in others):
            raise Conflict(f"user {after.name!r} is the last admin; make another user an admin first")


def made_up(claims: Mapping[str, object]) -> str:
    """Make a user's name from what a provider says of somebody; it need not be free."""
    email = claims.get("email")
    for source in (claims.get("preferred_username"), email if isinstance(email, str) else ""):
        local = source.partition("@")[0] if isinstance(source, str) else ""
        plain = unicodedata.normalize("NFKD", local[:1000]).encode("ascii", "ignore").decode().lower()
        name = re.sub(r"[^a-z0-9._-]+", "-", plain)[:LONGEST_MADE_UP].strip("._-")
        if name and name != "everyone":
            return name
    return "user"


def unique(name: str, taken: Callable[[str], bool]) -> str:
    """Give a name like `name` that is not taken."""
    if not taken(name):
        return name
    number = 2
    while taken(f"{name}-{number}"):
        number += 1
    return f"{name}-{number}"


def _new(name: str, now: float, password: str, email: str, *, admin: bool) -> Person:
    return Person(
        name, admin, email=email[:LONGEST_EMAIL], since=now, created=now, password=password,
        salt=secrets.token_bytes(SALT_BYTES),
    )  # fmt: skip


def _differences(before: Person, after: Person) -> Iterable[str]:
    for name in ("admin", "disabled", "email", "password"):
        if getattr(before, name) != getattr(after, name):
            yield name
    if before.makes_pods != after.makes_pods:
        yield "may make pods" if after.makes_pods else "may make no pods"
