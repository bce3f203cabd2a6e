"""Why a connection does not reach its pod, and how each protocol says so.

An opening ends early in one of three ways. A `Refusal` has an answer for the client, in its own protocol; `replies`
speaks it. After `Answered` the client has had all its answers, and is parted from. An `Abandoned` opening has none: the
client has left, or speaks nothing we could answer in. All carry what the log should say.
"""

from enum import Enum, auto
from typing import NamedTuple


class Reason(Enum):
    """Why a connection is refused."""

    UNKNOWN_HOST = auto()
    NO_SERVER_NAME = auto()
    FOREIGN_HOST = auto()  # an HTTP request for another host than the connection was opened for
    OTHER_PROTOCOL = auto()  # the pod speaks another one than the client
    MALFORMED = auto()
    TLS_REQUIRED = auto()
    UNIDENTIFIED = auto()
    WRONG_TOKEN = auto()
    FORBIDDEN = auto()
    NO_SUCH_PAGE = auto()  # below the paths that are the gateway's own
    TOO_LARGE = auto()
    TOO_MANY = auto()
    STOPPED = auto()
    STARTING = auto()
    FAILED = auto()
    UNREACHABLE = auto()
    LOGIN_REFUSED = auto()  # of the gateway itself, by a database
    TIMEOUT = auto()


class Words(NamedTuple):
    """One reason in the words of each protocol."""

    title: str  # for people
    sqlstate: str  # PostgreSQL, appendix A
    http_status: int  # RFC 9110, section 15
    bolt_code: str  # Neo4j status codes; see below
    alert: int  # TLS AlertDescription (RFC 8446, section 6)


_UNRECOGNIZED_NAME, _ACCESS_DENIED, _INTERNAL_ERROR = 112, 49, 80
_INVALID = "Neo.ClientError.Request.Invalid"
_NOT_THERE = "Neo.ClientError.Database.DatabaseNotFound"
_UNAVAILABLE = "Neo.TransientError.General.DatabaseUnavailable"

# Drivers try again by themselves after transient codes, and while they look for routes (neo4j+s) they keep the words of
# one to themselves; no code is both tried again and told. So transient is only what may pass by itself within the 30 s
# for which they try: a pod that is stopped stays so until somebody starts it, and its client is to hear that at once.
WORDS = {
    Reason.UNKNOWN_HOST: Words("No such pod", "3D000", 404, _NOT_THERE, _UNRECOGNIZED_NAME),
    Reason.NO_SERVER_NAME: Words("Which pod?", "08004", 421, _INVALID, _UNRECOGNIZED_NAME),
    Reason.FOREIGN_HOST: Words("Wrong connection for this host", "08004", 421, _INVALID, _UNRECOGNIZED_NAME),
    Reason.OTHER_PROTOCOL: Words("Wrong kind of client", "08P01", 400, _INVALID, _INTERNAL_ERROR),
    Reason.MALFORMED: Words("Bad request", "08P01", 400, _INVALID, _INTERNAL_ERROR),
    Reason.TLS_REQUIRED: Words("TLS required", "28000", 426, "Neo.ClientError.Security.Unauthorized", _ACCESS_DENIED),
    Reason.UNIDENTIFIED: Words("Who are you?", "28000", 401, "Neo.ClientError.Security.Unauthorized", _ACCESS_DENIED),
    Reason.WRONG_TOKEN: Words("Wrong token", "28P01", 401, "Neo.ClientError.Security.Unauthorized", _ACCESS_DENIED),
    Reason.NO_SUCH_PAGE: Words("No such page", "08P01", 404, _INVALID, _INTERNAL_ERROR),
    Reason.TOO_LARGE: Words("Too large", "08P01", 413, _INVALID, _INTERNAL_ERROR),
    Reason.TOO_MANY: Words("Too many requests", "53300", 429, _UNAVAILABLE, _INTERNAL_ERROR),
    Reason.FORBIDDEN: Words("Not allowed", "28000", 403, "Neo.ClientError.Security.Forbidden", _ACCESS_DENIED),
    Reason.STOPPED: Words("This pod is stopped", "57P03", 503, _NOT_THERE, _INTERNAL_ERROR),
    Reason.STARTING: Words("This pod is starting", "57P03", 503, _UNAVAILABLE, _INTERNAL_ERROR),
    Reason.FAILED: Words("This pod has failed", "57P03", 503, _UNAVAILABLE, _INTERNAL_ERROR),
    Reason.UNREACHABLE: Words("This pod does not answer", "08006", 502, _UNAVAILABLE, _INTERNAL_ERROR),
    Reason.LOGIN_REFUSED: Words("This pod does not let the gateway in", "08004", 502, _UNAVAILABLE, _INTERNAL_ERROR),
    Reason.TIMEOUT: Words("This took too long", "08006", 504, _UNAVAILABLE, _INTERNAL_ERROR),
}


class Refusal(Exception):
    """A connection that gets an answer instead of its pod."""

    def __init__(self, reason: Reason, message: str, hint: str = "", *, for_log: str = "") -> None:
        """`message` and `hint` are for the client: what happened, what to do; `for_log` is for us alone."""
        super().__init__(f"{message} ({for_log})" if for_log else message)
        self.reason = reason
        self.message = message
        self.hint = hint

    @property
    def words(self) -> Words:
        """How the protocols say it."""
        return WORDS[self.reason]


class Answered(Exception):
    """Nothing more is to be said to a client: it has had its answer, or there is none to give. It is parted from."""


class Abandoned(Exception):
    """A connection that ends without an answer: nobody is there to read one, or no protocol to write it in."""
