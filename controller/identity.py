"""Who people are to the controller, as plain values: users, their sign-ins and tokens, and what is written of deeds.

Times are seconds since 1970. Nothing here prints a secret, also not a hashed one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from router.access import AccessLevel, Grants, Principal, level_of
from router.credentials import Token

ADMIN = "admin"  # the user that is there from the first start, and that `admin.token` acts as
LOCAL = "local"  # the address of who calls over our own unix socket
NO_SUBJECTS: Mapping[str, str] = MappingProxyType({})


class Outcome(StrEnum):
    """What became of what somebody tried."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the audit log."""

    at: float
    who: str  # a user's name, `link:ID`, or empty where nobody is known
    what: str
    pod: str = ""  # a pod's key
    address: str = ""
    outcome: Outcome = Outcome.CHANGED
    detail: str = ""


@dataclass(frozen=True, slots=True)
class By:
    """Who does something, and from where, for the audit log."""

    who: str = "podgate"
    address: str = LOCAL


@dataclass(frozen=True, slots=True)
class Person:
    """A user. `since`: sign-ins and certificates from before it are void."""

    name: str
    admin: bool = False
    disabled: bool = False
    groups: frozenset[str] = frozenset()
    email: str = ""
    since: float = 0.0
    created: float = 0.0
    password: str = field(default="", repr=False)  # argon2id; empty: no sign-in by password
    salt: bytes = field(default=b"", repr=False)  # of the SCRAM verifiers of all its tokens
    subjects: tuple[tuple[str, str], ...] = ()  # issuer and subject of those who sign in for it elsewhere
    makes_pods: bool = False  # a pod runs a program on our machine

    @property
    def has_password(self) -> bool:
        """Tell whether it can sign in with a password."""
        return bool(self.password)

    @property
    def may_make_pods(self) -> bool:
        """Tell whether it may make pods; an admin always may."""
        return self.admin or self.makes_pods


@dataclass(frozen=True, slots=True)
class SignIn:
    """A browser's sign-in at the console. Sessions that come from it end with it, at `expires` at the latest."""

    id: str
    user: str
    began: float
    expires: float
    address: str = ""
    agent: str = ""


@dataclass(frozen=True, slots=True)
class ApiToken:
    """An API token as it is kept: by what tells a right one from a wrong one."""

    id: str
    name: str
    user: str
    hash: str = field(repr=False)
    verifier: str = field(repr=False)
    pod: str = ""  # the key of the only pod it is for
    level: AccessLevel = AccessLevel.OWNER  # what it is limited to
    created: float = 0.0
    expires: float | None = None
    last: str = ""  # its last characters, for people to tell it by

    @property
    def whole(self) -> bool:
        """Tell whether it can do all that its user can."""
        return not self.pod and self.level is AccessLevel.OWNER

    def record(self) -> Token:
        """Give what the gateways know of it."""
        return Token(self.id, self.hash, self.user, self.pod, self.level, self.expires, self.verifier)


@dataclass(frozen=True, slots=True)
class Redeemed:
    """A share link that was let in: a session for `link:ID` may last until `expires`."""

    link: str  # the link's id
    pod: str  # the pod's name
    key: str  # the pod's key
    level: AccessLevel
    expires: float


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """What a share link says of itself before it is redeemed."""

    pod: str
    level: AccessLevel
    needs_password: bool
    expires: float


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls the API, proven by a token; `by_service`: the token of a file in the home, not one of a user's."""

    principal: Principal
    admin: bool = False
    makes_pods: bool = False
    by_service: bool = False
    address: str = LOCAL
    token: ApiToken | None = None

    @property
    def name(self) -> str:
        """The user's name."""
        return self.principal.user

    @property
    def by(self) -> By:
        """What the audit log is told of it."""
        return By(self.name, self.address)

    @property
    def whole(self) -> bool:
        """Tell whether it may do all that its user may: its token is limited to no pod and no level."""
        return self.token is None or self.token.whole

    def level_on(self, pod: str, grants: Grants) -> AccessLevel | None:
        """Give the level it holds on a pod; an admin owns every pod, as far as its token reaches."""
        if self.admin:
            grants = {**grants, f"user:{self.name}": AccessLevel.OWNER}
        return level_of(self.principal, pod, grants)


class Throttled(Exception):
    """Too many failures: not before `retry_after` seconds have passed is another attempt looked at."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"too many failed attempts; try again in {retry_after:.0f} seconds")
        self.retry_after = retry_after


class NotRedeemable(Exception):
    """A share link that lets nobody in: `reason` is `unknown`, `expired`, `used up`, `wrong password`, or `throttled`
    (then `retry_after` is in how many seconds to try again).
    """

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class UnknownPerson(Exception):
    """There is no user of this name."""


class UnknownGroup(Exception):
    """There is no group of this name."""


class NoMember(Exception):
    """The user is not in the group; the text says so, and what to do."""


class UnknownToken(Exception):
    """The user has no token of this name or id."""


class UnknownGrant(Exception):
    """The pod has no such grant, or no such link."""


class Conflict(Exception):
    """Something that is not possible as things are; the text says why and what to do, `field` what is at fault."""

    def __init__(self, text: str, field: str = "") -> None:
        super().__init__(text)
        self.field = field
