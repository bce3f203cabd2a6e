"""API tokens: made from 256 random bits, shown once, kept as a hash and as a SCRAM verifier.

A verifier is made under the salt of its user, one for all tokens of that user: a Postgres client is told the salt
before it is known which of the tokens it holds.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field

import trio
from scramp import ScramMechanism  # type: ignore[import-untyped]

from controller.identity import ApiToken, By, Conflict, Person, UnknownToken
from controller.pods import Pods
from controller.roll import Roll
from controller.store.directory import put_token, remove_tokens
from router.access import AccessLevel, Principal

PREFIX = "pgt_"
TOKEN_BYTES = 32  # 256 random bits, 43 characters
SHOWN_LETTERS = 4  # of its end, for people to tell it by; 24 bits of 256
ITERATIONS = 4096  # of SCRAM (RFC 7677): what it protects is random, not a password
MOST_TOKENS = 200  # of one user


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made, the only time its text is there."""

    kept: ApiToken
    text: str = field(repr=False)


class Tokens:
    """The API tokens of all users."""

    def __init__(self, roll: Roll, pods: Pods) -> None:
        self._roll = roll
        self._pods = pods

    def of(self, user: str) -> list[ApiToken]:
        """Give the tokens of a user, oldest first."""
        return self._roll.tokens_of(user)

    def find(self, user: str, name: str) -> ApiToken:
        """Give a token by its name or id. Raises UnknownToken."""
        for token in self.of(user):
            if name in (token.id, token.name):
                return token
        raise UnknownToken(name)

    def by_id(self, id_: str) -> ApiToken | None:
        """Find a token by its id."""
        return self._roll.tokens.get(id_)

    def live(self, text: str) -> ApiToken | None:
        """Give the token of this text if it lets somebody in now."""
        found = self._roll.token_by_hash(hash_of(text)) if text.startswith(PREFIX) else None
        return None if found is None else self.current(found.id)

    def current(self, id_: str) -> ApiToken | None:
        """Give the token of this id if it lets somebody in now."""
        token = self._roll.tokens.get(id_)
        person = self._roll.people.get(token.user) if token else None
        if token is None or person is None or person.disabled:
            return None
        return token if token.expires is None or self._roll.now() < token.expires else None

    def expired(self) -> list[str]:
        """Give the ids of tokens that are over."""
        now = self._roll.now()
        return [token.id for token in self._roll.tokens.values() if token.expires is not None and token.expires <= now]

    def next_end(self) -> float | None:
        """Tell when the next token expires."""
        return min((token.expires for token in self._roll.tokens.values() if token.expires is not None), default=None)

    def principal(self, text: str) -> Principal | None:
        """Give whom a token speaks for."""
        token = self.live(text)
        return None if token is None else self.principal_of(token)

    def principal_of(self, token: ApiToken) -> Principal:
        """Give whom a token speaks for that is known to be live."""
        groups = self._roll.named(token.user).groups
        return Principal(token.user, groups, "", token.pod, token.level, f"token:{token.id}")

    async def create(
        self,
        user: str,
        name: str,
        *,
        pod: str = "",
        level: AccessLevel = AccessLevel.OWNER,
        expires_in: float | None = None,
        by: By,
        or_similar: bool = False,
        what: str = "create token",
    ) -> NewToken:
        """Make a token; `or_similar`: if the name is taken, under one like it. Raises UnknownPerson and Conflict."""
        text = f"{PREFIX}{secrets.token_urlsafe(TOKEN_BYTES)}"
        verifier = await trio.to_thread.run_sync(verifier_of, text, self._roll.named(user).salt)
        async with self._roll.desk.changing:
            person = self._roll.named(user)
            name = self._free(person, name, or_similar=or_similar)
            if pod and self._pods.get(pod) is None:
                raise Conflict("the pod is gone", "pod")
            now = self._roll.now()
            token = ApiToken(
                id=new_id(), name=name, user=user, hash=hash_of(text), verifier=verifier, pod=pod, level=level,
                created=now, expires=None if expires_in is None else now + expires_in, last=text[-SHOWN_LETTERS:],
            )  # fmt: skip
            detail = f"{name} for {user}, at most {level}"
            entry = self._roll.audit.entry(by, what, pod=pod, detail=detail)
            await self._roll.write([put_token(token)], [entry])
            self._roll.add(token)
        return NewToken(token, text)

    async def revoke(self, user: str, name: str, by: By) -> None:
        """Let a token in no more. Raises UnknownToken."""
        async with self._roll.desk.changing:
            token = self.find(user, name)
            entry = self._roll.audit.entry(by, "revoke token", pod=token.pod, detail=f"{token.name} of {user}")
            await self._roll.write([remove_tokens([token.id])], [entry])
            self._roll.drop([token.id])

    def of_pod_gone(self, pod: str) -> None:
        """Know that a pod is gone, and in the store the tokens that were for it alone."""
        self._roll.drop([token.id for token in self._roll.tokens.values() if token.pod == pod])

    def _free(self, person: Person, name: str, *, or_similar: bool) -> str:
        taken = {token.name for token in self.of(person.name)}
        if person.disabled:
            raise Conflict(f"user {person.name!r} is disabled; enable it first")
        if len(taken) >= MOST_TOKENS:
            raise Conflict(f"user {person.name!r} has {MOST_TOKENS} tokens already; revoke some first")
        if name not in taken:
            return name
        if not or_similar:
            raise Conflict(f"there is a token named {name!r} already; choose another name, or revoke it", "name")
        return f"{name}-{secrets.token_hex(4)}"


def hash_of(text: str) -> str:
    """Give what is kept of a secret that is random itself."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def new_id() -> str:
    """Make an id: it names, and opens nothing."""
    return secrets.token_hex(8)


def verifier_of(text: str, salt: bytes) -> str:
    """Make the SCRAM-SHA-256 verifier of a token: `iterations:salt:stored:server` (RFC 5803)."""
    made = ScramMechanism("SCRAM-SHA-256").make_auth_info(text, iteration_count=ITERATIONS, salt=salt)
    _salt, stored, server, _iterations = made
    parts = (base64.b64encode(part).decode("ascii") for part in (salt, stored, server))
    return f"{ITERATIONS}:{':'.join(parts)}"
