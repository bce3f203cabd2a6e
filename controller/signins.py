"""Sign-ins of browsers at the console, and the keys that seal what comes from them.

A gateway never asks here: it opens a sealed session by itself. So a sign-in that is ended is published as ended, until
the last session that came from it would have ended by itself.
"""

import secrets
from collections.abc import Mapping
from itertools import pairwise

from controller.identity import By, Outcome, Person, SignIn
from controller.roll import Roll
from controller.store.directory import (
    SealingKey,
    put_ended,
    put_key,
    put_sign_in,
    remove_ended,
    remove_keys,
    remove_sign_ins,
)
from router.credentials import SALTS_KEY, Ended, Key
from router.sealing import CLOCK_SKEW

KEY_BYTES = 32
ROTATED_EVERY = 30 * 24 * 3600.0  # seconds
MOST_SIGN_INS = 100  # of one user; the oldest end first
LONGEST_AGENT = 300  # characters


class SignIns:
    """The sign-ins, in memory as the store has them."""

    def __init__(self, roll: Roll, longest: float) -> None:
        self._roll = roll
        self._longest = longest  # seconds a sign-in lasts
        self._sign_ins: dict[str, SignIn] = {}
        self._ended: dict[str, float] = {}
        self._keys: list[SealingKey] = []  # the newest last
        self._salts: list[SealingKey] = []  # the one of that name: who has no token has a salt all the same

    def load(self, sign_ins: list[SignIn], ended: Mapping[str, float], keys: list[SealingKey]) -> None:
        """Learn what the store has."""
        self._sign_ins = {sign_in.id: sign_in for sign_in in sign_ins}
        self._ended = dict(ended)
        self._keys = sorted(key for key in keys if key.id != SALTS_KEY)
        self._salts = [key for key in keys if key.id == SALTS_KEY]
        self._publish()

    def of(self, user: str) -> list[SignIn]:
        """Give the valid sign-ins of a user, oldest first."""
        found = [sign_in for sign_in in self._sign_ins.values() if sign_in.user == user and self.session(sign_in.id)]
        return sorted(found, key=lambda sign_in: sign_in.began)

    def session(self, id_: str) -> SignIn | None:
        """Find a sign-in that is valid now."""
        sign_in = self._sign_ins.get(id_)
        person = self._roll.people.get(sign_in.user) if sign_in else None
        if sign_in is None or person is None or person.disabled or person.since >= sign_in.began:
            return None
        return sign_in if self._roll.now() < sign_in.expires else None

    async def begin(self, person: Person, *, address: str, agent: str, hours: float | None = None) -> SignIn:
        """Begin a sign-in. Raises UnknownPerson."""
        lasting = min(self._longest, self._longest if hours is None else hours * 3600.0)
        async with self._roll.desk.changing:
            person = self._roll.named(person.name)
            began = self._roll.later(person.since)
            sign_in = SignIn(
                secrets.token_urlsafe(16), person.name, began, began + lasting, address, agent[:LONGEST_AGENT]
            )
            by = By(person.name, address)
            entry = self._roll.audit.entry(by, "sign in", outcome=Outcome.ALLOWED, detail="at the console")
            older = self.of(person.name)[: -(MOST_SIGN_INS - 1)]
            ended = {each.id: each.expires + CLOCK_SKEW for each in older}
            statements = [put_sign_in(sign_in), *(put_ended(*each) for each in ended.items()), remove_sign_ins(ended)]
            await self._roll.write(statements, [entry])
            self._sign_ins[sign_in.id] = sign_in
            self._forget(ended)
        return sign_in

    async def end(self, id_: str, by: By | None = None) -> None:
        """End a sign-in."""
        async with self._roll.desk.changing:
            sign_in = self._sign_ins.get(id_)
            if sign_in is None:
                return
            by = by or By(sign_in.user, sign_in.address)
            entry = self._roll.audit.entry(by, "sign out", detail="of the console")
            until = sign_in.expires + CLOCK_SKEW
            await self._roll.write([put_ended(id_, until), remove_sign_ins([id_])], [entry])
            self._forget({id_: until})

    def key(self) -> Key:
        """Give the key that seals now."""
        newest = self._keys[-1]
        return Key(newest.id, newest.secret)

    def keys(self) -> dict[str, bytes]:
        """Give the keys that open."""
        return {key.id: key.secret for key in self._keys}

    def next_end(self) -> float:
        """Tell when something of this is over next."""
        ends = [sign_in.expires for sign_in in self._sign_ins.values()] + list(self._ended.values())
        ends += [later.made + self._longest + CLOCK_SKEW for _, later in pairwise(self._keys)]
        return min([*ends, self._keys[-1].made + ROTATED_EVERY])

    async def sweep(self) -> None:
        """Let go of what is over, and make a new key when it is time."""
        now = self._roll.now()
        async with self._roll.desk.changing:
            sign_ins = [sign_in.id for sign_in in self._sign_ins.values() if sign_in.expires <= now]
            ended = [session for session, until in self._ended.items() if until <= now]
            keys = [key.id for key, later in pairwise(self._keys) if later.made + self._longest + CLOCK_SKEW <= now]
            new = self._new_key(now)
            salts = [] if self._salts else [SealingKey(SALTS_KEY, secrets.token_bytes(KEY_BYTES), now)]
            if sign_ins or ended or keys or new or salts:
                made = [put_key(key) for key in new + salts]
                await self._roll.write([remove_sign_ins(sign_ins), remove_ended(ended), remove_keys(keys), *made])
            for id_ in sign_ins:
                del self._sign_ins[id_]
            for session in ended:
                del self._ended[session]
            self._keys = [key for key in self._keys if key.id not in keys] + new
            self._salts += salts
            self._publish()

    def forget_user(self, name: str) -> None:
        """Know of the sign-ins of a user no more, who is gone."""
        for sign_in in [each for each in self._sign_ins.values() if each.user == name]:
            del self._sign_ins[sign_in.id]

    def _new_key(self, now: float) -> list[SealingKey]:
        if self._keys and now < self._keys[-1].made + ROTATED_EVERY:
            return []
        number = int(self._keys[-1].id[1:]) + 1 if self._keys else 1
        return [SealingKey(f"k{number:08d}", secrets.token_bytes(KEY_BYTES), now)]  # in order: the newest seals

    def _forget(self, ended: Mapping[str, float]) -> None:
        for id_ in ended:
            self._sign_ins.pop(id_, None)
        self._ended |= ended
        self._publish()

    def _publish(self) -> None:
        self._roll.feed.put_credentials("ended", [Ended(session, until) for session, until in self._ended.items()])
        self._roll.feed.put_credentials("keys", [Key(key.id, key.secret) for key in (*self._salts, *self._keys)])
