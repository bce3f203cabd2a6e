"""People: the way to everybody this controller knows, and to all that proves who somebody is.

    people.users    users and groups                                           controller/users.py
    people.signins  sign-ins of browsers, the keys that seal, what was ended   controller/signins.py
    people.tokens   API tokens                                                 controller/tokens.py
    people.sharing  grants, owners and share links of pods                     controller/sharing.py
    people.audit    who did what                                               controller/audit.py

Every change is stored first, then known here, then published to the gateways, and only then answered: what was revoked
is on its way to every gateway when the answer is. All of it is used from one thread; memory answers without waiting.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

import trio

from controller.audit import Audit
from controller.desk import Desk
from controller.feed import Feed
from controller.identity import (
    By,
    Conflict,
    LinkInfo,
    NotRedeemable,
    Person,
    Redeemed,
    SignIn,
    Throttled,
    UnknownGroup,
    UnknownPerson,
)
from controller.passwords import Passwords
from controller.pods import Pods
from controller.roll import Roll
from controller.settings import Settings
from controller.sharing import Sharing
from controller.signins import SignIns
from controller.store.database import StoreFailure
from controller.store.directory import Directory, remove_tokens
from controller.throttle import Throttle, address_keys
from controller.tokens import Tokens
from controller.users import SYSTEM, Users
from router.access import Principal
from router.credentials import Issuer, Key

__all__ = [
    "By", "Conflict", "LinkInfo", "NotRedeemable", "People", "Person", "Redeemed", "SignIn", "Throttled",
    "UnknownGroup", "UnknownPerson",
]  # fmt: skip

LONGEST_NAP = 30.0  # seconds until what is over is looked for again, whatever the clock does
TRIMMED_EVERY = 3600.0  # seconds
log = logging.getLogger(__name__)


class People:
    """Everybody this controller knows."""

    def __init__(
        self, desk: Desk, pods: Pods, feed: Feed, settings: Settings, now: Callable[[], float] = time.time
    ) -> None:
        longest = settings.session_hours * 3600.0
        self._now = now
        self._passwords = Passwords()
        self._throttle = Throttle(now)
        self._desk = desk
        self._pods = pods
        self._trimmed_at = 0.0
        self.audit = Audit(desk, now)
        self._roll = Roll(desk, feed, self.audit, now)
        self.signins = SignIns(self._roll, longest)
        self.tokens = Tokens(self._roll, pods)
        self.sharing = Sharing(self._roll, pods, self._passwords, self._throttle, longest)
        self.users = Users(self._roll, pods, self.signins, self._passwords, settings.oidc)
        pods.gone = self.tokens.of_pod_gone

    def find(self, name: str) -> Person | None:
        """Find a user, also a disabled one."""
        return self._roll.people.get(name)

    def named(self, name: str) -> Person:
        """Give a user, also a disabled one. Raises UnknownPerson."""
        return self._roll.named(name)

    def __iter__(self) -> Iterator[Person]:
        return iter(sorted(self._roll.people.values(), key=lambda person: person.name))

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
        """Make a user. Raises InvalidCredential (a ValueError) for the name, and Conflict if it is taken."""
        return await self.users.create(name, password=password, admin=admin, makes_pods=makes_pods, email=email, by=by)

    async def disable(self, name: str, by: By = SYSTEM) -> Person:
        """Let a user in no more, nor its tokens, sessions and certificates. Raises UnknownPerson and Conflict."""
        return await self.users.change(name, disabled=True, by=by)

    async def enable(self, name: str, by: By = SYSTEM) -> Person:
        """Let a user in again; earlier sign-ins stay void, tokens work again. Raises UnknownPerson."""
        return await self.users.change(name, disabled=False, by=by)

    async def delete(self, name: str, by: By = SYSTEM) -> None:
        """Take a user out with its tokens and grants. Raises UnknownPerson, and Conflict while it owns pods."""
        await self.users.delete(name, by)

    async def set_password(self, name: str, password: str, by: By = SYSTEM) -> Person:
        """Set, or by an empty text remove, a user's password; its sign-ins end. Raises UnknownPerson."""
        return await self.users.change(name, password=password, by=by)

    async def set_groups(self, name: str, groups: Iterable[str], by: By = SYSTEM) -> Person:
        """Set the groups a user is in; those there are not yet are made. Raises UnknownPerson."""
        return await self.users.set_groups(name, groups, by)

    async def check_password(self, name: str, password: str, *, address: str = "") -> Person | None:
        """Give the user if the password is right and it is not disabled; every failure takes the same time.

        With an address, a failure is in the audit log, and after ten of them from there or for the name this raises
        Throttled.
        """
        keys = [f"user:{name[:100]}", *address_keys(address)] if address else []
        self._throttle.begin(keys)
        person = self.find(name)
        fits = await self._passwords.fits(person.password if person else "", password)
        person = self.find(name)  # it may have been disabled meanwhile
        if not fits or person is None or person.disabled:
            if address and person is not None:
                await self.audit.refused(By(name, address), "sign in", detail="wrong password, or disabled")
            return None
        self._throttle.forgive(keys, forget=[f"user:{name[:100]}"] if keys else ())
        return person

    async def person_of_subject(
        self, issuer: str, subject: str, claims: Mapping[str, object], *, address: str = ""
    ) -> Person:
        """Give the user whom an OpenID provider knows as `subject`, made now if the settings say so.

        Raises UnknownPerson if there is none and none is to be made, and Conflict if it is disabled. A user there is
        already is never taken for the subject because of an equal name or address.
        """
        return await self.users.of_subject(issuer, subject, claims, address)

    async def begin_session(self, person: Person, *, address: str, agent: str, hours: float | None = None) -> SignIn:
        """Begin a sign-in, stored, in the audit log; it lasts as long as the settings say at the most."""
        return await self.signins.begin(person, address=address, agent=agent, hours=hours)

    def session(self, id_: str) -> SignIn | None:
        """Find a sign-in that is valid now: not ended, not expired, its user neither disabled nor signed out since."""
        return self.signins.session(id_)

    async def end_session(self, id_: str, by: By | None = None) -> None:
        """End a sign-in and all sessions that come from it, at every gateway."""
        await self.signins.end(id_, by)

    async def end_sessions(self, user: str, by: By = SYSTEM) -> None:
        """End all sign-ins and certificates of a user. Raises UnknownPerson."""
        await self.users.sign_out(user, by)

    def key(self) -> Key:
        """Give the key that seals now."""
        return self.signins.key()

    def keys(self) -> Mapping[str, bytes]:
        """Give the keys that open, by id, as `router.sealing.unseal` takes them."""
        return self.signins.keys()

    async def redeem(self, secret: str, password: str, *, address: str = "") -> Redeemed:
        """Count a use of a share link and let its bearer in, as `link:ID`. Raises NotRedeemable."""
        return await self.sharing.redeem(secret, password, address=address)

    def peek_link(self, secret: str) -> LinkInfo | None:
        """Tell what a share link leads to, without a use; None if nobody could redeem it."""
        return self.sharing.peek(secret)

    def principal(self, token: str) -> Principal | None:
        """Give whom an API token speaks for, if it does now."""
        return self.tokens.principal(token)

    def put_issuer(self, issuer: Issuer) -> None:
        """Publish whose JSON web tokens the gateways take. Its `users` are filled in here, now and as they change."""
        self._roll.put_issuer(issuer)

    async def load(self) -> None:
        """Learn what the store has, after the pods are known, and publish it. Raises StoreFailure."""
        found = await self._desk.do(self._desk.store.directory)
        self._roll.groups |= set(found.groups)
        for token in found.tokens:
            self._roll.learn(token)
        for person in found.people:
            self._roll.know(person)
        self.signins.load(found.sign_ins, found.ended, found.keys)
        await self.users.ensure_admin()
        await self.sweep()

    def learn(self, found: Directory) -> None:
        """Know people as another replica left them, and publish what that changes."""
        self.signins.load(found.sign_ins, found.ended, found.keys)
        for gone in self._roll.learn_all(found):
            self._pods.ungrant(gone)

    async def tend(self) -> None:
        """Let go of what is over when it is, until cancelled."""
        while True:
            await trio.sleep(min(LONGEST_NAP, max(0.0, self._next_end() - self._now())))
            try:
                await self.sweep()
            except StoreFailure as failure:  # what is over lets nobody in anyway: everybody looks at the time too
                log.error("people: what expired stays in the store for now: %s", failure)
                await trio.sleep(LONGEST_NAP)

    async def sweep(self) -> None:
        """Take what is over out of memory, the store and the feed, and change the sealing key when it is time."""
        now = self._now()
        await self.signins.sweep()
        await self.sharing.sweep()
        async with self._desk.changing:
            expired = self.tokens.expired()
            if expired:
                await self._roll.write([remove_tokens(expired)])
                self._roll.drop(expired)
        if not self._trimmed_at <= now < self._trimmed_at + TRIMMED_EVERY:
            self._trimmed_at = now
            await self.audit.trim()

    def _next_end(self) -> float:
        ends = [self.signins.next_end(), self.sharing.next_end(), self.tokens.next_end()]
        return min(end for end in ends if end is not None)
