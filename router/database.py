"""Database: what a gateway needs of a database behind a route, where it logs in itself for those it has let in.

    {"name": "mydb", "logins": {"read": [{"user": "reader", "password": "…"}], "owner": […]},
     "most_links": 0, "most_links_of_user": 0}

Passwords are in it, so no text that is made here holds a value.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from router.access import AccessLevel

LONGEST_DATABASE_NAME = 128  # characters; PostgreSQL has 63 bytes of it
LONGEST_LOGIN_USER = 128  # characters; PostgreSQL has 63 bytes of it
LONGEST_LOGIN_PASSWORD = 1024  # characters
MOST_LOGINS = 4  # of one level: the old and the new password while they rotate, and some more
MOST_LINKS = 1_000_000


@dataclass(frozen=True, slots=True)
class Login:
    """How the gateway itself gets into a database."""

    user: str
    password: str = field(repr=False)


Logins = Mapping[AccessLevel, tuple[Login, ...]]  # by level; of several, the first that the database takes is used


@dataclass(frozen=True, slots=True)
class Database:
    """What the gateway needs of a database behind a route."""

    name: str = ""  # the one that clients get who name none
    logins: Logins = field(default_factory=dict, hash=False)
    most_links: int = 0  # open connections of the endpoint; 0: any number
    most_links_of_user: int = 0  # the same of one user

    def to_document(self) -> dict[str, Any]:
        """Give the JSON form that `parse_database` reads back to an equal one. It holds the passwords."""
        logins = {
            str(level): [{"user": login.user, "password": login.password} for login in several]
            for level, several in self.logins.items()
        }
        return {
            "name": self.name,
            "logins": logins,
            "most_links": self.most_links,
            "most_links_of_user": self.most_links_of_user,
        }


NO_DATABASE = Database()
_LOGIN_LEVELS = {str(level): level for level in AccessLevel if level is not AccessLevel.PUBLIC}


def parse_database(document: object) -> Database:
    """Read what is known of a database; a field it does not know might be a restriction, so there must be none.

    Raises ValueError naming the field, with no value in it.
    """
    fields = _table("database", document, Database.__slots__)
    return Database(
        _text("name", fields.get("name", ""), LONGEST_DATABASE_NAME, least=0),
        _logins(fields.get("logins", {})),
        _count("most_links", fields.get("most_links", 0)),
        _count("most_links_of_user", fields.get("most_links_of_user", 0)),
    )


def _logins(value: object) -> dict[AccessLevel, tuple[Login, ...]]:
    table = _table("database: logins", value, tuple(_LOGIN_LEVELS))
    return {_LOGIN_LEVELS[level]: _several(several) for level, several in table.items()}


def _several(value: object) -> tuple[Login, ...]:
    if not isinstance(value, list | tuple) or not 0 < len(value) <= MOST_LOGINS:
        raise ValueError(f"database: logins: expected lists of 1 to {MOST_LOGINS} logins")
    return tuple(_login(_table("database: logins", item, ("user", "password"))) for item in value)


def _login(fields: Mapping[str, Any]) -> Login:
    user = _text("logins: user", fields.get("user"), LONGEST_LOGIN_USER, least=1)
    return Login(user, _text("logins: password", fields.get("password"), LONGEST_LOGIN_PASSWORD, least=1))


def _table(what: str, value: object, known: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{what}: expected a table of fields, got {type(value).__name__}")
    if not all(key in known for key in value):
        raise ValueError(f"{what}: a field of another name than {', '.join(known)}")
    return value


def _text(name: str, value: object, most: int, *, least: int) -> str:
    if not isinstance(value, str) or not least <= len(value) <= most or not value.isprintable():
        raise ValueError(f"database: {name}: expected a text of {least} to {most} printable characters")
    return value


def _count(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_LINKS:
        raise ValueError(f"database: {name}: expected a number from 0, for any number, to {MOST_LINKS}")
    return value
