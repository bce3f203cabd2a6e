"""Sharing: who gives whom what of a pod, and the links that let in whoever has them.

Whether somebody may is asked with the pod as it is when nothing else can change it: `held` gives the level they hold
then. What nobody may do raises `Beyond`; grants are below the level of who gives them, except for owners.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from controller.identity import (
    By,
    Conflict,
    Entry,
    LinkInfo,
    NotRedeemable,
    Outcome,
    Redeemed,
    Throttled,
    UnknownGrant,
)
from controller.model import Link, Pod, Want
from controller.passwords import Passwords
from controller.pods import Pods, UnknownPod
from controller.roll import Roll
from controller.throttle import Throttle, address_keys
from controller.tokens import hash_of, new_id
from router.access import EVERYONE, AccessLevel, Action, may, may_grant

LINK_PREFIX = "pgl_"
LINK_BYTES = 32  # 256 random bits
MOST_GRANTS = 1000  # of one pod: they are part of each of its routes
MOST_LINKS = 100  # of one pod

Held = Callable[[Pod], AccessLevel | None]


class Beyond(Exception):
    """Somebody holds too little of a pod, `held`, for what they want to give or take; `needed` is what it takes."""

    def __init__(self, pod: Pod, needed: AccessLevel, held: AccessLevel | None) -> None:
        super().__init__(str(needed))
        self.pod = pod
        self.needed = needed
        self.held = held


@dataclass(frozen=True, slots=True)
class NewLink:
    """A share link that was just made, the only time its secret is there."""

    kept: Link
    secret: str = field(repr=False)


class Sharing:
    """Grants, owners and share links of all pods."""

    def __init__(self, roll: Roll, pods: Pods, passwords: Passwords, throttle: Throttle, longest: float) -> None:
        self._roll = roll
        self._pods = pods
        self._passwords = passwords
        self._throttle = throttle
        self._longest = longest  # seconds a session lasts

    async def grant(self, key: str, to: str, level: AccessLevel, *, held: Held, by: By) -> Pod:
        """Give somebody a level, in place of what they had. Raises Beyond, Conflict and UnknownPod."""

        def changed(pod: Pod) -> tuple[Pod, Sequence[Entry]]:
            check_may_grant(pod, level, held)
            if to in pod.grants:
                check_may_grant(pod, pod.grants[to], held)
            self._check_grantee(pod, to)
            detail = f"{level} to {to}"
            return replace(pod, grants={**pod.grants, to: level}), [self._entry(by, "share", pod, detail)]

        return await self._pods.share(key, changed)

    async def ungrant(self, key: str, to: str, *, held: Held, by: By) -> Pod:
        """Take back what somebody was given. Raises Beyond, UnknownGrant and UnknownPod."""

        def changed(pod: Pod) -> tuple[Pod, Sequence[Entry]]:
            check_may_grant(pod, pod.grants.get(to, AccessLevel.READ), held)
            if to not in pod.grants:
                raise UnknownGrant(to)
            grants = {grantee: level for grantee, level in pod.grants.items() if grantee != to}
            return replace(pod, grants=grants), [self._entry(by, "unshare", pod, f"{pod.grants[to]} of {to}")]

        return await self._pods.share(key, changed)

    async def give(self, key: str, user: str, *, held: Held, by: By) -> Pod:
        """Give a pod away; who owned it holds nothing of it then. Raises Beyond, Conflict and UnknownPod."""

        def changed(pod: Pod) -> tuple[Pod, Sequence[Entry]]:
            if not may(Action.GIVE_AWAY, held(pod)):
                raise Beyond(pod, AccessLevel.OWNER, held(pod))
            person = self._roll.people.get(user)
            if person is None or person.disabled:
                raise Conflict(f"there is no user {user!r} who is not disabled; give the pod to another", "user")
            grants = {to: level for to, level in pod.grants.items() if to != f"user:{user}"}
            entry = self._entry(by, "give away", pod, f"from {pod.owner} to {user}")
            return replace(pod, owner=user, grants=grants), [entry]

        return await self._pods.share(key, changed)

    async def make_link(
        self,
        key: str,
        level: AccessLevel,
        *,
        expires_in: float,
        uses: int | None,
        password: str,
        held: Held,
        by: By,
    ) -> NewLink:
        """Make a share link. Raises Beyond, Conflict and UnknownPod."""
        secret = f"{LINK_PREFIX}{secrets.token_urlsafe(LINK_BYTES)}"
        now = self._roll.now()
        link = Link(
            new_id(), level, hash_of(secret), await self._passwords.hash(password), now, by.who, now + expires_in, uses
        )

        def changed(pod: Pod) -> tuple[Pod, Sequence[Entry]]:
            check_may_grant(pod, level, held)
            if len(pod.links) >= MOST_LINKS:
                raise Conflict(f"pod {pod.name!r} has {MOST_LINKS} links already; remove some first")
            detail = f"{level} by link {link.id}{' with a password' if password else ''}"
            return replace(pod, links=(*pod.links, link)), [self._entry(by, "share", pod, detail)]

        await self._pods.share(key, changed)
        return NewLink(link, secret)

    async def remove_link(self, key: str, id_: str, *, held: Held, by: By) -> Pod:
        """End a share link and every session that came from it. Raises Beyond, UnknownGrant and UnknownPod."""

        def changed(pod: Pod) -> tuple[Pod, Sequence[Entry]]:
            link = next((each for each in pod.links if each.id == id_), None)
            check_may_grant(pod, link.level if link else AccessLevel.READ, held)
            if link is None:
                raise UnknownGrant(id_)
            links = tuple(each for each in pod.links if each.id != id_)
            return replace(pod, links=links), [self._entry(by, "unshare", pod, f"link {id_}")]

        return await self._pods.share(key, changed)

    def peek(self, secret: str) -> LinkInfo | None:
        """Tell what a link leads to; None if nobody could redeem it."""
        try:
            pod, link = self._usable(secret)
        except NotRedeemable:
            return None
        return LinkInfo(pod.name, link.level, bool(link.password), link.expires)

    async def redeem(self, secret: str, password: str, *, address: str = "") -> Redeemed:
        """Count a use and let in. Raises NotRedeemable."""
        pod, link = self._usable(secret)
        if link.password:
            await self._check_password(pod, link, password, address)

        def used(pod: Pod) -> tuple[Pod, Sequence[Entry]]:
            _, link = self._usable(secret)  # others may have been faster
            left = None if link.uses_left is None else link.uses_left - 1
            links = tuple(replace(each, uses_left=left) if each.id == link.id else each for each in pod.links)
            who = By(f"link:{link.id}", address)
            return replace(pod, links=links), [self._entry(who, "redeem", pod, f"{link.level}", Outcome.ALLOWED)]

        try:
            await self._pods.share(pod.key, used)
        except UnknownPod:
            raise NotRedeemable("unknown") from None
        expires = min(link.expires, self._roll.now() + self._longest)
        return Redeemed(link.id, pod.name, pod.key, link.level, expires)

    def next_end(self) -> float | None:
        """Tell when the next link expires."""
        return min((link.expires for pod in self._pods for link in pod.links), default=None)

    async def sweep(self) -> None:
        """Let go of links that are expired."""
        now = self._roll.now()

        def swept(pod: Pod) -> tuple[Pod, Sequence[Entry]]:
            return replace(pod, links=tuple(link for link in pod.links if now < link.expires)), ()

        for pod in self._pods:
            if any(link.expires <= now for link in pod.links):
                await self._pods.share(pod.key, swept)

    def _usable(self, secret: str) -> tuple[Pod, Link]:
        found = self._pods.link(hash_of(secret)) if secret.startswith(LINK_PREFIX) else None
        if found is None or found[0].want is Want.DELETED:
            raise NotRedeemable("unknown")
        if found[1].expires <= self._roll.now():
            raise NotRedeemable("expired")
        if found[1].uses_left == 0:
            raise NotRedeemable("used up")
        return found

    async def _check_password(self, pod: Pod, link: Link, password: str, address: str) -> None:
        keys = [f"link:{link.id}", *address_keys(address)]
        try:
            self._throttle.begin(keys)
        except Throttled as throttled:
            raise NotRedeemable("throttled", throttled.retry_after) from None
        if not await self._passwords.fits(link.password, password):
            by = By(f"link:{link.id}", address)
            await self._roll.audit.refused(by, "redeem", pod=pod.key, detail="wrong password")
            raise NotRedeemable("wrong password")
        self._throttle.forgive(keys)

    def _check_grantee(self, pod: Pod, to: str) -> None:
        kind, _, name = to.partition(":")
        there = {"user": self._roll.people, "group": self._roll.groups}.get(kind, ())
        if to != EVERYONE and name not in there:
            raise Conflict(f"there is no {to.replace(':', ' ')!r} to share with", "to")
        if to == f"user:{pod.owner}":
            raise Conflict(f"{name!r} owns the pod and holds every level already", "to")
        if to not in pod.grants and len(pod.grants) >= MOST_GRANTS:
            raise Conflict(f"pod {pod.name!r} has {MOST_GRANTS} grants already; make a group instead", "to")

    def _entry(self, by: By, what: str, pod: Pod, detail: str, outcome: Outcome = Outcome.CHANGED) -> Entry:
        return self._roll.audit.entry(by, what, pod=pod.key, outcome=outcome, detail=detail)


def check_may_grant(pod: Pod, level: AccessLevel, held: Held) -> None:
    """See that whoever asks may give and take `level` of a pod. Raises Beyond."""
    if not may_grant(level, held(pod)):
        raise Beyond(pod, AccessLevel(min(max(level + 1, AccessLevel.MANAGE), AccessLevel.OWNER)), held(pod))
