"""Access levels as choices of the command line: what a caller may hold, be given, and what an endpoint may ask for."""

from enum import StrEnum


class Level(StrEnum):
    """What a token may be limited to."""

    READ = "read"
    WRITE = "write"
    MANAGE = "manage"
    OWNER = "owner"


class Grant(StrEnum):
    """What can be shared: a pod has one owner, and is given away to get another."""

    READ = "read"
    WRITE = "write"
    MANAGE = "manage"


class Access(StrEnum):
    """The least level an endpoint asks of its callers."""

    PUBLIC = "public"
    READ = "read"
    WRITE = "write"
    MANAGE = "manage"
    OWNER = "owner"
