"""Roll: everybody there is in memory, and how a change of people becomes stored, known and published.

A user is published as a record of its own beside one for each of its tokens; of a disabled user there is nothing.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from controller.audit import Audit
from controller.desk import Desk
from controller.feed import Feed
from controller.identity import ApiToken, Entry, Person, UnknownPerson
from controller.store.directory import Change, Directory
from router.credentials import Issuer, User

LEAST_STEP = 0.001  # seconds: what begins after something else is later than it, whatever the clock says


class Roll:
    """Users, groups and tokens in memory."""

    def __init__(self, desk: Desk, feed: Feed, audit: Audit, now: Callable[[], float] = time.time) -> None:
        self.desk = desk
        self.audit = audit
        self.now = now
        self.people: dict[str, Person] = {}
        self.groups: set[str] = set()
        self.tokens: dict[str, ApiToken] = {}
        self._of: dict[str, dict[str, ApiToken]] = {}  # by the user
        self._hashes: dict[str, ApiToken] = {}
        self.issuers: dict[str, Issuer] = {}
        self.feed = feed

    def named(self, name: str) -> Person:
        """Give a user. Raises UnknownPerson."""
        if name not in self.people:
            raise UnknownPerson(name)
        return self.people[name]

    def tokens_of(self, user: str) -> list[ApiToken]:
        """Give the tokens of a user, oldest first."""
        return sorted(self._of.get(user, {}).values(), key=lambda token: (token.created, token.id))

    def later(self, than: float) -> float:
        """Give the time, but always a later one than `than`."""
        return max(self.now(), than + LEAST_STEP)

    async def write(self, statements: Iterable[Change], entries: Sequence[Entry] = ()) -> None:
        """Store a change; the caller holds `desk.changing`. Raises StoreFailure."""
        await self.desk.do(partial(self.desk.store.write, list(statements), entries))

    def know(self, person: Person) -> None:
        """Know a user as it is stored now, and publish it."""
        self.people[person.name] = person
        self.publish(person.name)
        self._publish_issuers(issuer for issuer, _ in person.subjects)

    def forget(self, name: str) -> None:
        """Know of a user and its tokens no more, and publish that."""
        person = self.people.pop(name)
        self.drop(token.id for token in self.tokens_of(name))
        self.publish(name)
        self._publish_issuers(issuer for issuer, _ in person.subjects)

    def token_by_hash(self, hashed: str) -> ApiToken | None:
        """Find a token by the hash of its text."""
        return self._hashes.get(hashed)

    def learn(self, token: ApiToken) -> None:
        """Know a token whose user is yet to be published."""
        self.tokens[token.id] = token
        self._hashes[token.hash] = token
        self._of.setdefault(token.user, {})[token.id] = token

    def add(self, token: ApiToken) -> None:
        """Know a token, and publish it."""
        self.learn(token)
        self.publish(token.user)

    def drop(self, ids: Iterable[str]) -> None:
        """Know of some tokens no more, and publish that."""
        gone = [token for token in map(self.tokens.get, list(ids)) if token]
        for token in gone:
            del self.tokens[token.id], self._hashes[token.hash], self._of[token.user][token.id]
        for user in {token.user for token in gone}:
            self.publish(user)

    def learn_all(self, found: Directory) -> list[str]:
        """Know everybody as another replica left them, and publish what that changes; give what is no grantee now."""
        people = {person.name: person for person in found.people}
        gone = [f"user:{name}" for name in self.people if name not in people]
        gone += [f"group:{name}" for name in self.groups - set(found.groups)]
        self.groups = set(found.groups)
        for name in [name for name in self.people if name not in people]:
            self.forget(name)
        there = {token.id for token in found.tokens}
        self.drop([id_ for id_ in self.tokens if id_ not in there])
        new = [token for token in found.tokens if self.tokens.get(token.id) != token]
        for token in new:
            self.learn(token)
        for person in found.people:
            if self.people.get(person.name) != person:
                self.know(person)
        for user in {token.user for token in new}:
            self.publish(user)
        return gone

    def publish(self, name: str) -> None:
        """Publish a user as it is known."""
        person = self.people.get(name)
        if person is None or person.disabled:
            self.feed.put_credentials(f"user:{name}", ())
            return
        tokens = (token.record() for token in self.tokens_of(name))
        self.feed.put_credentials(f"user:{name}", (User(name, person.groups, person.since), *tokens))

    def put_issuer(self, issuer: Issuer) -> None:
        """Publish an issuer; who is who there is known here."""
        self.issuers[issuer.issuer] = issuer
        self._publish_issuers([issuer.issuer])

    def _publish_issuers(self, names: Iterable[str]) -> None:
        for name in set(names) & self.issuers.keys():
            users = {
                subject: person.name
                for person in self.people.values()
                for issuer, subject in person.subjects
                if issuer == name and not person.disabled
            }
            self.feed.put_issuer(replace(self.issuers[name], users=users))
