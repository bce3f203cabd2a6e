"""Tokens of gateways that run elsewhere: one for each name, shown once, kept as a hash, taken back at any time.

They open what gateways are told and nothing else. Whoever holds one knows what the gateway knows, so one that may have
been seen is to be revoked, and the sessions it could have sealed ended.
"""

from collections.abc import Mapping, MutableMapping

import trio
from sqlalchemy import delete, insert

from controller.audit import Audit
from controller.desk import Desk
from controller.gateways import OF_ONE, may_speak_for
from controller.identity import By, Conflict, UnknownToken
from controller.names import hash_of, new_secret
from controller.pulse import Pulse
from controller.store import schema
from controller.tokens import PREFIX

MOST_TOKENS = 200


class GatewayTokens:
    """Makes them and takes them back; `scopes` is what the API's gate looks into: a token's scope by its hash."""

    def __init__(self, desk: Desk, audit: Audit, scopes: MutableMapping[str, str], changed: Pulse) -> None:
        self._desk = desk
        self._audit = audit
        self._scopes = scopes
        self._changed = changed

    def names(self) -> list[str]:
        """Give the names there are tokens for."""
        return sorted(scope.removeprefix(OF_ONE) for scope in self._scopes.values() if scope.startswith(OF_ONE))

    async def create(self, name: str, by: By) -> str:
        """Make the token of a name and give its text, the only time it is there. Raises Conflict and StoreFailure."""
        async with self._desk.changing:
            names = self.names()
            if name in names:
                raise Conflict(f"gateway {name!r} has a token already; revoke it first, or choose another name", "name")
            for other in names:
                if may_speak_for(OF_ONE + other, name) or may_speak_for(OF_ONE + name, other):
                    first, second = sorted((name, other))
                    raise Conflict(f"a token of {first!r} speaks for {second!r}, too; choose another name", "name")
            if len(names) >= MOST_TOKENS:
                raise Conflict(f"there are {MOST_TOKENS} tokens of gateways already; revoke some first")
            text, scope = PREFIX + new_secret(), OF_ONE + name
            kept = insert(schema.tokens).values(name=scope, scope=scope, hash=hash_of(text))
            entry = self._audit.entry(by, "create gateway token", detail=name)
            await self._desk.do(lambda: self._desk.store.write([kept], [entry]))
            self._scopes[hash_of(text)] = scope
        return text

    async def revoke(self, name: str, by: By) -> None:
        """Let the gateways of a name in no more; their streams end. Raises UnknownToken and StoreFailure."""
        async with self._desk.changing:
            scope = OF_ONE + name
            held = self._hashes(scope)
            if not held:
                raise UnknownToken(name)
            gone = delete(schema.tokens).where(schema.tokens.c.name == scope)
            entry = self._audit.entry(by, "revoke gateway token", detail=name)
            await self._desk.do(lambda: self._desk.store.write([gone], [entry]))
            for hashed in held:
                del self._scopes[hashed]
        self._changed.beat()

    def learn(self, scopes: Mapping[str, str]) -> None:
        """Know the tokens of all scopes as another replica left them."""
        for hashed in self._scopes.keys() - scopes.keys():
            del self._scopes[hashed]
        self._scopes.update(scopes)
        self._changed.beat()

    async def revoked(self, scope: str) -> None:
        """Wait until the token that this scope has now is no more, though another of its name may be there by then."""
        if not scope.startswith(OF_ONE):
            await trio.sleep_forever()
        held = self._hashes(scope)
        while any(hashed in self._scopes for hashed in held):
            await self._changed.wait()

    def _hashes(self, scope: str) -> list[str]:
        return [hashed for hashed, each in self._scopes.items() if each == scope]
