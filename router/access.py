"""Access levels and admission: the one place where it is decided who may do what.

`decide` is for endpoints, `may` for what the API offers. Both are total: whatever they are given, they answer, and what
they do not know is refused.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum
from types import MappingProxyType


class AccessLevel(IntEnum):
    """The least level a caller must hold on a pod to use an endpoint; `PUBLIC` asks for no identity at all."""

    PUBLIC = 0
    READ = 1
    WRITE = 2
    MANAGE = 3
    OWNER = 4

    @classmethod
    def parse(cls, text: object) -> "AccessLevel":
        """Read a level by its lower-case name. Raises ValueError naming the levels there are."""
        level = _BY_NAME.get(text) if isinstance(text, str) else None
        if level is None:
            raise ValueError(f"access: expected one of {', '.join(_BY_NAME)}, got {text!r}")
        return level

    def __str__(self) -> str:
        return self.name.lower()


_BY_NAME = {level.name.lower(): level for level in AccessLevel}

EVERYONE = "everyone"  # the grantee that every signed-in user is
Grants = Mapping[str, AccessLevel]  # what a pod gives to whom: `user:NAME`, `group:NAME`, `link:ID`, or `everyone`


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling, once that is proven: a user, or the bearer of a share link."""

    user: str = ""  # empty: the bearer of a link
    groups: frozenset[str] = frozenset()
    link: str = ""  # the link's id
    pod: str = ""  # the key of the only pod its credential is for; empty: any
    most: AccessLevel = AccessLevel.OWNER  # what its credential is limited to
    credential: str = ""  # what proved it, for the audit log: never the secret itself

    def __str__(self) -> str:
        return self.user or f"link:{self.link}"

    @property
    def grantees(self) -> tuple[str, ...]:
        """The keys of grants that are meant for it."""
        if not self.user:
            return (f"link:{self.link}",) if self.link else ()
        return (f"user:{self.user}", *(f"group:{group}" for group in self.groups), EVERYONE)


class Decision(Enum):
    """The answer of admission."""

    ALLOWED = "allowed"
    UNIDENTIFIED = "unidentified"  # nobody knows who is calling: say who you are
    INSUFFICIENT = "insufficient"  # we know who is calling, and their level is too low


def level_of(principal: object, pod: str, grants: Grants) -> AccessLevel | None:
    """Give the level a caller holds on the pod whose key is `pod`: the highest granted, cut to what its credential is
    limited to. None: no level at all.
    """
    if not isinstance(principal, Principal) or not isinstance(principal.most, AccessLevel):
        return None
    if principal.pod and principal.pod != pod:
        return None
    levels = [grants[grantee] for grantee in principal.grantees if isinstance(grants.get(grantee), AccessLevel)]
    held = min(max(levels, default=AccessLevel.PUBLIC), principal.most)
    return held if held is not AccessLevel.PUBLIC else None


def decide(required: object, principal: object, pod: str = "", grants: Grants = MappingProxyType({})) -> Decision:
    """May a caller (None: not identified) use an endpoint of `pod` that asks for `required`?

    Only real `AccessLevel` values open anything; an unknown requirement is refused even to an owner.
    """
    if required is AccessLevel.PUBLIC:
        return Decision.ALLOWED
    if not isinstance(principal, Principal):
        return Decision.UNIDENTIFIED
    held = level_of(principal, pod, grants)
    if isinstance(required, AccessLevel) and held is not None and held >= required:
        return Decision.ALLOWED
    return Decision.INSUFFICIENT


_LOGINS_OF: Mapping[object, tuple[AccessLevel, ...]] = MappingProxyType(
    {
        AccessLevel.READ: (AccessLevel.READ,),
        AccessLevel.WRITE: (AccessLevel.WRITE, AccessLevel.READ),
        AccessLevel.MANAGE: (AccessLevel.MANAGE, AccessLevel.OWNER, AccessLevel.WRITE, AccessLevel.READ),
        AccessLevel.OWNER: (AccessLevel.OWNER, AccessLevel.MANAGE, AccessLevel.WRITE, AccessLevel.READ),
    }
)


def login_level(held: object, logins: Container[AccessLevel]) -> AccessLevel | None:
    """Give the level whose login somebody who holds `held` gets, of those a database has; None: there is none for them.

    It is never higher than what is held, but that managing a database takes its owner where it knows no manager.
    """
    if not isinstance(held, AccessLevel):
        return None
    return next((level for level in _LOGINS_OF.get(held, ()) if level in logins), None)


class Action(StrEnum):
    """What can be done to a pod beside connecting to it."""

    SEE = "see"
    LOGS = "read the logs of"
    USE = "use"
    UPLOAD = "upload to"
    START = "start"
    STOP = "stop"
    EXEC = "run commands in"
    EDIT = "edit"
    SHARE = "share"  # and only below one's own level, see `may_grant`
    CREDENTIALS = "see the credentials of"
    DELETE = "delete"
    GIVE_AWAY = "give away"


LEAST: Mapping[Action, AccessLevel] = MappingProxyType(
    {
        Action.SEE: AccessLevel.READ,
        Action.LOGS: AccessLevel.READ,
        Action.USE: AccessLevel.WRITE,
        Action.UPLOAD: AccessLevel.WRITE,
        Action.START: AccessLevel.MANAGE,
        Action.STOP: AccessLevel.MANAGE,
        Action.EXEC: AccessLevel.MANAGE,
        Action.EDIT: AccessLevel.MANAGE,
        Action.SHARE: AccessLevel.MANAGE,
        Action.CREDENTIALS: AccessLevel.OWNER,
        Action.DELETE: AccessLevel.OWNER,
        Action.GIVE_AWAY: AccessLevel.OWNER,
    }
)


def may(action: object, held: object) -> bool:
    """Tell whether one who holds level `held` on a pod (None: no level) may do `action` to it."""
    least = LEAST.get(action) if isinstance(action, Action) else None
    return least is not None and isinstance(held, AccessLevel) and held >= least


def may_grant(granted: object, held: object) -> bool:
    """Tell whether one who holds `held` may give somebody `granted`, or take it away: only what is below their own
    level. Ownership is not granted but given away (`Action.GIVE_AWAY`): every pod has one owner.
    """
    if not isinstance(granted, AccessLevel) or granted is AccessLevel.PUBLIC or not may(Action.SHARE, held):
        return False
    return isinstance(held, AccessLevel) and granted < held
