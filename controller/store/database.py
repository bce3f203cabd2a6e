"""A database that keeps the store: how a transaction is made in it, and what its errors mean to people.

    sqlite     one file, for one controller: the default
    postgres   a server, for controllers that are replicas of each other

Alembic brings the tables of both to this version, in one transaction with the look at which version they are of.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, TimeoutError  # noqa: A004  # of the pool

MIGRATIONS = Path(__file__).parent / "migrations"


class StoreFailure(Exception):
    """The store could not be read or written; the text says why and what to do. Nothing was half-written."""

    def __init__(self, text: str, *, full: bool = False) -> None:
        super().__init__(text)
        self.full = full


@dataclass(frozen=True, slots=True)
class Database:
    """An open database. `failure` says what an error of it means; it never tells what was to be written."""

    engine: Engine
    name: str  # where it is, without a password
    failure: Callable[[DBAPIError], StoreFailure]
    shared: bool = False  # other replicas write to it too
    cut: Callable[[], object] = lambda: None  # ends every wait for an answer, by ending the connections

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the database's errors inside into StoreFailure."""
        try:
            yield
        except DBAPIError as error:
            if self.shared:  # its error's details quote rows
                raise self.failure(error) from None
            raise self.failure(error) from error
        except TimeoutError:
            raise StoreFailure(f"store: {self.name} is too slow; try again, and see what else uses it") from None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Make a transaction. Raises StoreFailure."""
        with self.translated(), self.engine.begin() as connection:
            yield connection


def migrate(connection: Connection, name: str) -> None:
    """Bring the tables to this version, within the transaction of `connection`. Raises StoreFailure."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreFailure(
            f"store: {name} was written by another version of podgate ({error}); use that version or a newer one"
        ) from error
