"""The documents of the API about people and what they share: what callers send, checked, and what they get."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, field_validator

from controller.api.documents import Document, ReplicaName, ShortText, check_shown
from controller.passwords import LONGEST_PASSWORD, SHORTEST_PASSWORD
from router.access import AccessLevel
from router.credentials import LONGEST_NAME, check_person_name

DAY = 24 * 3600.0
LONGEST_LIFE = 3650 * DAY  # of a token
LONGEST_LINK = 365 * DAY
LONGEST_CERTIFICATE = 24.0  # hours
MOST_ENTRIES_AT_ONCE = 1000

Password = Annotated[str, StringConstraints(min_length=SHORTEST_PASSWORD, max_length=LONGEST_PASSWORD)]
GivenPassword = Annotated[str, StringConstraints(max_length=LONGEST_PASSWORD)]
Email = Annotated[str, StringConstraints(max_length=254), AfterValidator(check_shown)]
PersonName = Annotated[str, StringConstraints(max_length=LONGEST_NAME)]
TokenName = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9._@ -]*)$")
]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=False)]


class NewUser(Document):
    """A user to make."""

    name: PersonName
    password: Password | None = None
    admin: bool = False
    makes_pods: bool = False
    email: Email = ""

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        return check_person_name(name)


class UserChange(Document):
    """What is to change of a user; `current` is the password until now, for those who change their own."""

    password: Password | None = None
    current: GivenPassword = ""
    admin: bool | None = None
    disabled: bool | None = None
    makes_pods: bool | None = None
    email: Email | None = None


class UserDocument(BaseModel):
    """A user; an admin always makes pods."""

    name: str
    admin: bool
    disabled: bool
    makes_pods: bool
    groups: list[str]
    email: str
    since: str
    created_at: str
    has_password: bool


class UserList(BaseModel):
    """All users, by name."""

    users: list[UserDocument]


class NewGroup(Document):
    """A group to make."""

    name: PersonName

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        return check_person_name(name)


class GroupDocument(BaseModel):
    """A group and who is in it."""

    name: str
    members: list[str]


class GroupList(BaseModel):
    """All groups, by name."""

    groups: list[GroupDocument]


class LimitDocument(BaseModel):
    """What the caller's own token is limited to."""

    id: str
    name: str
    pod: str | None
    level: str
    expires_at: str | None


class MeDocument(BaseModel):
    """Who calls; `token` is null for admin.token."""

    user: str
    admin: bool
    makes_pods: bool
    groups: list[str]
    token: LimitDocument | None


class Login(Document):
    """A user's name and password; `name` is what the token is to be called."""

    user: ShortText
    password: GivenPassword
    name: TokenName = "login"


class NewToken(Document):
    """A token to make."""

    name: TokenName
    user: PersonName | None = None
    pod: ShortText | None = None
    level: ShortText = "owner"
    expires_in: Annotated[Seconds, Field(le=LONGEST_LIFE)] | None = None

    @field_validator("level")
    @classmethod
    def _check_level(cls, level: str) -> str:
        return check_level(level)


class TokenDocument(BaseModel):
    """A token without its text."""

    id: str
    name: str
    user: str
    pod: str | None
    level: str
    created_at: str
    expires_at: str | None
    last: str


class NewTokenDocument(TokenDocument):
    """A token that was just made: the only time its text is told."""

    token: str


class TokenList(BaseModel):
    """The tokens of a user, oldest first."""

    tokens: list[TokenDocument]


class Level(Document):
    """A level to give."""

    level: ShortText

    @field_validator("level")
    @classmethod
    def _check_level(cls, level: str) -> str:
        return check_given(level)


class NewOwner(Document):
    """Whom to give a pod to."""

    user: PersonName


class NewLink(Document):
    """A share link to make."""

    level: ShortText
    expires_in: Annotated[Seconds, Field(le=LONGEST_LINK)] = 7 * DAY
    uses: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    password: Password | None = None

    @field_validator("level")
    @classmethod
    def _check_level(cls, level: str) -> str:
        return check_given(level)


class GrantDocument(BaseModel):
    """What somebody was given."""

    to: str
    level: str


class LinkDocument(BaseModel):
    """A share link without its secret."""

    id: str
    level: str
    expires_at: str
    uses_left: int | None
    has_password: bool
    created_by: str


class NewLinkDocument(BaseModel):
    """A share link that was just made: the only time its secret is told."""

    id: str
    url: str
    level: str
    expires_at: str


class GrantsDocument(BaseModel):
    """Whose a pod is, and who else may use it."""

    owner: str
    grants: list[GrantDocument]
    links: list[LinkDocument]


class EntryDocument(BaseModel):
    """A line of the audit log; `pod` is the name it had, `pod_key` what tells it from others of that name."""

    at: str
    who: str
    what: str
    pod: str
    pod_key: str
    address: str
    outcome: str
    detail: str


class EntryList(BaseModel):
    """Lines of the audit log, newest first."""

    entries: list[EntryDocument]


class GatewayEntry(Document):
    """What a gateway saw."""

    at: Annotated[float, Field(ge=0, le=2**40, allow_inf_nan=False, strict=False)]
    who: Annotated[str, StringConstraints(max_length=100), AfterValidator(check_shown)]
    what: Annotated[str, StringConstraints(max_length=400)]  # it may name a host, of 253 characters
    pod: Annotated[str, StringConstraints(max_length=64), AfterValidator(check_shown)] = ""
    address: Annotated[str, StringConstraints(max_length=64), AfterValidator(check_shown)] = ""
    outcome: Annotated[str, StringConstraints(pattern="^(allowed|refused)$")]
    detail: Annotated[str, StringConstraints(max_length=500)] = ""


class GatewayEntries(Document):
    """What a gateway replica saw since it told last."""

    replica: ReplicaName
    entries: Annotated[list[GatewayEntry], Field(max_length=MOST_ENTRIES_AT_ONCE)]


class CertificateRequest(Document):
    """A signing request in PEM; of it only the key is used."""

    csr: Annotated[str, StringConstraints(max_length=16 * 1024)]
    hours: Annotated[float, Field(gt=0, le=LONGEST_CERTIFICATE, allow_inf_nan=False, strict=False)] = 12.0


class CertificateDocument(BaseModel):
    """A certificate in PEM."""

    certificate: str
    expires_at: str


def check_level(text: str) -> str:
    """Give back a level that a token may be limited to. Raises ValueError."""
    level = AccessLevel.parse(text)
    if level is AccessLevel.PUBLIC:
        raise ValueError("expected one of read, write, manage, owner, got 'public'")
    return str(level)


def check_given(text: str) -> str:
    """Give back a level that may be granted. Raises ValueError."""
    level: Any = AccessLevel.parse(text)
    if level in (AccessLevel.PUBLIC, AccessLevel.OWNER):
        raise ValueError(
            f"expected one of read, write, manage, got {text!r}; a pod has one owner, whom PUT .../owner sets"
        )
    return str(level)
